use super::crop::{self, Square};
use super::{CLIPS, SQUARE};
use crate::limits;
use crate::pixels::{clip_size, clips_like, device_size, draw_index, host_size};
use anyhow::{ensure, Result};
use dv_graph::draw::Rng;
use dv_graph::host::{SampleIo, SampleKind, Value};
use dv_graph::kind::{In, Inputs, Kind, Out, PortFault};
use dv_graph::port::Port;
use dv_train::exec::batch::{BatchIo, BatchKind};
use schemars::JsonSchema;
use serde::Deserialize;

/// A square cut out at a place uniform over the frame, the same for all frames of a clip.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandomCrop {
    /// Side of the square, in pixels.
    #[schemars(range(min = 1, max = limits::PIXELS))]
    size: usize,
}

impl RandomCrop {
    /// `[top, left]`
    fn draw(&self, rng: &mut Rng, [height, width]: [usize; 2]) -> Vec<i64> {
        vec![rng.below(height - self.size + 1) as i64, rng.below(width - self.size + 1) as i64]
    }
    fn square(&self, offset: &[i64], frame: [usize; 2]) -> Result<Square> {
        Square::new(offset[0], offset[1], self.size as i64, frame)
    }
    fn fits(&self, [height, width]: [usize; 2]) -> Result<()> {
        ensure!(self.size <= height.min(width), "a square of {} does not fit in {height}x{width}", self.size);
        Ok(())
    }
}

impl Kind for RandomCrop {
    const NAME: &'static str = "view/random_crop";
    const INPUTS: &'static [In] = &[CLIPS];
    const OUTPUTS: &'static [Out] = &[SQUARE, Out::draw("offset", "2", "top and left of the square, in pixels")];

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        let [time, height, width] = clip_size(inputs, "clips")?;
        self.fits([height, width]).map_err(|e| PortFault::setting("size", e.to_string()))?;
        Ok(vec![clips_like(inputs, "clips", [time, self.size, self.size]), Port::index([2.into()])])
    }
}

impl SampleKind for RandomCrop {
    fn run(&self, io: &mut SampleIo) -> Result<()> {
        let clip = io.bytes("clips")?;
        let [_, height, width] = host_size(clip)?;
        self.fits([height, width])?;
        let offset = io.draw_index("offset", &[2], |rng| self.draw(rng, [height, width]))?;
        io.put("clips", Value::Bytes(crop::host(clip, self.square(&offset, [height, width])?)?));
        Ok(())
    }
}

impl BatchKind for RandomCrop {
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        let clips = io.tensor("clips")?;
        let [_, _, height, width] = device_size(&clips)?.map(|n| n as usize);
        self.fits([height, width])?;
        let offsets = draw_index(io, "offset", &[2], |rng| self.draw(rng, [height, width]))?;
        let squares = offsets.iter().map(|o| self.square(o, [height, width])).collect::<Result<Vec<_>>>()?;
        io.put("clips", crop::device(&clips, &squares));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parity::Case, testing};
    use dv_graph::host::Array;
    use tch::Tensor;

    #[test]
    fn host_and_device_cut_what_the_reference_cuts() {
        let case = Case::open("g_crops");
        let frames = Tensor::stack(&[0, 1, 2, 3].map(|i| case.input(&format!("frame{i}"))), 0);
        let kind: RandomCrop = testing::kind("size = 32");
        // the case draws left, then top
        let offset = [3i64, 10];
        let clips = frames.permute([3, 0, 1, 2]).unsqueeze(0);
        let inputs = vec![("clips", clips.shallow_clone()), ("offset", Tensor::from_slice(&offset).unsqueeze(0))];
        let out = testing::run(&kind, 1, inputs).take("clips");
        case.tensor("random_32", &out.squeeze_dim(0).permute([1, 2, 3, 0]));
        let inputs =
            [("clips", Value::Bytes(testing::clip_array(&clips.get(0)))), ("offset", Value::Index(Array::new(vec![2], offset.to_vec())))];
        let host = testing::run_host(&kind, 0, &inputs);
        assert_eq!(host["clips"], Value::Bytes(testing::clip_array(&out.get(0))));
    }

    #[test]
    fn host_and_device_draw_the_same() {
        let kind: RandomCrop = testing::kind("size = 5");
        let clips = Tensor::randint(256, [3, 3, 2, 12, 9], (tch::Kind::Uint8, tch::Device::Cpu));
        let device = testing::run(&kind, 3, vec![("clips", clips.shallow_clone())]).take("clips");
        for row in 0..3 {
            let host = testing::run_host(&kind, row as u64, &[("clips", Value::Bytes(testing::clip_array(&clips.get(row))))]);
            assert_eq!(host["clips"], Value::Bytes(testing::clip_array(&device.get(row))));
        }
    }

    #[test]
    fn a_square_that_leaves_the_frame_is_an_error() {
        let kind: RandomCrop = testing::kind("size = 5");
        let clips = Tensor::zeros([1, 3, 2, 6, 6], tch::kind::FLOAT_CPU);
        for offset in [[2i64, 0], [0, -1]] {
            let inputs = vec![("clips", clips.shallow_clone()), ("offset", Tensor::from_slice(&offset).unsqueeze(0))];
            let inputs = inputs.into_iter().map(|(n, t)| (n, dv_train::exec::batch::Value::Tensor(t))).collect();
            assert!(testing::run_values(&kind, 1, 1, inputs).is_err());
        }
    }
}
