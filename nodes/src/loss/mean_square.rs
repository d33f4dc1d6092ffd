use anyhow::{ensure, Result};
use dv_graph::kind::{Axes, In, Inputs, Kind, Out, PortFault};
use dv_graph::port::{Port, Rate, Type};
use dv_train::exec::batch::{BatchIo, BatchKind};
use dv_train::state::weights::Weights;
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Kind as Dtype;

/// The mean of the squares of all numbers that come in, or of their differences from a target: a regression loss, or a
/// penalty on features.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MeanSquare {}

impl Kind for MeanSquare {
    const NAME: &'static str = "loss/mean_square";
    const INPUTS: &'static [In] = &[
        In::new("values", &[Type::Float], "...", "maps, features or logits"),
        In::new("target", &[Type::Float], "...", "what they should be, of the same shape; 0 without").optional(),
    ];
    const OUTPUTS: &'static [Out] = &[Out::new("loss", "", "the mean over the batch and the shape")];
    const RATE: Rate = Rate::Batch;
    const AXES: Axes = Axes::None;

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        let values = inputs.port("values");
        if let Some(target) = inputs.get("target").filter(|t| t.shape != values.shape) {
            return Err(PortFault::input("target", format!("is {target}, and the values are {values}")));
        }
        Ok(vec![Port::scalar()])
    }
}

impl BatchKind for MeanSquare {
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        let values = Weights::full(&io.tensor("values")?);
        let difference = match io.optional("target") {
            Some(target) => {
                ensure!(target.size() == values.size(), "the target is {:?}, and the values are {:?}", target.size(), values.size());
                values - target
            }
            None => values,
        };
        io.put("loss", difference.square().mean(Dtype::Float));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use tch::Tensor;

    #[test]
    fn squares_with_and_without_a_target() {
        let values = || Tensor::from_slice(&[1f32, 2., 3., 4.]).reshape([2, 2]);
        let loss = |inputs| testing::run(&testing::kind::<MeanSquare>(""), 2, inputs).tensor("loss").double_value(&[]);
        assert_eq!(loss(vec![("values", values())]), 7.5);
        assert_eq!(loss(vec![("values", values()), ("target", values() - 1.0)]), 1.0);
    }

    #[test]
    fn a_target_of_another_shape_is_a_fault() {
        let inputs = Inputs::new(vec![("values".into(), Port::float([5.into()])), ("target".into(), Port::float([4.into()]))]);
        assert!(testing::kind::<MeanSquare>("").ports(&inputs).is_err());
    }
}
