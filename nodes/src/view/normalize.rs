use crate::prelude::*;

/// `(x - mean) / deviation` for each channel, of pixels in 0..1: bytes are divided by 255 first.
#[kind("view/normalize", inputs = Pixels, outputs = Floats, source = "standard")]
pub struct Normalize {
    /// Mean of red, green and blue.
    #[schemars(inner(range(min = -1000.0, max = 1000.0)))]
    mean: [f32; 3],
    /// Deviation of red, green and blue.
    #[schemars(inner(range(min = 1e-6, max = 1000.0)))]
    deviation: [f32; 3],
}

impl Kind for Normalize {}

impl BatchKind for Normalize {
    fn run(&self, inputs: Pixels<Batch>, _: &Cx<Self>) -> Result<Floats<Batch>> {
        device_size(&inputs.clips)?;
        let channels = |x: [f32; 3]| Tensor::from_slice(&x).reshape([1, 3, 1, 1, 1]).to_device(inputs.clips.device());
        Ok(Floats { clips: (unit_floats(&inputs.clips) - channels(self.mean)) / channels(self.deviation) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn bytes_and_floats_come_to_the_same() {
        let kind: Normalize = testing::kind("mean = [0.5, 0, 0.1]\ndeviation = [0.5, 1, 0.2]");
        let bytes = Tensor::from_slice(&[255u8, 51, 0]).reshape([1, 3, 1, 1, 1]);
        for clips in [bytes.shallow_clone(), bytes.to_kind(tch::Kind::Float) / 255.0] {
            let out = testing::run(&kind, 1, vec![("clips", clips)]).take("clips");
            assert_eq!(Vec::<f32>::try_from(out.flatten(0, -1)).unwrap(), [1.0, 0.2, -0.5]);
        }
        assert_eq!(testing::faults::<Normalize>("mean = [0, 0, 0]\ndeviation = [1, 0, 1]").len(), 1);
    }
}
