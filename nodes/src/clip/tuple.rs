use super::{clip_port, random_start, with_clips, FRAMES};
use crate::limits;
use anyhow::Result;
use dv_graph::host::{Array, SampleIo, SampleKind, Value};
use dv_graph::kind::{In, Inputs, Kind, Out, PortFault};
use dv_graph::port::Port;
use schemars::JsonSchema;
use serde::Deserialize;

/// Clips one after the other with a gap between, the first at a place uniform over all at which they all lie within the video. Of a
/// video that is too short, they start with the first frame and repeat the last. VCOP: 3 clips of 16 frames, gaps of 8.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tuple {
    /// Clips: the length of the item axis `clip`.
    #[schemars(range(min = 1, max = limits::CLIPS))]
    clips: usize,
    /// Frames of a clip.
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
        (self.length - 1) * self.stride + 1 + self.gap
    }
    fn positions(&self, start: usize, total: usize) -> Vec<usize> {
        let frame = |clip: usize, j: usize| (start + clip * self.step() + j * self.stride).min(total - 1);
        (0..self.clips).flat_map(|clip| (0..self.length).map(move |j| frame(clip, j))).collect()
    }
}

impl Kind for Tuple {
    const NAME: &'static str = "clip/tuple";
    const INPUTS: &'static [In] = &[FRAMES];
    const OUTPUTS: &'static [Out] = &[
        Out::new("clips", "clip.. 3 T H W", "the clips, on an item axis `clip`, in the order of time"),
        Out::draw("start", "1", "the first clip's first frame, in frames of the video"),
    ];

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        let frames = inputs.port("frames").shape[1].clone();
        Ok(vec![with_clips(clip_port(inputs, self.length), self.clips), Port::index([1.into()]).with_range(frames)])
    }
    fn clip_span(&self) -> Option<usize> {
        Some((self.clips * self.step()).saturating_sub(self.gap))
    }
}

impl SampleKind for Tuple {
    fn run(&self, io: &mut SampleIo) -> Result<()> {
        let video = io.video("frames")?;
        let total = video.frames();
        let start = random_start(io, total, self.clips * self.step() - self.gap)?;
        let frames = video.clip(&self.positions(start, total))?;
        let shape = [&[self.clips, self.length], &frames.shape[1..]].concat();
        io.put("clips", Value::Bytes(Array { shape, data: frames.data }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clip::tests::video;
    use crate::testing;

    #[test]
    fn vcop_takes_64_frames() {
        let kind: Tuple = testing::kind("clips = 3\nlength = 16\nstride = 1\ngap = 8");
        let positions = kind.positions(5, 100);
        let expected: Vec<usize> = [5..21, 29..45, 53..69].into_iter().flatten().collect();
        assert_eq!(positions, expected);
        let only = testing::run_host(&kind, 3, &[("frames", Value::Video(video(64)))]);
        assert_eq!(testing::host_index(&only["start"]), [0]);
        let Value::Bytes(clips) = &only["clips"] else { panic!() };
        assert_eq!(clips.shape[..2], [3, 16]);
        assert_eq!(kind.positions(0, 30)[30..34], [29; 4]);
    }

    #[test]
    fn bad_settings_are_told() {
        assert_eq!(testing::faults::<Tuple>("clips = 0\nlength = 0\nstride = 0\ngap = 0").len(), 3);
    }
}
