use anyhow::Result;
use dv_graph::kind::{Axes, In, Inputs, Kind, Out, PortFault};
use dv_graph::port::{Port, Rate, Type};
use dv_train::exec::batch::{BatchIo, BatchKind};
use dv_train::state::weights::Weights;
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind as Dtype, Reduction, Tensor};

/// Cross-entropy of logits and labels, the mean over the batch.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CrossEntropy {}

impl Kind for CrossEntropy {
    const NAME: &'static str = "loss/cross_entropy";
    const INPUTS: &'static [In] = &[
        In::new("logits", &[Type::Float], "classes", "one logit for each class"),
        In::new("label", &[Type::Index], "", "the true class").counts("classes"),
    ];
    const OUTPUTS: &'static [Out] =
        &[Out::new("loss", "", "the mean over the batch"), Out::new("top1", "", "share of samples whose largest logit is the true class")];
    const RATE: Rate = Rate::Batch;
    const AXES: Axes = Axes::None;

    fn ports(&self, _: &Inputs) -> Result<Vec<Port>, PortFault> {
        Ok(vec![Port::scalar(), Port::scalar()])
    }
}

impl BatchKind for CrossEntropy {
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        let (logits, label) = (Weights::full(&io.tensor("logits")?), io.tensor("label")?);
        let loss = logits.cross_entropy_loss::<Tensor>(&label, None, Reduction::Mean, -100, 0.0);
        let right = logits.detach().argmax(1, false).eq_tensor(&label);
        io.put("loss", loss);
        io.put("top1", right.to_kind(Dtype::Float).mean(Dtype::Float));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn equal_logits_cost_the_logarithm_of_their_number() {
        let logits = Tensor::from_slice(&[0f32, 0., 0., 9., 9., 9.]).reshape([2, 3]);
        let label = Tensor::from_slice(&[0i64, 2]);
        let out = testing::run(&testing::kind::<CrossEntropy>(""), 2, vec![("logits", logits), ("label", label)]);
        assert!((out.tensor("loss").double_value(&[]) - 3f64.ln()).abs() < 1e-6);
        assert_eq!(out.tensor("top1").double_value(&[]), 0.5);
    }
}
