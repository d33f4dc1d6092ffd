use super::{clamped, frame, random_start, span, SeveralClips, Start};
use crate::prelude::*;

/// Clips one after the other with a gap between, the first at a place uniform over all at which they all lie within the video. Of a
/// video that is too short, they start with the first frame and repeat the last. VCOP: 3 clips of 16 frames, gaps of 8.
#[kind("clip/tuple", inputs = Frames, outputs = SeveralClips, draws = Start, source = "VCOP (Xu et al. 2019), section 3.1")]
pub struct Tuple {
    /// Clips: the length of the item axis `clip`.
    #[schemars(range(min = 1, max = limits::CLIPS))]
    clips: usize,
    /// Frames of a clip.
    #[smoke(8)]
    #[schemars(range(min = 1, max = limits::FRAMES))]
    length: usize,
    /// Distance of neighbouring frames of a clip, in frames of the video.
    #[schemars(range(min = 1, max = limits::FRAMES))]
    stride: usize,
    /// Frames of the video between one clip's last frame and the next one's first.
    #[schemars(range(min = 0, max = limits::FRAMES))]
    gap: usize,
}

impl Tuple {
    /// From one clip's first frame to the next one's.
    fn step(&self) -> usize {
        span(self.length, self.stride) + self.gap
    }
    fn span(&self) -> usize {
        (self.clips * self.step()).saturating_sub(self.gap)
    }
    fn positions(&self, start: usize, total: usize) -> Vec<usize> {
        (0..self.clips).flat_map(|clip| clamped(total, start + clip * self.step(), self.length, self.stride)).collect()
    }
}

impl Kind for Tuple {
    fn draw(&self, mut dice: Start<Dice>, seen: &Seen<Self>) -> Result<Start<Row>> {
        Ok(Start { start: random_start(&mut dice.start, seen.inputs.frames.shape[1], self.span()) })
    }
    fn clip_span(&self) -> Option<usize> {
        Some(self.span())
    }
}

impl SampleKind for Tuple {
    fn run(&self, inputs: Frames<Host>, draws: Start<Row>) -> Result<SeveralClips<Host>> {
        let (video, total) = (&inputs.frames, inputs.frames.frames());
        let positions = self.positions(frame(draws.start[0], total, "start")?, total);
        Ok(SeveralClips { clips: video.clips(&positions, self.length)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clip::tests::video;
    use crate::testing;
    use dv_graph::host::Value;

    #[test]
    fn vcop_takes_64_frames() {
        let kind: Tuple = testing::kind("clips = 3\nlength = 16\nstride = 1\ngap = 8");
        let positions = kind.positions(5, 100);
        let expected: Vec<usize> = [5..21, 29..45, 53..69].into_iter().flatten().collect();
        assert_eq!(positions, expected);
        let only = testing::run_host(&kind, 3, &[("frames", Value::Video(video(64)))]);
        assert_eq!(testing::host_index(&only["start"]), [0]);
        let clips = testing::host_pixels(&only["clips"]);
        assert_eq!(clips.shape[..2], [3, 16]);
        assert_eq!(kind.positions(0, 30)[30..34], [29; 4]);
    }

    #[test]
    fn bad_settings_are_told() {
        assert_eq!(testing::faults::<Tuple>("clips = 0\nlength = 0\nstride = 0\ngap = 0").len(), 3);
    }
}
