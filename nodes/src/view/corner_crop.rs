use super::fits;
use crate::prelude::*;

/// A square cut out of a corner. The four corners and `view/center_crop` make the five crops of a test; `batch/stack`
/// brings them together.
#[kind("view/corner_crop", inputs = Pixels, outputs = Square, source = "standard")]
pub struct CornerCrop {
    /// Side of the square, in pixels.
    #[smoke(56)]
    #[schemars(range(min = 1, max = limits::PIXELS))]
    size: usize,
    /// Which corner of the frame.
    corner: Corner,
}

/// A corner of a frame.
#[choice]
enum Corner {
    TopLeft,
    TopRight,
    BottomLeft,
    BottomRight,
}

impl Kind for CornerCrop {
    fn ports(&self, inputs: Pixels<Shapes>) -> Result<Square<Shapes>, PortFault> {
        fits(&inputs.clips, self.size, "size")?;
        derived(self, inputs)
    }
}

impl ViewKind for CornerCrop {
    fn transform(&self, _: Nothing<Row>, [_, height, width]: [usize; 3]) -> Result<Transform> {
        let side = self.size as i64;
        let (bottom, right) = (height as i64 - side, width as i64 - side);
        let (top, left) = match self.corner {
            Corner::TopLeft => (0, 0),
            Corner::TopRight => (0, right),
            Corner::BottomLeft => (bottom, 0),
            Corner::BottomRight => (bottom, right),
        };
        Ok(Transform::crop(Region::square(top, left, side, [height, width])?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parity::Case, testing};

    #[test]
    fn host_and_device_cut_what_the_reference_cuts() {
        let case = Case::open("g_crops");
        let clip = case.input("frame0").unsqueeze(0).permute([3, 0, 1, 2]);
        for (name, corner) in [("five_1", "top_left"), ("five_2", "top_right"), ("five_3", "bottom_left"), ("five_4", "bottom_right")] {
            let kind: CornerCrop = testing::kind(&format!("size = 32\ncorner = '{corner}'"));
            let out = testing::run(&kind, 1, vec![("clips", clip.unsqueeze(0))]).take("clips").get(0);
            case.tensor(name, &out.squeeze_dim(1).permute([1, 2, 0]));
            let host = testing::run_host(&kind, 0, &[("clips", testing::host_clip(testing::clip_array(&clip)))]);
            assert_eq!(host["clips"], testing::host_clip(testing::clip_array(&out)));
        }
    }

    #[test]
    fn a_square_larger_than_the_frame_is_a_fault() {
        let kind: CornerCrop = testing::kind("size = 50\ncorner = 'top_left'");
        assert!(testing::shapes(&kind, vec![("clips", Port::bytes([3, 1, 48, 64].map(Into::into)))]).is_err());
    }
}
