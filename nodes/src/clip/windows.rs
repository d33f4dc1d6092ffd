use super::{clip_port, padded, with_clips, FRAMES};
use crate::limits;
use anyhow::Result;
use dv_graph::host::{Array, SampleIo, SampleKind, Value};
use dv_graph::kind::{In, Inputs, Kind, Out, PortFault};
use dv_graph::port::Port;
use schemars::JsonSchema;
use serde::Deserialize;

/// Windows of `length * stride` frames from the video's start on, each half a window less one frame after the one before, as far
/// as they fit. A video with fewer repeats its last; one shorter than a window gives that alone, filled with its first frame before or
/// its last behind, by a coin. DualVar, the sampler's mode `test`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Windows {
    /// Windows of each video: the length of the item axis `clip`. Later ones are left out.
    #[schemars(range(min = 1, max = limits::CLIPS))]
    clips: usize,
    /// Frames of a clip.
    #[schemars(range(min = 1, max = limits::FRAMES))]
    length: usize,
    /// Distance of neighbouring frames of a clip, in frames of the video.
    #[schemars(range(min = 1, max = limits::FRAMES))]
    stride: usize,
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

impl Kind for Windows {
    const NAME: &'static str = "clip/windows";
    const INPUTS: &'static [In] = &[FRAMES];
    const OUTPUTS: &'static [Out] = &[
        Out::new("clips", "clip.. 3 T H W", "the clips, on an item axis `clip`, in the order of time"),
        Out::draw("before", "1", "1 where a short video's clip is filled with its first frame before, 0 with its last behind"),
    ];

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        Ok(vec![with_clips(clip_port(inputs, self.length), self.clips), Port::index([1.into()]).with_range(2.into())])
    }
    fn clip_span(&self) -> Option<usize> {
        Some((self.length - 1) * self.stride + 1)
    }
}

impl SampleKind for Windows {
    fn run(&self, io: &mut SampleIo) -> Result<()> {
        let video = io.video("frames")?;
        let before = io.draw_index("before", &[1], |rng| vec![i64::from(rng.chance(0.5))])?[0];
        let frames = video.clip(&self.positions(video.frames(), before != 0))?;
        let shape = [&[self.clips, self.length], &frames.shape[1..]].concat();
        io.put("clips", Value::Bytes(Array { shape, data: frames.data }));
        Ok(())
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
