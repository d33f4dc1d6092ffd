use super::{clip_port, FRAMES};
use crate::limits;
use anyhow::{ensure, Result};
use dv_graph::host::{SampleIo, SampleKind, Value};
use dv_graph::kind::{In, Inputs, Kind, Out, PortFault};
use dv_graph::port::Port;
use schemars::JsonSchema;
use serde::Deserialize;

/// Two clips around independent centres, each uniform over all frames: frame j of a clip is
/// `centre + (j - length/2) * stride`, clamped to the video, so that clips near an end repeat its first or last frame.
/// DualVar, the stage-prototype sampler of its pretraining.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StagePrototype {
    /// Frames of a clip.
    #[schemars(range(min = 1, max = limits::FRAMES))]
    length: usize,
    /// Distance of neighbouring frames of a clip, in frames of the video.
    #[schemars(range(min = 1, max = limits::FRAMES))]
    stride: usize,
    /// Probability that both clips are reversed in time, together (DualVar's `rand_flip`: 0.5).
    #[schemars(range(min = 0.0, max = 1.0))]
    time_flip: f64,
}

impl StagePrototype {
    fn positions(&self, total: usize, centre: usize, reversed: bool) -> Vec<usize> {
        let frame = |j: usize| (centre + j * self.stride).saturating_sub(self.length / 2 * self.stride).min(total - 1);
        let mut positions: Vec<usize> = (0..self.length).map(frame).collect();
        if reversed {
            positions.reverse();
        }
        positions
    }
}

impl Kind for StagePrototype {
    const NAME: &'static str = "clip/stage_prototype";
    const INPUTS: &'static [In] = &[FRAMES];
    const OUTPUTS: &'static [Out] = &[
        Out::new("first", "3 T H W", "the first clip"),
        Out::new("second", "3 T H W", "the second clip"),
        Out::draw("centres", "2", "the two clips' centres, in frames of the video"),
        Out::draw("reversed", "1", "1 where both clips run backwards"),
    ];

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        let clip = clip_port(inputs, self.length);
        let frames = inputs.port("frames").shape[1].clone();
        Ok(vec![clip.clone(), clip, Port::index([2.into()]).with_range(frames), Port::index([1.into()]).with_range(2.into())])
    }
    fn clip_span(&self) -> Option<usize> {
        Some((self.length - 1) * self.stride + 1)
    }
}

impl SampleKind for StagePrototype {
    fn run(&self, io: &mut SampleIo) -> Result<()> {
        let video = io.video("frames")?;
        let total = video.frames();
        let centres = io.draw_index("centres", &[2], |rng| vec![rng.below(total) as i64, rng.below(total) as i64])?;
        let reversed = io.draw_index("reversed", &[1], |rng| vec![i64::from(rng.chance(self.time_flip))])?;
        for (name, centre) in ["first", "second"].into_iter().zip(centres) {
            let centre = usize::try_from(centre).unwrap_or(total);
            ensure!(centre < total, "`centres` must lie in 0..{total}, the video's frames");
            io.put(name, Value::Bytes(video.clip(&self.positions(total, centre, reversed[0] != 0))?));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parity, testing};

    #[test]
    fn frames_are_those_of_the_published_sampler() {
        let case = parity::Case::open("f_sampler_dualvar_stage_prototype");
        for row in case.json["params"]["table"].as_array().unwrap() {
            let number = |key: &str| row[key].as_u64().unwrap() as usize;
            let (length, stride) = (number("num_frames"), number("ds"));
            let kind: StagePrototype = testing::kind(&format!("length = {length}\nstride = {stride}\ntime_flip = 0.5"));
            let centre = row["draws"][0]["value"].as_u64().unwrap() as usize;
            let frames: Vec<usize> = serde_json::from_value(row["frames"].clone()).unwrap();
            assert_eq!(kind.positions(number("total"), centre, false), frames);
            let backwards: Vec<usize> = frames.into_iter().rev().collect();
            assert_eq!(kind.positions(number("total"), centre, true), backwards);
        }
    }

    #[test]
    fn bad_settings_are_told() {
        let faults = testing::faults::<StagePrototype>("length = 0\nstride = 0\ntime_flip = 1.5");
        assert_eq!(faults.len(), 3);
    }
}
