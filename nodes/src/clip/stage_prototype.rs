use super::{frame, span};
use crate::prelude::*;

/// Two clips around independent centres, each uniform over all frames: frame j of a clip is
/// `centre + (j - length/2) * stride`, clamped to the video, so that clips near an end repeat its first or last frame.
/// DualVar, the stage-prototype sampler of its pretraining.
#[kind("clip/stage_prototype", inputs = Frames, outputs = Two, draws = Draws, source = "DualVar (Zhang et al. 2021), section 3.1 and its code")]
pub struct StagePrototype {
    /// Frames of a clip.
    #[smoke(8)]
    #[schemars(range(min = 1, max = limits::FRAMES))]
    length: usize,
    /// Distance of neighbouring frames of a clip, in frames of the video.
    #[schemars(range(min = 1, max = limits::FRAMES))]
    stride: usize,
    /// Probability that both clips are reversed in time, together (DualVar's `rand_flip`: 0.5).
    #[schemars(range(min = 0.0, max = 1.0))]
    time_flip: f64,
}

#[derive(Ports)]
pub struct Two<P: Plane> {
    /// `3 length H W` the first clip
    first: P::Bytes,
    /// `3 length H W` the second clip
    second: P::Bytes,
}

#[derive(Ports)]
pub struct Draws<P: Plane> {
    /// `2` the two clips' centres, in frames of the video
    #[range("frames")]
    centres: P::Index,
    /// `1` 1 where both clips run backwards
    #[range("2")]
    reversed: P::Index,
}

impl Kind for StagePrototype {
    fn draw(&self, mut dice: Draws<Dice>, seen: &Seen<Self>) -> Result<Draws<Row>> {
        let mut centre = || dice.centres.below(seen.inputs.frames.shape[1]) as i64;
        Ok(Draws { centres: vec![centre(), centre()], reversed: vec![i64::from(dice.reversed.chance(self.time_flip))] })
    }
    fn clip_span(&self) -> Option<usize> {
        Some(span(self.length, self.stride))
    }
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

impl SampleKind for StagePrototype {
    fn run(&self, inputs: Frames<Host>, draws: Draws<Row>) -> Result<Two<Host>> {
        let (video, total) = (&inputs.frames, inputs.frames.frames());
        let clip = |centre| {
            let positions = self.positions(total, frame(centre, total, "centres")?, draws.reversed[0] != 0);
            Ok::<Clips, anyhow::Error>(video.clip(&positions)?.into())
        };
        Ok(Two { first: clip(draws.centres[0])?, second: clip(draws.centres[1])? })
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
