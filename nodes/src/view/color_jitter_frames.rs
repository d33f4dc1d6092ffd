use super::color_jitter::{self, jittered, ColorJitter};
use crate::prelude::*;

/// As `view/color_jitter`, but each frame of a clip draws for itself: factors, order, and whether it is changed at all.
#[kind("view/color_jitter_frames", inputs = Pixels, outputs = Floats, draws = Draws, source = "IIC (Tao et al. 2020), its code")]
pub struct ColorJitterFrames(ColorJitter);

#[derive(Ports)]
pub struct Draws<P: Plane> {
    /// `T 4` of each frame: of brightness, contrast, saturation, hue
    factors: P::Float,
    /// `T 4` of each frame: which of the four comes when: 0 brightness, 1 contrast, 2 saturation, 3 hue
    #[range("4")]
    order: P::Index,
    /// `T` 1 where the frame is changed
    #[range("2")]
    applied: P::Index,
}

impl Kind for ColorJitterFrames {
    fn draw(&self, mut dice: Draws<Dice>, seen: &Seen<Self>) -> Result<Draws<Row>> {
        let [_, time, _, _] = seen.inputs.clips.clip()?;
        let mut all = Draws::<Row> { factors: vec![], order: vec![], applied: vec![] };
        for _ in 0..time {
            let frame = self.0.of_one(&mut dice.factors, &mut dice.order, &mut dice.applied);
            all.factors.extend(frame.factors);
            all.order.extend(frame.order);
            all.applied.extend(frame.applied);
        }
        Ok(all)
    }
}

impl BatchKind for ColorJitterFrames {
    fn run(&self, inputs: Pixels<Batch>, cx: &Cx<Self>) -> Result<Floats<Batch>> {
        let [rows, time, height, width] = device_size(&inputs.clips)?;
        let frames = inputs.clips.permute([0, 2, 1, 3, 4]).reshape([rows * time, 3, 1, height, width]);
        let of_frame = |(clip, t): (&Draws<Row>, usize)| color_jitter::Draws {
            factors: clip.factors[4 * t..4 * t + 4].to_vec(),
            order: clip.order[4 * t..4 * t + 4].to_vec(),
            applied: vec![clip.applied[t]],
        };
        let clips = cx.draw_rows()?;
        let draws: Vec<_> = clips.iter().flat_map(|clip| (0..time as usize).map(move |t| of_frame((clip, t)))).collect();
        Ok(Floats { clips: jittered(&frames, &draws)?.reshape([rows, time, 3, height, width]).permute([0, 2, 1, 3, 4]) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use tch::Tensor;

    const SETTINGS: &str = "brightness = 0.8\ncontrast = 0.8\nsaturation = 0.8\nhue = 0.2\nprobability = 0.5";

    #[test]
    fn each_frame_is_a_clip_of_its_own() {
        let clips = Tensor::rand([2, 3, 4, 6, 5], tch::kind::FLOAT_CPU);
        let mut all = testing::run(&testing::kind::<ColorJitterFrames>(SETTINGS), 2, vec![("clips", clips.shallow_clone())]);
        let (factors, order, applied) = (all.take("factors"), all.take("order"), all.take("applied"));
        let out = all.take("clips");
        for time in 0..4 {
            let inputs = vec![
                ("clips", clips.narrow(2, time, 1)),
                ("factors", factors.select(1, time)),
                ("order", order.select(1, time)),
                ("applied", applied.narrow(1, time, 1)),
            ];
            let alone = testing::run(&testing::kind::<ColorJitter>(SETTINGS), 2, inputs).take("clips");
            assert!((alone - out.narrow(2, time, 1)).abs().max().double_value(&[]) < 1e-6);
        }
    }
}
