use crate::prelude::*;

/// Residual clips, IIC's second view: each frame minus the one before it; before the first comes the clip's last, so that the
/// length stays. Of pixels in 0..1: bytes are divided by 255 first.
#[kind("view/residual", inputs = Pixels, outputs = Floats, source = "IIC (Tao et al. 2020), section 3.2, and its code")]
pub struct Residual {
    /// Whether differences, -1..1, are brought to 0..1 as `(d + 1) / 2`: IIC does so in pretraining and retrieval, and not in
    /// fine-tuning.
    rescale: bool,
}

impl Kind for Residual {}

impl BatchKind for Residual {
    fn run(&self, inputs: Pixels<Batch>, _: &Cx<Self>) -> Result<Floats<Batch>> {
        device_size(&inputs.clips)?;
        let clips = unit_floats(&inputs.clips);
        let difference = &clips - clips.roll([1], [2]);
        Ok(Floats { clips: if self.rescale { (difference + 1.0) / 2.0 } else { difference } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parity::Case, testing};
    use tch::Tensor;

    #[test]
    fn both_forms_equal_the_reference() {
        let case = Case::open("d_diff");
        for (rescale, name) in [(true, "ssl"), (false, "finetune")] {
            let kind: Residual = testing::kind(&format!("rescale = {rescale}"));
            let out = testing::run(&kind, 2, vec![("clips", case.input("x"))]);
            case.tensor(name, out.tensor("clips"));
        }
    }

    #[test]
    fn bytes_and_floats_come_to_the_same() {
        let kind: Residual = testing::kind("rescale = false");
        let bytes = Tensor::randint(256, [2, 3, 4, 2, 2], (tch::Kind::Uint8, tch::Device::Cpu));
        let floats = bytes.to_kind(tch::Kind::Float) / 255.0;
        let run = |clips: Tensor| testing::run(&kind, 2, vec![("clips", clips)]).take("clips");
        assert_eq!(run(bytes), run(floats));
    }
}
