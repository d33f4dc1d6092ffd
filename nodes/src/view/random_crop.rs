use super::{check_fits, fits};
use crate::prelude::*;

/// A square cut out at a place uniform over the frame, the same for all frames of a clip.
#[kind("view/random_crop", inputs = Pixels, outputs = Square, draws = Offset, source = "standard")]
pub struct RandomCrop {
    /// Side of the square, in pixels.
    #[smoke(56)]
    #[schemars(range(min = 1, max = limits::PIXELS))]
    size: usize,
}

#[derive(Ports)]
pub struct Offset<P: Plane> {
    /// `2` top and left of the square, in pixels
    offset: P::Index,
}

impl Kind for RandomCrop {
    fn ports(&self, inputs: Pixels<Shapes>) -> Result<Square<Shapes>, PortFault> {
        fits(&inputs.clips, self.size, "size")?;
        derived(self, inputs)
    }
    fn draw(&self, mut dice: Offset<Dice>, seen: &Seen<Self>) -> Result<Offset<Row>> {
        let [_, _, height, width] = seen.inputs.clips.clip()?;
        check_fits(self.size, [height, width])?;
        let mut place = |length: usize| dice.offset.below(length - self.size + 1) as i64;
        Ok(Offset { offset: vec![place(height), place(width)] })
    }
}

impl ViewKind for RandomCrop {
    fn transform(&self, draws: Offset<Row>, [_, height, width]: [usize; 3]) -> Result<Transform> {
        Ok(Transform::crop(Region::square(draws.offset[0], draws.offset[1], self.size as i64, [height, width])?))
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
        let frames = Tensor::stack(&[0, 1, 2, 3].map(|i| case.input(&format!("frame{i}"))), 0);
        let kind: RandomCrop = testing::kind("size = 32");
        // the case draws left, then top
        let offset = [3i64, 10];
        let clips = frames.permute([3, 0, 1, 2]).unsqueeze(0);
        let inputs = vec![("clips", clips.shallow_clone()), ("offset", Tensor::from_slice(&offset).unsqueeze(0))];
        let out = testing::run(&kind, 1, inputs).take("clips");
        case.tensor("random_32", &out.squeeze_dim(0).permute([1, 2, 3, 0]));
        let inputs = [
            ("clips", testing::host_clip(testing::clip_array(&clips.get(0)))),
            ("offset", Value::Index(Array::new(vec![2], offset.to_vec()))),
        ];
        let host = testing::run_host(&kind, 0, &inputs);
        assert_eq!(host["clips"], testing::host_clip(testing::clip_array(&out.get(0))));
    }

    #[test]
    fn host_and_device_draw_the_same() {
        let kind: RandomCrop = testing::kind("size = 5");
        let clips = Tensor::randint(256, [3, 3, 2, 12, 9], (tch::Kind::Uint8, tch::Device::Cpu));
        let device = testing::run(&kind, 3, vec![("clips", clips.shallow_clone())]).take("clips");
        for row in 0..3 {
            let host = testing::run_host(&kind, row as u64, &[("clips", testing::host_clip(testing::clip_array(&clips.get(row))))]);
            assert_eq!(host["clips"], testing::host_clip(testing::clip_array(&device.get(row))));
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
