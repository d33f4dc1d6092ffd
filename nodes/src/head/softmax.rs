use anyhow::Result;
use dv_graph::kind::{In, Inputs, Kind, Out, PortFault};
use dv_graph::port::{Port, Type};
use dv_train::exec::batch::{BatchIo, BatchKind};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Kind as Dtype;

/// Probabilities of the classes. Before `collect/mean` it makes a test over several clips average probabilities
/// (DualVar); without it logits are averaged (IIC).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Softmax {}

impl Kind for Softmax {
    const NAME: &'static str = "head/softmax";
    const INPUTS: &'static [In] = &[In::new("logits", &[Type::Float], "classes", "one logit for each class")];
    const OUTPUTS: &'static [Out] = &[Out::new("probabilities", "classes", "positive, with sum 1")];

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        Ok(vec![Port::float(inputs.port("logits").shape.clone())])
    }
}

impl BatchKind for Softmax {
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        let probabilities = io.tensor("logits")?.softmax(-1, Dtype::Float);
        io.put("probabilities", probabilities);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use tch::Tensor;

    #[test]
    fn rows_sum_to_one() {
        let logits = Tensor::from_slice(&[0f32, 0., 2f32.ln(), 1000.]).reshape([2, 2]);
        let out = testing::run(&testing::kind::<Softmax>(""), 2, vec![("logits", logits)]);
        let p = Vec::<f32>::try_from(out.tensor("probabilities").flatten(0, -1)).unwrap();
        assert_eq!(p, [0.5, 0.5, 0.0, 1.0]);
    }
}
