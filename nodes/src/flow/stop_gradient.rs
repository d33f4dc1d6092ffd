use anyhow::Result;
use dv_graph::kind::{Axes, In, Inputs, Kind, Out, PortFault};
use dv_graph::port::{Port, Type};
use dv_train::exec::batch::{BatchIo, BatchKind};
use schemars::JsonSchema;
use serde::Deserialize;

/// The same value, through which no gradient flows back (BYOL's target).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StopGradient {}

impl Kind for StopGradient {
    const NAME: &'static str = "flow/stop_gradient";
    const INPUTS: &'static [In] = &[In::new("value", &[Type::Float], "...", "anything that a gradient could flow to")];
    const GRADIENT: bool = false;
    const OUTPUTS: &'static [Out] = &[Out::new("value", "...", "the same, a constant to what reads it")];
    const AXES: Axes = Axes::Keep;

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        Ok(vec![inputs.port("value").clone()])
    }
}

impl BatchKind for StopGradient {
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        let value = io.tensor("value")?.detach();
        io.put("value", value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use tch::{kind::FLOAT_CPU, Kind as Dtype, Tensor};

    #[test]
    fn the_gradient_comes_by_the_other_way_only() {
        let x = Tensor::rand([2, 3], FLOAT_CPU).set_requires_grad(true);
        let stopped = testing::run(&testing::kind::<StopGradient>(""), 2, vec![("value", x.shallow_clone())]).take("value");
        assert_eq!(stopped, x);
        (&x * stopped).sum(Dtype::Float).backward();
        assert_eq!(x.grad(), x.detach());
    }
}
