use super::stack;
use crate::prelude::*;

/// The projection head of contrastive learning: mean over time and space, 1x1x1 convolutions with bias, ReLU between
/// them and no batch norm, then L2 normalisation. DualVar: 512-512-128.
#[kind("head/projection", inputs = Maps, outputs = Out, source = "SimCLR (Chen et al. 2020), section 2.1; DualVar's code")]
pub struct Projection {
    /// Channels after each convolution; the last is the length of a feature.
    #[schemars(length(min = 1, max = 64), inner(range(min = 1, max = limits::CHANNELS)))]
    widths: Vec<usize>,
}

#[derive(Ports)]
pub struct Out<P: Plane> {
    /// `D` features of unit length
    features: P::Float,
}

impl Kind for Projection {}

impl ModelKind for Projection {
    fn network<N: Custom>(&self, net: &mut N, inputs: Maps<N::Plane>, _: Nothing<N::Plane>) -> Out<N::Plane> {
        let x = stack(net, &inputs.map, &self.widths);
        Out { features: net.unit_norm(&x) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use tch::Tensor;

    #[test]
    fn layers_have_pytorchs_names_and_features_unit_length() {
        let kind: Projection = testing::kind("widths = [6, 4]");
        let port = Port::float([5.into(), 2.into(), 3.into(), 3.into()]);
        let weights = testing::initial(&kind, vec![("map", port)]);
        let mut names: Vec<(&str, Vec<i64>)> = weights.iter().map(|(n, t)| (n.as_str(), t.size())).collect();
        names.sort();
        let expected = [("0.bias", vec![6]), ("0.weight", vec![6, 5, 1, 1, 1]), ("2.bias", vec![4]), ("2.weight", vec![4, 6, 1, 1, 1])];
        assert_eq!(names, expected);
        let map = Tensor::randn([3, 5, 2, 3, 3], tch::kind::FLOAT_CPU);
        let features = testing::forward(&kind, &weights, true, vec![("map", map)]).take("features");
        assert_eq!(features.size(), [3, 4]);
        let norms = Vec::<f32>::try_from(features.norm_scalaropt_dim(2, [1i64].as_slice(), false)).unwrap();
        assert!(norms.iter().all(|n| (n - 1.0).abs() < 1e-6), "{norms:?}");
    }
}
