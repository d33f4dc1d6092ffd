use super::{clip_port, random_start, FRAMES};
use crate::limits;
use anyhow::Result;
use dv_graph::host::{SampleIo, SampleKind, Value};
use dv_graph::kind::{In, Inputs, Kind, Out, PortFault};
use dv_graph::port::Port;
use schemars::JsonSchema;
use serde::Deserialize;

/// One clip at a place uniform over all at which it lies within the video. Of a video that is too short, the clip starts with the first
/// frame and repeats the last. IIC's pretraining and fine-tuning, on a video without its last frame (`clip/trim`).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Random {
    /// Frames of the clip.
    #[schemars(range(min = 1, max = limits::FRAMES))]
    length: usize,
    /// Distance of neighbouring frames of the clip, in frames of the video.
    #[schemars(range(min = 1, max = limits::FRAMES))]
    stride: usize,
}

impl Random {
    fn span(&self) -> usize {
        (self.length - 1) * self.stride + 1
    }
}

impl Kind for Random {
    const NAME: &'static str = "clip/random";
    const INPUTS: &'static [In] = &[FRAMES];
    const OUTPUTS: &'static [Out] =
        &[Out::new("clips", "3 T H W", "the clip"), Out::draw("start", "1", "the clip's first frame, in frames of the video")];

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        let frames = inputs.port("frames").shape[1].clone();
        Ok(vec![clip_port(inputs, self.length), Port::index([1.into()]).with_range(frames)])
    }
    fn clip_span(&self) -> Option<usize> {
        Some((self.length - 1) * self.stride + 1)
    }
}

impl SampleKind for Random {
    fn run(&self, io: &mut SampleIo) -> Result<()> {
        let video = io.video("frames")?;
        let total = video.frames();
        let start = random_start(io, total, self.span())?;
        let positions: Vec<usize> = (0..self.length).map(|j| (start + j * self.stride).min(total - 1)).collect();
        io.put("clips", Value::Bytes(video.clip(&positions)?));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clip::tests::video;
    use crate::testing;
    use dv_graph::host::Array;
    use std::collections::HashSet;

    /// Clips of 3 frames at stride 2 from a video of so many: each frame's number is its pixels' value.
    fn clips(total: usize, samples: u64) -> Vec<(i64, Vec<u8>)> {
        let (kind, video) = (testing::kind::<Random>("length = 3\nstride = 2"), video(total));
        let one = |id: u64| {
            let out = testing::run_host(&kind, id, &[("frames", Value::Video(video.clone()))]);
            let Value::Bytes(clip) = &out["clips"] else { panic!() };
            (testing::host_index(&out["start"])[0], clip.data.iter().step_by(clip.data.len() / 3).copied().collect())
        };
        (0..samples).map(one).collect()
    }

    #[test]
    fn every_place_within_the_video_is_drawn_and_no_other() {
        let drawn = clips(8, 100);
        assert_eq!(drawn.iter().map(|(start, _)| *start).collect::<HashSet<_>>(), HashSet::from([0, 1, 2, 3]));
        for (start, frames) in drawn {
            assert_eq!(frames, [0, 2, 4].map(|j| start as u8 + j));
        }
    }

    #[test]
    fn a_short_video_repeats_its_last_frame() {
        assert_eq!(clips(4, 3), vec![(0, vec![0, 2, 3]); 3]);
    }

    #[test]
    fn a_start_can_be_given_if_it_is_a_frame() {
        let (kind, video) = (testing::kind::<Random>("length = 3\nstride = 2"), video(6));
        let start = |n: i64| [("frames", Value::Video(video.clone())), ("start", Value::Index(Array::new(vec![1], vec![n])))];
        let out = testing::run_host(&kind, 0, &start(5));
        assert_eq!(testing::host_index(&out["start"]), [5]);
        assert!(std::panic::catch_unwind(|| testing::run_host(&kind, 0, &start(6))).is_err());
    }
}
