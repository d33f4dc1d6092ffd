use super::{check_fits, fits};
use crate::prelude::*;

/// A square of a random side at a random place, both uniform, brought to one size with Pillow's antialiased bilinear
/// filter. The same for all frames of a clip.
#[kind("view/random_sized_crop", inputs = Pixels, outputs = Square, draws = Draws, source = "DualVar (Zhang et al. 2021), its code")]
pub struct RandomSizedCrop {
    /// Least and greatest side of the square, in pixels, both included.
    #[schemars(inner(range(min = 1, max = limits::PIXELS)))]
    side: [usize; 2],
    /// Side of the result, in pixels.
    #[smoke(56)]
    #[schemars(range(min = 1, max = limits::PIXELS))]
    size: usize,
}

#[derive(Ports)]
pub struct Draws<P: Plane> {
    /// `3` top, left and side of the square, in pixels
    r#box: P::Index,
}

impl Kind for RandomSizedCrop {
    fn check(&self, faults: &mut SettingFaults) {
        faults.require(self.side[0] <= self.side[1], "side", "must be [least, greatest]");
    }
    fn ports(&self, inputs: Pixels<Shapes>) -> Result<Square<Shapes>, PortFault> {
        fits(&inputs.clips, self.side[1], "side")?;
        derived(self, inputs)
    }
    fn draw(&self, mut dice: Draws<Dice>, seen: &Seen<Self>) -> Result<Draws<Row>> {
        let [_, _, height, width] = seen.inputs.clips.clip()?;
        check_fits(self.side[1], [height, width])?;
        let side = self.side[0] + dice.r#box.below(self.side[1] - self.side[0] + 1);
        let mut place = |length: usize| dice.r#box.below(length - side + 1) as i64;
        Ok(Draws { r#box: vec![place(height), place(width), side as i64] })
    }
}

impl ViewKind for RandomSizedCrop {
    fn transform(&self, draws: Draws<Row>, [_, height, width]: [usize; 3]) -> Result<Transform> {
        let b = draws.r#box;
        Ok(Transform::crop(Region::square(b[0], b[1], b[2], [height, width])?).resized([self.size; 2]))
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
            let host = testing::run_host(&kind, row as u64, &[("clips", testing::host_clip(testing::clip_array(&clips.get(row))))]);
            assert_eq!(testing::host_index(&host["box"]), Vec::<i64>::try_from(out.tensor("box").get(row)).unwrap());
            let bytes = testing::host_pixels(&host["clips"]);
            let difference = (testing::clip_tensor(&bytes).to_kind(tch::Kind::Int) - device.get(row).to_kind(tch::Kind::Int)).abs();
            assert!(difference.max().int64_value(&[]) <= 1);
        }
    }

    #[test]
    fn squares_that_do_not_fit_are_a_fault() {
        let kind: RandomSizedCrop = testing::kind("side = [48, 64]\nsize = 64");
        let ports = |h: usize, w: usize| testing::shapes(&kind, vec![("clips", Port::bytes([3, 16, h, w].map(Into::into)))]);
        assert!(ports(64, 80).is_ok());
        assert!(ports(63, 80).is_err());
        assert_eq!(testing::faults::<RandomSizedCrop>("side = [64, 48]\nsize = 64").len(), 1);
        assert_eq!(testing::faults::<RandomSizedCrop>("side = [48, 64]\nsize = 0").len(), 1);
    }
}
