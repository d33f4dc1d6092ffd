use crate::prelude::*;

/// The whole frame brought to a square of one size with Pillow's antialiased bilinear filter; its aspect is not kept.
#[kind("view/resize", inputs = Pixels, outputs = Square, source = "standard; Pillow's filter")]
pub struct Resize {
    /// Height and width of the result, in pixels.
    #[smoke(56)]
    #[schemars(range(min = 1, max = limits::PIXELS))]
    size: usize,
}

impl Kind for Resize {}

impl ViewKind for Resize {
    fn transform(&self, _: Nothing<Row>, _: [usize; 3]) -> Result<Transform> {
        Ok(Transform::default().resized([self.size; 2]))
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
        let host = testing::run_host(&kind, 0, &[("clips", testing::host_clip(testing::clip_array(&clip.get(0))))]);
        let difference =
            (testing::clip_tensor(&testing::host_pixels(&host["clips"])).to_kind(tch::Kind::Int) - device.to_kind(tch::Kind::Int)).abs();
        assert!(difference.max().int64_value(&[]) <= 1);
        let floats = testing::run(&kind, 1, vec![("clips", clip.to_kind(tch::Kind::Float) / 255.0)]).take("clips");
        assert!((floats * 255.0 - device).abs().max().double_value(&[]) <= 0.5001);
    }
}
