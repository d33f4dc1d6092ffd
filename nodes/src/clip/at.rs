use super::{clip_port, FRAMES};
use crate::limits;
use anyhow::Result;
use dv_graph::host::{SampleIo, SampleKind, Value};
use dv_graph::kind::{In, Inputs, Kind, Out, PortFault};
use dv_graph::port::Port;
use schemars::JsonSchema;
use serde::Deserialize;

/// One clip at a fixed place of the video: for controls, such as still frames (`length = 1`). Positions beyond the last
/// frame repeat it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct At {
    /// Where the clip lies: at the video's first frame, in its middle, or so that it ends with the last frame.
    position: Position,
    /// Frames of the clip.
    #[schemars(range(min = 1, max = limits::FRAMES))]
    length: usize,
    /// Distance of neighbouring frames of the clip, in frames of the video.
    #[schemars(range(min = 1, max = limits::FRAMES))]
    stride: usize,
}

/// A place in a video.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Position {
    First,
    Middle,
    Last,
}

impl At {
    fn positions(&self, total: usize) -> Vec<usize> {
        let spare = total.saturating_sub((self.length - 1) * self.stride + 1);
        let start = match self.position {
            Position::First => 0,
            Position::Middle => spare / 2,
            Position::Last => spare,
        };
        (0..self.length).map(|j| (start + j * self.stride).min(total - 1)).collect()
    }
}

impl Kind for At {
    const NAME: &'static str = "clip/at";
    const INPUTS: &'static [In] = &[FRAMES];
    const OUTPUTS: &'static [Out] = &[Out::new("clips", "3 T H W", "the clip")];

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        Ok(vec![clip_port(inputs, self.length)])
    }
    fn clip_span(&self) -> Option<usize> {
        Some((self.length - 1) * self.stride + 1)
    }
}

impl SampleKind for At {
    fn run(&self, io: &mut SampleIo) -> Result<()> {
        let video = io.video("frames")?;
        io.put("clips", Value::Bytes(video.clip(&self.positions(video.frames()))?));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn the_three_places() {
        let at = |position: &str, total| {
            let kind: At = testing::kind(&format!("position = '{position}'\nlength = 3\nstride = 2"));
            kind.positions(total)
        };
        assert_eq!(at("first", 11), [0, 2, 4]);
        assert_eq!(at("middle", 11), [3, 5, 7]);
        assert_eq!(at("last", 11), [6, 8, 10]);
        assert_eq!(at("last", 2), [0, 1, 1]);
    }
}
