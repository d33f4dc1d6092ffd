use super::{clamped, padded, span, OneClip};
use crate::prelude::*;

/// One clip at a random place: its first frame is uniform over those after which `length * stride` frames and one more
/// follow. A shorter video gives every `stride`-th of its frames from a random one of its first on, and repeats its first frame before or its last
/// behind them, by a coin. DualVar, the sampler of its fine-tuning, in training and validation.
#[kind("clip/random_padded", inputs = Frames, outputs = OneClip, draws = Draws, source = "DualVar (Zhang et al. 2021), its code")]
pub struct RandomPadded {
    /// Frames of a clip.
    #[smoke(8)]
    #[schemars(range(min = 1, max = limits::FRAMES))]
    length: usize,
    /// Distance of neighbouring frames of a clip, in frames of the video.
    #[schemars(range(min = 1, max = limits::FRAMES))]
    stride: usize,
}

#[derive(Ports)]
pub struct Draws<P: Plane> {
    /// `1` the clip's first frame; of a short video its first that is taken
    #[range("frames")]
    start: P::Index,
    /// `1` 1 where a short video's clip is filled with its first frame before, 0 with its last behind
    #[range("2")]
    before: P::Index,
}

impl Kind for RandomPadded {
    fn draw(&self, mut dice: Draws<Dice>, seen: &Seen<Self>) -> Result<Draws<Row>> {
        let (total, span) = (seen.inputs.frames.shape[1], self.length * self.stride);
        let start = dice.start.below(if total > span { total - span } else { self.stride });
        Ok(Draws { start: vec![start as i64], before: vec![i64::from(dice.before.chance(0.5))] })
    }
    fn clip_span(&self) -> Option<usize> {
        Some(span(self.length, self.stride))
    }
}

impl RandomPadded {
    fn positions(&self, total: usize, start: usize, before: bool) -> Vec<usize> {
        if total > self.length * self.stride {
            return clamped(total, start, self.length, self.stride).collect();
        }
        padded(total, start, self.length, self.stride, before)
    }
}

impl SampleKind for RandomPadded {
    fn run(&self, inputs: Frames<Host>, draws: Draws<Row>) -> Result<OneClip<Host>> {
        let (video, start) = (inputs.frames, draws.start[0]);
        let total = video.frames();
        ensure!((0..total.max(self.stride) as i64).contains(&start), "`start` must lie in the video's {total} frames");
        Ok(OneClip { clips: video.clip(&self.positions(total, start as usize, draws.before[0] != 0))?.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clip::tests::video;
    use crate::testing;
    use dv_graph::host::Value;

    fn kind() -> RandomPadded {
        testing::kind("length = 4\nstride = 3")
    }

    #[test]
    fn a_long_video_gives_a_whole_clip() {
        assert_eq!(kind().positions(20, 7, true), [7, 10, 13, 16]);
        // as published the last place is never drawn: 13 frames leave one
        let (kind, video) = (kind(), video(13));
        let drawn = |id| testing::host_index(&testing::run_host(&kind, id, &[("frames", Value::Video(video.clone()))])["start"]);
        assert!((0..20).all(|id| drawn(id) == [0]));
    }

    #[test]
    fn a_short_video_is_filled_before_or_behind() {
        assert_eq!(kind().positions(8, 1, true), [0, 1, 4, 7]);
        assert_eq!(kind().positions(8, 1, false), [1, 4, 7, 7]);
        assert_eq!(kind().positions(12, 2, false), [2, 5, 8, 11]);
        // nothing is left of it: the published code fails here
        assert_eq!(kind().positions(1, 2, true), [0, 0, 0, 0]);
        assert_eq!(kind().positions(1, 2, false), [0, 0, 0, 0]);
    }
}
