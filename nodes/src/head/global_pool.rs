use crate::prelude::*;

/// The mean of a map over time, height and width.
#[kind("head/global_pool", inputs = Maps, outputs = Pooled, source = "standard")]
pub struct GlobalPool {}

#[derive(Ports)]
pub struct Pooled<P: Plane> {
    /// `C` one value for each channel
    features: P::Float,
}

impl Kind for GlobalPool {}

impl BatchKind for GlobalPool {
    fn run(&self, inputs: Maps<Batch>, _: &Cx<Self>) -> Result<Pooled<Batch>> {
        Ok(Pooled { features: full(&inputs.map).mean_dim([2i64, 3, 4].as_slice(), false, None) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use tch::Tensor;

    #[test]
    fn each_channel_has_its_mean() {
        let map = Tensor::arange(2 * 3 * 4, tch::kind::FLOAT_CPU).reshape([1, 3, 2, 2, 2]);
        let out = testing::run(&testing::kind::<GlobalPool>(""), 1, vec![("map", map)]);
        assert_eq!(Vec::<f32>::try_from(out.tensor("features").squeeze()).unwrap(), [3.5, 11.5, 19.5]);
    }
}
