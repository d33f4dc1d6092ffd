use super::{crop, CLIPS, SQUARE};
use crate::limits;
use crate::pixels::{clip_size, clips_like};
use anyhow::Result;
use dv_graph::host::{SampleIo, SampleKind, Value};
use dv_graph::kind::{In, Inputs, Kind, Out, PortFault};
use dv_graph::port::Port;
use dv_train::exec::batch::{BatchIo, BatchKind};
use schemars::JsonSchema;
use serde::Deserialize;

/// The whole frame brought to a square of one size with Pillow's antialiased bilinear filter; its aspect is not kept.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// Height and width of the result, in pixels.
    #[schemars(range(min = 1, max = limits::PIXELS))]
    size: usize,
}

impl Kind for Resize {
    const NAME: &'static str = "view/resize";
    const INPUTS: &'static [In] = &[CLIPS];
    const OUTPUTS: &'static [Out] = &[SQUARE];

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        let [time, _, _] = clip_size(inputs, "clips")?;
        Ok(vec![clips_like(inputs, "clips", [time, self.size, self.size])])
    }
}

impl SampleKind for Resize {
    fn run(&self, io: &mut SampleIo) -> Result<()> {
        let clip = crop::host_resized(io.bytes("clips")?, None, self.size)?;
        io.put("clips", Value::Bytes(clip));
        Ok(())
    }
}

impl BatchKind for Resize {
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        let clips = io.tensor("clips")?;
        crate::pixels::device_size(&clips)?;
        io.put("clips", crop::resized(&clips, self.size));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use tch::Tensor;

    #[test]
    fn host_and_device_agree_to_one_level() {
        let kind: Resize = testing::kind("size = 30");
        let frames = [5, 6].map(|seed| crate::parity::frame(48, 64, seed));
        let clip = Tensor::stack(&frames, 0).permute([3, 0, 1, 2]).unsqueeze(0);
        let device = testing::run(&kind, 1, vec![("clips", clip.shallow_clone())]).take("clips");
        let host = testing::run_host(&kind, 0, &[("clips", Value::Bytes(testing::clip_array(&clip.get(0))))]);
        let Value::Bytes(host) = &host["clips"] else { panic!() };
        let difference = (testing::clip_tensor(host).to_kind(tch::Kind::Int) - device.to_kind(tch::Kind::Int)).abs();
        assert!(difference.max().int64_value(&[]) <= 1);
        let floats = testing::run(&kind, 1, vec![("clips", clip.to_kind(tch::Kind::Float) / 255.0)]).take("clips");
        assert!((floats * 255.0 - device).abs().max().double_value(&[]) <= 0.5001);
    }
}
