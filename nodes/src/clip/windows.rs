use super::{padded, span, SeveralClips};
use crate::prelude::*;

/// Windows of `length * stride` frames from the video's start on, each half a window less one frame after the one before, as far
/// as they fit. A video with fewer repeats its last; one shorter than a window gives that alone, filled with its first frame before or
/// its last behind, by a coin. DualVar, the sampler's mode `test`.
#[kind("clip/windows", inputs = Frames, outputs = SeveralClips, draws = Draws, source = "DualVar (Zhang et al. 2021), its code")]
pub struct Windows {
    /// Windows of each video: the length of the item axis `clip`. Later ones are left out.
    #[schemars(range(min = 1, max = limits::CLIPS))]
    clips: usize,
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
    /// `1` 1 where a short video's clip is filled with its first frame before, 0 with its last behind
    #[range("2")]
    before: P::Index,
}

impl Kind for Windows {
    fn draw(&self, mut dice: Draws<Dice>, _: &Seen<Self>) -> Result<Draws<Row>> {
        Ok(Draws { before: vec![i64::from(dice.before.chance(0.5))] })
    }
    fn clip_span(&self) -> Option<usize> {
        Some(span(self.length, self.stride))
    }
}

impl Windows {
    fn positions(&self, total: usize, before: bool) -> Vec<usize> {
        let span = self.length * self.stride;
        let Some(spare) = total.checked_sub(span + 1) else {
            return padded(total, 0, self.length, self.stride, before).repeat(self.clips);
        };
        let step = (span / 2).saturating_sub(1).max(1);
        let last = (spare + 1) / step;
        let frame = |clip: usize, j: usize| clip.min(last) * step + j * self.stride;
        (0..self.clips).flat_map(|clip| (0..self.length).map(move |j| frame(clip, j))).collect()
    }
}

impl SampleKind for Windows {
    fn run(&self, inputs: Frames<Host>, draws: Draws<Row>) -> Result<SeveralClips<Host>> {
        let video = inputs.frames;
        Ok(SeveralClips { clips: video.clips(&self.positions(video.frames(), draws.before[0] != 0), self.length)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn windows_overlap_by_half_and_one() {
        // a window has 8 frames, and starts 3 after the one before
        let kind: Windows = testing::kind("clips = 3\nlength = 4\nstride = 2");
        assert_eq!(kind.positions(11, false), [0, 2, 4, 6, 3, 5, 7, 9, 3, 5, 7, 9]);
        assert_eq!(kind.positions(14, false), [0, 2, 4, 6, 3, 5, 7, 9, 6, 8, 10, 12]);
    }

    #[test]
    fn a_short_video_is_filled() {
        let kind: Windows = testing::kind("clips = 1\nlength = 4\nstride = 2");
        assert_eq!(kind.positions(8, true), [0, 2, 4, 6]);
        assert_eq!(kind.positions(5, true), [0, 0, 2, 4]);
        assert_eq!(kind.positions(5, false), [0, 2, 4, 4]);
    }
}
