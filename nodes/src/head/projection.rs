use super::{pool, stack, stack_parameters, unit_norm, MAP};
use crate::limits;
use crate::pixels::length;
use anyhow::Result;
use dv_graph::kind::{In, Inputs, Kind, ModelDeclaration, Out, Parameter, PortFault};
use dv_graph::port::Port;
use dv_train::exec::batch::{BatchIo, ModelKind};
use dv_train::state::weights::Weights;
use schemars::JsonSchema;
use serde::Deserialize;

/// The projection head of contrastive learning: mean over time and space, 1x1x1 convolutions with bias, ReLU between
/// them and no batch norm, then L2 normalisation. DualVar: 512-512-128.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Projection {
    /// Channels after each convolution; the last is the length of a feature.
    #[schemars(length(min = 1, max = 64), inner(range(min = 1, max = limits::CHANNELS)))]
    widths: Vec<usize>,
}

impl Kind for Projection {
    const NAME: &'static str = "head/projection";
    const INPUTS: &'static [In] = &[MAP];
    const OUTPUTS: &'static [Out] = &[Out::new("features", "D", "features of unit length")];

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        length(inputs, "map", 0)?;
        Ok(vec![Port::float(self.widths.last().map(|w| (*w).into()))])
    }
}

impl ModelDeclaration for Projection {
    fn parameters(&self, inputs: &Inputs) -> Vec<Parameter> {
        stack_parameters(length(inputs, "map", 0).unwrap_or(0), &self.widths)
    }
}

impl ModelKind for Projection {
    fn forward(&self, weights: &Weights, io: &mut BatchIo) -> Result<()> {
        let x = pool(&io.tensor("map")?);
        io.put("features", unit_norm(&stack(weights, &x, self.widths.len())));
        Ok(())
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
