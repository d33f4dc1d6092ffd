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

/// One feature for each segment of a clip, from the clip's pooled feature: mean over time and space, two 1x1x1
/// convolutions with bias (the hidden one as wide as the input), ReLU between, then L2 normalisation of each segment's
/// feature. DualVar: 512-512-(segments * 64).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// Segments of a clip.
    #[schemars(range(min = 1, max = limits::ITEMS))]
    segments: usize,
    /// Length of a segment's feature.
    #[schemars(range(min = 1, max = limits::CHANNELS))]
    dim: usize,
}

impl Kind for Series {
    const NAME: &'static str = "head/series";
    const INPUTS: &'static [In] = &[MAP];
    const OUTPUTS: &'static [Out] = &[Out::new("series", "N D", "a feature of unit length for each segment")];

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        length(inputs, "map", 0)?;
        Ok(vec![Port::float([self.segments.into(), self.dim.into()])])
    }
}

impl ModelDeclaration for Series {
    fn parameters(&self, inputs: &Inputs) -> Vec<Parameter> {
        let channels = length(inputs, "map", 0).unwrap_or(0);
        stack_parameters(channels, &[channels, self.segments * self.dim])
    }
}

impl ModelKind for Series {
    fn forward(&self, weights: &Weights, io: &mut BatchIo) -> Result<()> {
        let x = stack(weights, &pool(&io.tensor("map")?), 2);
        io.put("series", unit_norm(&x.reshape([-1, self.segments as i64, self.dim as i64])));
        Ok(())
    }
}
