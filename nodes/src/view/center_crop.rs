use super::fits;
use crate::prelude::*;

/// A square cut out of the middle. Half pixels are rounded to even offsets, as Python's `round` does (both papers).
#[kind("view/center_crop", inputs = Pixels, outputs = Square, source = "standard; torchvision's rounding")]
pub struct CenterCrop {
    /// Side of the square, in pixels.
    #[smoke(56)]
    #[schemars(range(min = 1, max = limits::PIXELS))]
    size: usize,
}

impl Kind for CenterCrop {
    fn ports(&self, inputs: Pixels<Shapes>) -> Result<Square<Shapes>, PortFault> {
        fits(&inputs.clips, self.size, "size")?;
        derived(self, inputs)
    }
}

impl ViewKind for CenterCrop {
    fn transform(&self, _: Nothing<Row>, [_, height, width]: [usize; 3]) -> Result<Transform> {
        let offset = |length: usize| {
            let twice = length as i64 - self.size as i64;
            // n + 1/2 goes to the even neighbour
            twice.div_euclid(2) + i64::from(twice.rem_euclid(4) == 3)
        };
        Ok(Transform::crop(Region::square(offset(height), offset(width), self.size as i64, [height, width])?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parity::Case, testing};
    use tch::Tensor;

    #[test]
    fn half_pixels_go_to_even_offsets() {
        let at = |size: usize, frame: [usize; 2]| {
            let kind: CenterCrop = testing::kind(&format!("size = {size}"));
            let region = kind.transform(Nothing::default(), [1, frame[0], frame[1]]).unwrap().region.unwrap();
            assert_eq!((region.height, region.width), (size, size));
            (region.top, region.left)
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
            let host = testing::run_host(&kind, 0, &[("clips", testing::host_clip(testing::clip_array(&clips.get(0))))]);
            assert_eq!(host["clips"], testing::host_clip(testing::clip_array(&out.get(0))));
        }
    }
}
