use super::CLIPS;
use crate::pixels::{clip_size, device_size, unit_floats};
use anyhow::Result;
use dv_graph::kind::{In, Inputs, Kind, Out, PortFault};
use dv_graph::port::Port;
use dv_train::exec::batch::{BatchIo, BatchKind};
use schemars::JsonSchema;
use serde::Deserialize;

/// Residual clips, IIC's second view: each frame minus the one before it; before the first comes the clip's last, so that the
/// length stays. Of pixels in 0..1: bytes are divided by 255 first.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Residual {
    /// Whether differences, -1..1, are brought to 0..1 as `(d + 1) / 2`: IIC does so in pretraining and retrieval, and not in
    /// fine-tuning.
    rescale: bool,
}

impl Kind for Residual {
    const NAME: &'static str = "view/residual";
    const INPUTS: &'static [In] = &[CLIPS];
    const OUTPUTS: &'static [Out] = &[Out::new("clips", "3 T H W", "differences of frames, as floats")];

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        let [time, height, width] = clip_size(inputs, "clips")?;
        Ok(vec![Port::float([3, time, height, width].map(Into::into))])
    }
}

impl BatchKind for Residual {
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        let clips = io.tensor("clips")?;
        device_size(&clips)?;
        let clips = unit_floats(&clips);
        let difference = &clips - clips.roll([1], [2]);
        io.put("clips", if self.rescale { (difference + 1.0) / 2.0 } else { difference });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parity::Case, testing};
    use tch::Tensor;

    #[test]
    fn both_forms_equal_the_reference() {
        let case = Case::open("d_diff");
        for (rescale, name) in [(true, "ssl"), (false, "finetune")] {
            let kind: Residual = testing::kind(&format!("rescale = {rescale}"));
            let out = testing::run(&kind, 2, vec![("clips", case.input("x"))]);
            case.tensor(name, out.tensor("clips"));
        }
    }

    #[test]
    fn bytes_and_floats_come_to_the_same() {
        let kind: Residual = testing::kind("rescale = false");
        let bytes = Tensor::randint(256, [2, 3, 4, 2, 2], (tch::Kind::Uint8, tch::Device::Cpu));
        let floats = bytes.to_kind(tch::Kind::Float) / 255.0;
        let run = |clips: Tensor| testing::run(&kind, 2, vec![("clips", clips)]).take("clips");
        assert_eq!(run(bytes), run(floats));
    }
}
