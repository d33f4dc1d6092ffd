use super::{clip_port, padded, FRAMES};
use crate::limits;
use anyhow::{ensure, Result};
use dv_graph::draw::Rng;
use dv_graph::host::{SampleIo, SampleKind, Value};
use dv_graph::kind::{In, Inputs, Kind, Out, PortFault};
use dv_graph::port::Port;
use schemars::JsonSchema;
use serde::Deserialize;

/// One clip at a random place: its first frame is uniform over those after which `length * stride` frames and one more
/// follow. A shorter video gives every `stride`-th of its frames from a random one of its first on, and repeats its first frame before or its last
/// behind them, by a coin. DualVar, the sampler of its fine-tuning, in training and validation.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandomPadded {
    /// Frames of a clip.
    #[schemars(range(min = 1, max = limits::FRAMES))]
    length: usize,
    /// Distance of neighbouring frames of a clip, in frames of the video.
    #[schemars(range(min = 1, max = limits::FRAMES))]
    stride: usize,
}

impl RandomPadded {
    /// The clip's first frame; of a short video among its first `stride`.
    fn start(&self, rng: &mut Rng, total: usize) -> i64 {
        let span = self.length * self.stride;
        rng.below(if total > span { total - span } else { self.stride }) as i64
    }
    fn positions(&self, total: usize, start: usize, before: bool) -> Vec<usize> {
        if total > self.length * self.stride {
            return (0..self.length).map(|j| (start + j * self.stride).min(total - 1)).collect();
        }
        padded(total, start, self.length, self.stride, before)
    }
}

impl Kind for RandomPadded {
    const NAME: &'static str = "clip/random_padded";
    const INPUTS: &'static [In] = &[FRAMES];
    const OUTPUTS: &'static [Out] = &[
        Out::new("clips", "3 T H W", "the clip"),
        Out::draw("start", "1", "the clip's first frame; of a short video its first that is taken"),
        Out::draw("before", "1", "1 where a short video's clip is filled with its first frame before, 0 with its last behind"),
    ];

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        let frames = inputs.port("frames").shape[1].clone();
        Ok(vec![clip_port(inputs, self.length), Port::index([1.into()]).with_range(frames), Port::index([1.into()]).with_range(2.into())])
    }
    fn clip_span(&self) -> Option<usize> {
        Some((self.length - 1) * self.stride + 1)
    }
}

impl SampleKind for RandomPadded {
    fn run(&self, io: &mut SampleIo) -> Result<()> {
        let video = io.video("frames")?;
        let total = video.frames();
        let start = io.draw_index("start", &[1], |rng| vec![self.start(rng, total)])?[0];
        let before = io.draw_index("before", &[1], |rng| vec![i64::from(rng.chance(0.5))])?[0];
        ensure!((0..total.max(self.stride) as i64).contains(&start), "`start` must lie in the video's {total} frames");
        io.put("clips", Value::Bytes(video.clip(&self.positions(total, start as usize, before != 0))?));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use dv_graph::draw::Key;

    fn kind() -> RandomPadded {
        testing::kind("length = 4\nstride = 3")
    }

    #[test]
    fn a_long_video_gives_a_whole_clip() {
        assert_eq!(kind().positions(20, 7, true), [7, 10, 13, 16]);
        // as published the last place is never drawn: 13 frames leave one
        let drawn = |seed| kind().start(&mut Key::initial(seed, "x").rng(), 13);
        assert!((0..20).all(|seed| drawn(seed) == 0));
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
