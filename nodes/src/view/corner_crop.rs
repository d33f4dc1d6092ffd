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

/// A square cut out of a corner. The four corners and `view/center_crop` make the five crops of a test; `batch/stack`
/// brings them together.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CornerCrop {
    /// Side of the square, in pixels.
    #[schemars(range(min = 1, max = limits::PIXELS))]
    size: usize,
    /// Which corner of the frame.
    corner: Corner,
}

/// A corner of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Corner {
    TopLeft,
    TopRight,
    BottomLeft,
    BottomRight,
}

impl CornerCrop {
    fn square(&self, [height, width]: [usize; 2]) -> Result<Square> {
        let side = self.size as i64;
        let (bottom, right) = (height as i64 - side, width as i64 - side);
        let (top, left) = match self.corner {
            Corner::TopLeft => (0, 0),
            Corner::TopRight => (0, right),
            Corner::BottomLeft => (bottom, 0),
            Corner::BottomRight => (bottom, right),
        };
        Square::new(top, left, side, [height, width])
    }
}

impl Kind for CornerCrop {
    const NAME: &'static str = "view/corner_crop";
    const INPUTS: &'static [In] = &[CLIPS];
    const OUTPUTS: &'static [Out] = &[SQUARE];

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        let [time, height, width] = clip_size(inputs, "clips")?;
        self.square([height, width]).map_err(|e| PortFault::setting("size", e.to_string()))?;
        Ok(vec![clips_like(inputs, "clips", [time, self.size, self.size])])
    }
}

impl SampleKind for CornerCrop {
    fn run(&self, io: &mut SampleIo) -> Result<()> {
        crop::fixed_host(io, |frame| self.square(frame))
    }
}

impl BatchKind for CornerCrop {
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        crop::fixed_device(io, |frame| self.square(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parity::Case, testing};
    use dv_graph::host::Value;

    #[test]
    fn host_and_device_cut_what_the_reference_cuts() {
        let case = Case::open("g_crops");
        let clip = case.input("frame0").unsqueeze(0).permute([3, 0, 1, 2]);
        for (name, corner) in [("five_1", "top_left"), ("five_2", "top_right"), ("five_3", "bottom_left"), ("five_4", "bottom_right")] {
            let kind: CornerCrop = testing::kind(&format!("size = 32\ncorner = '{corner}'"));
            let out = testing::run(&kind, 1, vec![("clips", clip.unsqueeze(0))]).take("clips").get(0);
            case.tensor(name, &out.squeeze_dim(1).permute([1, 2, 0]));
            let host = testing::run_host(&kind, 0, &[("clips", Value::Bytes(testing::clip_array(&clip)))]);
            assert_eq!(host["clips"], Value::Bytes(testing::clip_array(&out)));
        }
    }

    #[test]
    fn a_square_larger_than_the_frame_is_a_fault() {
        let kind: CornerCrop = testing::kind("size = 50\ncorner = 'top_left'");
        let inputs = Inputs::new(vec![("clips".into(), Port::bytes([3, 1, 48, 64].map(Into::into)))]);
        assert!(kind.ports(&inputs).is_err());
    }
}
