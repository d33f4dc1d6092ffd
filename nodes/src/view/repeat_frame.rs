use crate::prelude::*;

/// One frame of a clip, drawn uniformly, at every place of it: what stands there without any motion. IIC's intra-negative by
/// frame repeating.
#[kind("view/repeat_frame", inputs = Pixels, outputs = Same, draws = Draws, source = "IIC (Tao et al. 2020), section 3.3")]
pub struct RepeatFrame {}

#[derive(Ports)]
pub struct Draws<P: Plane> {
    /// `1` which frame of the clip is repeated
    #[range("T")]
    frame: P::Index,
}

impl Kind for RepeatFrame {
    fn draw(&self, mut dice: Draws<Dice>, seen: &Seen<Self>) -> Result<Draws<Row>> {
        let [_, time, _, _] = seen.inputs.clips.clip()?;
        ensure!(time > 0, "a clip of no frames");
        Ok(Draws { frame: vec![dice.frame.below(time) as i64] })
    }
}

impl ViewKind for RepeatFrame {
    fn transform(&self, draws: Draws<Row>, [time, _, _]: [usize; 3]) -> Result<Transform> {
        let frame = draws.frame[0];
        ensure!((0..time as i64).contains(&frame), "`frame` must lie in 0..{time}, the clip's frames");
        Ok(Transform::frames(vec![frame as usize; time]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parity::Case, testing};

    #[test]
    fn the_drawn_frame_stands_everywhere_as_in_the_reference() {
        let case = Case::open("d_gen_neg");
        let draws: Vec<[i64; 3]> = serde_json::from_value(case.json["params"]["repeat_draws"].clone()).unwrap();
        let frames: Vec<i64> = draws.iter().map(|[_, _, frame]| *frame).collect();
        let frame = Tensor::from_slice(&frames).reshape([-1, 1]);
        let out = testing::run(&testing::kind::<RepeatFrame>(""), 4, vec![("clips", case.input("x")), ("frame", frame)]);
        case.tensor("repeat", out.tensor("clips"));
    }

    #[test]
    fn host_and_device_draw_and_repeat_the_same() {
        let kind: RepeatFrame = testing::kind("");
        let clips = Tensor::randint(256, [6, 3, 5, 2, 3], (tch::Kind::Uint8, tch::Device::Cpu));
        let device = testing::run(&kind, 6, vec![("clips", clips.shallow_clone())]);
        for row in 0..6 {
            let host = testing::run_host(&kind, row as u64, &[("clips", testing::host_clip(testing::clip_array(&clips.get(row))))]);
            assert_eq!(host["clips"], testing::host_clip(testing::clip_array(&device.tensor("clips").get(row))));
            assert_eq!(testing::host_index(&host["frame"]), [device.tensor("frame").int64_value(&[row, 0])]);
        }
    }
}
