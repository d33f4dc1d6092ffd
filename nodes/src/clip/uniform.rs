use super::{clip_port, with_clips, FRAMES};
use crate::limits;
use anyhow::Result;
use dv_graph::host::{Array, SampleIo, SampleKind, Value};
use dv_graph::kind::{In, Inputs, Kind, Out, PortFault};
use dv_graph::port::Port;
use schemars::JsonSchema;
use serde::Deserialize;

/// Clips spread evenly over the video, from its first frames to its last. With `h = length * stride / 2` their centres
/// are evenly spaced from `h` to `frames - h`; positions beyond the last frame repeat it, and a short video gives the same
/// clip each time. DualVar's ten-clip list.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Uniform {
    /// Clips of each video: the length of the item axis `clip`.
    #[schemars(range(min = 1, max = limits::CLIPS))]
    clips: usize,
    /// Frames of a clip.
    #[schemars(range(min = 1, max = limits::FRAMES))]
    length: usize,
    /// Distance of neighbouring frames of a clip, in frames of the video.
    #[schemars(range(min = 1, max = limits::FRAMES))]
    stride: usize,
}

impl Uniform {
    fn starts(&self, total: usize) -> Vec<usize> {
        let half = self.length * self.stride / 2;
        let first = half.min(total) as f64;
        let last = first.max(total as f64 - half as f64);
        let step = if self.clips > 1 { (last - first) / (self.clips - 1) as f64 } else { 0.0 };
        let centre = |i: usize| if i > 0 && i + 1 == self.clips { last } else { i as f64 * step + first };
        (0..self.clips).map(|i| (centre(i) - half as f64).max(0.0) as usize).collect()
    }
    fn positions(&self, total: usize) -> Vec<usize> {
        let frame = |start: usize, j: usize| (start + j * self.stride).min(total - 1);
        self.starts(total).into_iter().flat_map(|start| (0..self.length).map(move |j| frame(start, j))).collect()
    }
}

impl Kind for Uniform {
    const NAME: &'static str = "clip/uniform";
    const INPUTS: &'static [In] = &[FRAMES];
    const OUTPUTS: &'static [Out] = &[Out::new("clips", "clip.. 3 T H W", "the clips, on an item axis `clip`, in the order of time")];

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        Ok(vec![with_clips(clip_port(inputs, self.length), self.clips)])
    }
    fn clip_span(&self) -> Option<usize> {
        Some((self.length - 1) * self.stride + 1)
    }
}

impl SampleKind for Uniform {
    fn run(&self, io: &mut SampleIo) -> Result<()> {
        let video = io.video("frames")?;
        let frames = video.clip(&self.positions(video.frames()))?;
        let shape = [&[self.clips, self.length], &frames.shape[1..]].concat();
        io.put("clips", Value::Bytes(Array { shape, data: frames.data }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parity, testing};

    #[test]
    fn frames_are_those_of_the_published_ten_clips() {
        let case = parity::Case::open("f_sampler_dualvar_10clip");
        for row in case.json["params"]["table"].as_array().unwrap() {
            let number = |key: &str| row[key].as_u64().unwrap() as usize;
            let (length, stride) = (number("num_frames"), number("ds"));
            let kind: Uniform = testing::kind(&format!("clips = 10\nlength = {length}\nstride = {stride}"));
            let clips: Vec<Vec<usize>> = serde_json::from_value(row["clips"].clone()).unwrap();
            assert_eq!(kind.positions(number("total")), clips.concat(), "{} frames", number("total"));
        }
    }

    #[test]
    fn one_clip_starts_with_the_video() {
        let kind: Uniform = testing::kind("clips = 1\nlength = 16\nstride = 4");
        assert_eq!(kind.starts(300), [0]);
    }
}
