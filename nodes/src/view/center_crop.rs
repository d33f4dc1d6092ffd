use super::crop::{self, Square};
use super::{CLIPS, SQUARE};
use crate::limits;
use crate::pixels::{clip_size, clips_like};
use anyhow::Result;
use dv_graph::host::{SampleIo, SampleKind};
use dv_graph::kind::{In, Inputs, Kind, Out, PortFault};
use dv_graph::port::Port;
use dv_train::exec::batch::{BatchIo, BatchKind};
use schemars::JsonSchema;
use serde::Deserialize;

/// A square cut out of the middle. Half pixels are rounded to even offsets, as Python's `round` does (both papers).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CenterCrop {
    /// Side of the square, in pixels.
    #[schemars(range(min = 1, max = limits::PIXELS))]
    size: usize,
}

impl CenterCrop {
    fn square(&self, frame: [usize; 2]) -> Result<Square> {
        let offset = |length: usize| {
            let twice = length as i64 - self.size as i64;
            // n + 1/2 goes to the even neighbour
            twice.div_euclid(2) + i64::from(twice.rem_euclid(4) == 3)
        };
        Square::new(offset(frame[0]), offset(frame[1]), self.size as i64, frame)
    }
}

impl Kind for CenterCrop {
    const NAME: &'static str = "view/center_crop";
    const INPUTS: &'static [In] = &[CLIPS];
    const OUTPUTS: &'static [Out] = &[SQUARE];

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        let [time, height, width] = clip_size(inputs, "clips")?;
        if self.size > height.min(width) {
            return Err(PortFault::setting("size", format!("a square of {} does not fit in {height}x{width}", self.size)));
        }
        Ok(vec![clips_like(inputs, "clips", [time, self.size, self.size])])
    }
}

impl SampleKind for CenterCrop {
    fn run(&self, io: &mut SampleIo) -> Result<()> {
        crop::fixed_host(io, |frame| self.square(frame))
    }
}

impl BatchKind for CenterCrop {
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        crop::fixed_device(io, |frame| self.square(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parity::Case, testing};
    use dv_graph::host::Value;
    use tch::Tensor;

    #[test]
    fn half_pixels_go_to_even_offsets() {
        let at = |size, frame| {
            let square = testing::kind::<CenterCrop>(&format!("size = {size}")).square(frame).unwrap();
            (square.top, square.left)
        };
        assert_eq!(at(31, [48, 64]), (8, 16));
        assert_eq!(at(29, [48, 64]), (10, 18));
        assert_eq!(at(112, [171, 128]), (30, 8));
        assert_eq!(at(4, [4, 7]), (0, 2));
    }

    #[test]
    fn host_and_device_cut_what_the_reference_cuts() {
        let case = Case::open("g_crops");
        let clips = Tensor::stack(&[0, 1, 2, 3].map(|i| case.input(&format!("frame{i}"))), 0).permute([3, 0, 1, 2]).unsqueeze(0);
        for size in [31, 29] {
            let kind: CenterCrop = testing::kind(&format!("size = {size}"));
            let out = testing::run(&kind, 1, vec![("clips", clips.shallow_clone())]).take("clips");
            case.tensor(&format!("center_{size}"), &out.squeeze_dim(0).permute([1, 2, 3, 0]));
            let host = testing::run_host(&kind, 0, &[("clips", Value::Bytes(testing::clip_array(&clips.get(0))))]);
            assert_eq!(host["clips"], Value::Bytes(testing::clip_array(&out.get(0))));
        }
    }
}
