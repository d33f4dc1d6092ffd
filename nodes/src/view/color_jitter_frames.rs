use super::color_jitter::{jittered, ColorJitter};
use super::CLIPS;
use crate::pixels::{clip_size, device_size, draw_float, draw_index};
use anyhow::Result;
use dv_graph::kind::{In, Inputs, Kind, Out, PortFault};
use dv_graph::port::Port;
use dv_train::exec::batch::{BatchIo, BatchKind};
use schemars::JsonSchema;
use serde::Deserialize;

/// As `view/color_jitter`, but each frame of a clip draws for itself: factors, order, and whether it is changed at all.
#[derive(Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ColorJitterFrames(ColorJitter);

impl Kind for ColorJitterFrames {
    const NAME: &'static str = "view/color_jitter_frames";
    const INPUTS: &'static [In] = &[CLIPS];
    const OUTPUTS: &'static [Out] = &[
        Out::new("clips", "3 T H W", "the clips as floats in 0..1"),
        Out::draw("factors", "T 4", "of each frame: of brightness, contrast, saturation, hue"),
        Out::draw("order", "T 4", "of each frame: which of the four comes when: 0 brightness, 1 contrast, 2 saturation, 3 hue"),
        Out::draw("applied", "T", "1 where the frame is changed"),
    ];

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        let [time, height, width] = clip_size(inputs, "clips")?;
        Ok(vec![
            Port::float([3, time, height, width].map(Into::into)),
            Port::float([time.into(), 4.into()]),
            Port::index([time.into(), 4.into()]).with_range(4.into()),
            Port::index([time.into()]).with_range(2.into()),
        ])
    }
}

impl BatchKind for ColorJitterFrames {
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        let clips = io.tensor("clips")?;
        let [rows, time, height, width] = device_size(&clips)?;
        let n = time as usize;
        let factors = draw_float(io, "factors", &[n, 4], |rng| (0..n).flat_map(|_| self.0.factors(rng)).collect())?;
        let order = draw_index(io, "order", &[n, 4], |rng| (0..n).flat_map(|_| ColorJitter::order(rng)).collect())?;
        let applied = draw_index(io, "applied", &[n], |rng| (0..n).map(|_| self.0.applied(rng)).collect())?;
        let frames = clips.permute([0, 2, 1, 3, 4]).reshape([rows * time, 3, 1, height, width]);
        let by_frame = |list: &[Vec<i64>], width: usize| -> Vec<Vec<i64>> { list.concat().chunks(width).map(<[i64]>::to_vec).collect() };
        let factors: Vec<Vec<f32>> = factors.concat().chunks(4).map(<[f32]>::to_vec).collect();
        let changed = jittered(&frames, &factors, &by_frame(&order, 4), &by_frame(&applied, 1))?;
        io.put("clips", changed.reshape([rows, time, 3, height, width]).permute([0, 2, 1, 3, 4]));
        Ok(())
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
