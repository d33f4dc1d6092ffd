use dv_engine::prelude::*;

/// Bright pixels are inverted: `x` becomes `1 - x` where it is above `threshold`.
#[kind("own/solarize", inputs = Pixels, outputs = Floats, source = "BYOL (Grill et al. 2020), appendix B")]
pub struct Solarize {
    /// Where 1 is white.
    #[schemars(range(min = 0.0, max = 1.0))]
    threshold: f64,
}

impl Kind for Solarize {}

impl BatchKind for Solarize {
    fn run(&self, inputs: Pixels<Batch>, _: &Cx<Self>) -> Result<Floats<Batch>> {
        let clips = unit_floats(&inputs.clips);
        Ok(Floats { clips: (1f64 - &clips).where_self(&clips.gt(self.threshold), &clips) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dv_engine::testing;

    #[test]
    fn bright_pixels_are_inverted() {
        let clips = Tensor::from_slice(&[0f32, 0.4, 0.6, 1.0]).reshape([1, 1, 1, 2, 2]).repeat([1, 3, 1, 1, 1]);
        let out = testing::run(&testing::kind::<Solarize>("threshold = 0.5"), 1, vec![("clips", clips)]).take("clips");
        let row = Vec::<f32>::try_from(out.get(0).get(0).flatten(0, -1)).unwrap();
        assert!(row.iter().zip([0.0, 0.4, 0.4, 0.0]).all(|(a, b)| (a - b).abs() < 1e-6), "{row:?}");
    }

    #[test]
    fn it_does_what_it_declares() {
        testing::check(crate::NODES);
    }
}
