use super::{clamped, frame, random_start, span, OneClip, Start};
use crate::prelude::*;

/// One clip at a place uniform over all at which it lies within the video. Of a video that is too short, the clip starts with the first
/// frame and repeats the last. IIC's pretraining and fine-tuning, on a video without its last frame (`clip/trim`).
#[kind("clip/random", inputs = Frames, outputs = OneClip, draws = Start, source = "IIC (Tao et al. 2020), its code")]
pub struct Random {
    /// Frames of the clip.
    #[smoke(8)]
    #[schemars(range(min = 1, max = limits::FRAMES))]
    length: usize,
    /// Distance of neighbouring frames of the clip, in frames of the video.
    #[schemars(range(min = 1, max = limits::FRAMES))]
    stride: usize,
}

impl Kind for Random {
    fn draw(&self, mut dice: Start<Dice>, seen: &Seen<Self>) -> Result<Start<Row>> {
        Ok(Start { start: random_start(&mut dice.start, seen.inputs.frames.shape[1], span(self.length, self.stride)) })
    }
    fn clip_span(&self) -> Option<usize> {
        Some(span(self.length, self.stride))
    }
}

impl SampleKind for Random {
    fn run(&self, inputs: Frames<Host>, draws: Start<Row>) -> Result<OneClip<Host>> {
        let (video, total) = (&inputs.frames, inputs.frames.frames());
        let start = frame(draws.start[0], total, "start")?;
        let positions: Vec<usize> = clamped(total, start, self.length, self.stride).collect();
        Ok(OneClip { clips: video.clip(&positions)?.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clip::tests::video;
    use crate::testing;
    use dv_graph::host::Value;
    use std::collections::HashSet;

    /// Clips of 3 frames at stride 2 from a video of so many: each frame's number is its pixels' value.
    fn clips(total: usize, samples: u64) -> Vec<(i64, Vec<u8>)> {
        let (kind, video) = (testing::kind::<Random>("length = 3\nstride = 2"), video(total));
        let one = |id: u64| {
            let out = testing::run_host(&kind, id, &[("frames", Value::Video(video.clone()))]);
            let clip = testing::host_pixels(&out["clips"]);
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
