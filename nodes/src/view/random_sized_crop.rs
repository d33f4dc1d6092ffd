use super::crop::{self, Square};
use super::{CLIPS, SQUARE};
use crate::limits;
use crate::pixels::{clip_size, clips_like, device_size, draw_index, host_size};
use anyhow::{ensure, Result};
use dv_graph::draw::Rng;
use dv_graph::host::{SampleIo, SampleKind, Value};
use dv_graph::kind::{In, Inputs, Kind, Out, PortFault};
use dv_graph::port::Port;
use dv_graph::settings::SettingFaults;
use dv_train::exec::batch::{BatchIo, BatchKind};
use schemars::JsonSchema;
use serde::Deserialize;

/// A square of a random side at a random place, both uniform, brought to one size with Pillow's antialiased bilinear
/// filter. The same for all frames of a clip.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandomSizedCrop {
    /// Least and greatest side of the square, in pixels, both included.
    #[schemars(inner(range(min = 1, max = limits::PIXELS)))]
    side: [usize; 2],
    /// Side of the result, in pixels.
    #[schemars(range(min = 1, max = limits::PIXELS))]
    size: usize,
}

impl RandomSizedCrop {
    /// `[top, left, side]`
    fn draw(&self, rng: &mut Rng, [height, width]: [usize; 2]) -> Vec<i64> {
        let side = self.side[0] + rng.below(self.side[1] - self.side[0] + 1);
        vec![rng.below(height - side + 1) as i64, rng.below(width - side + 1) as i64, side as i64]
    }
    fn fits(&self, [height, width]: [usize; 2]) -> Result<()> {
        ensure!(self.side[1] <= height.min(width), "a square of {} does not fit in {height}x{width}", self.side[1]);
        Ok(())
    }
}

impl Kind for RandomSizedCrop {
    const NAME: &'static str = "view/random_sized_crop";
    const INPUTS: &'static [In] = &[CLIPS];
    const OUTPUTS: &'static [Out] = &[SQUARE, Out::draw("box", "3", "top, left and side of the square, in pixels")];

    fn check(&self, faults: &mut SettingFaults) {
        faults.require(self.side[0] <= self.side[1], "side", "must be [least, greatest]");
    }
    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        let [time, height, width] = clip_size(inputs, "clips")?;
        self.fits([height, width]).map_err(|e| PortFault::setting("side", e.to_string()))?;
        Ok(vec![clips_like(inputs, "clips", [time, self.size, self.size]), Port::index([3.into()])])
    }
}

impl SampleKind for RandomSizedCrop {
    fn run(&self, io: &mut SampleIo) -> Result<()> {
        let clip = io.bytes("clips")?;
        let [_, height, width] = host_size(clip)?;
        self.fits([height, width])?;
        let b = io.draw_index("box", &[3], |rng| self.draw(rng, [height, width]))?;
        let square = Square::new(b[0], b[1], b[2], [height, width])?;
        io.put("clips", Value::Bytes(crop::host_resized(clip, Some(square), self.size)?));
        Ok(())
    }
}

impl BatchKind for RandomSizedCrop {
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        let clips = io.tensor("clips")?;
        let [_, _, height, width] = device_size(&clips)?.map(|n| n as usize);
        self.fits([height, width])?;
        let boxes = draw_index(io, "box", &[3], |rng| self.draw(rng, [height, width]))?;
        let squares = boxes.iter().map(|b| Square::new(b[0], b[1], b[2], [height, width])).collect::<Result<Vec<_>>>()?;
        io.put("clips", crop::device_resized(&clips, &squares, self.size));
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
        let kind: RandomSizedCrop = testing::kind("side = [20, 40]\nsize = 24");
        let clips = Tensor::stack(&[1, 2, 3].map(|seed| crate::parity::frame(48, 64, seed).permute([2, 0, 1]).unsqueeze(1)), 0);
        let mut out = testing::run(&kind, 3, vec![("clips", clips.shallow_clone())]);
        let device = out.take("clips");
        assert_eq!(device.kind(), tch::Kind::Uint8);
        for row in 0..3 {
            let host = testing::run_host(&kind, row as u64, &[("clips", Value::Bytes(testing::clip_array(&clips.get(row))))]);
            assert_eq!(testing::host_index(&host["box"]), Vec::<i64>::try_from(out.tensor("box").get(row)).unwrap());
            let Value::Bytes(bytes) = &host["clips"] else { panic!() };
            let difference = (testing::clip_tensor(bytes).to_kind(tch::Kind::Int) - device.get(row).to_kind(tch::Kind::Int)).abs();
            assert!(difference.max().int64_value(&[]) <= 1);
        }
    }

    #[test]
    fn squares_that_do_not_fit_are_a_fault() {
        let kind: RandomSizedCrop = testing::kind("side = [48, 64]\nsize = 64");
        let port = |h: usize, w: usize| Inputs::new(vec![("clips".into(), Port::bytes([3, 16, h, w].map(Into::into)))]);
        assert!(kind.ports(&port(64, 80)).is_ok());
        assert!(kind.ports(&port(63, 80)).is_err());
        assert_eq!(testing::faults::<RandomSizedCrop>("side = [64, 48]\nsize = 64").len(), 1);
        assert_eq!(testing::faults::<RandomSizedCrop>("side = [48, 64]\nsize = 0").len(), 1);
    }
}
