use super::CLIPS;
use crate::pixels::{clip_size, device_size, unit_floats};
use anyhow::Result;
use dv_graph::kind::{In, Inputs, Kind, Out, PortFault};
use dv_graph::port::Port;
use dv_train::exec::batch::{BatchIo, BatchKind};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;

/// `(x - mean) / deviation` for each channel, of pixels in 0..1: bytes are divided by 255 first.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Normalize {
    /// Mean of red, green and blue.
    #[schemars(inner(range(min = -1000.0, max = 1000.0)))]
    mean: [f32; 3],
    /// Deviation of red, green and blue.
    #[schemars(inner(range(min = 1e-6, max = 1000.0)))]
    deviation: [f32; 3],
}

impl Kind for Normalize {
    const NAME: &'static str = "view/normalize";
    const INPUTS: &'static [In] = &[CLIPS];
    const OUTPUTS: &'static [Out] = &[Out::new("clips", "3 T H W", "the clips as floats")];

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        let [time, height, width] = clip_size(inputs, "clips")?;
        Ok(vec![Port::float([3, time, height, width].map(Into::into))])
    }
}

impl BatchKind for Normalize {
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        let clips = io.tensor("clips")?;
        device_size(&clips)?;
        let channels = |x: [f32; 3]| Tensor::from_slice(&x).reshape([1, 3, 1, 1, 1]).to_device(clips.device());
        io.put("clips", (unit_floats(&clips) - channels(self.mean)) / channels(self.deviation));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn bytes_and_floats_come_to_the_same() {
        let kind: Normalize = testing::kind("mean = [0.5, 0, 0.1]\ndeviation = [0.5, 1, 0.2]");
        let bytes = Tensor::from_slice(&[255u8, 51, 0]).reshape([1, 3, 1, 1, 1]);
        for clips in [bytes.shallow_clone(), bytes.to_kind(tch::Kind::Float) / 255.0] {
            let out = testing::run(&kind, 1, vec![("clips", clips)]).take("clips");
            assert_eq!(Vec::<f32>::try_from(out.flatten(0, -1)).unwrap(), [1.0, 0.2, -0.5]);
        }
        assert_eq!(testing::faults::<Normalize>("mean = [0, 0, 0]\ndeviation = [1, 0, 1]").len(), 1);
    }
}
