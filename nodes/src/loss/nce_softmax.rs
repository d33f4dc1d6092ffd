use super::scores::{self, scores, DRAWN, FEATURES, INDEX, NEGATIVES, POSITIVES};
use super::{first_column_in_top, first_column_loss};
use crate::limits;
use anyhow::Result;
use dv_graph::kind::{Axes, In, Inputs, Kind, Out, PortFault};
use dv_graph::port::{Port, Rate};
use dv_train::exec::batch::{BatchIo, BatchKind};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Kind as Dtype;

/// Cross-entropy over memory banks, the loss of IIC and of CMC with `softmax`: a feature's product with its own row of the
/// other view's bank against those with rows drawn for it and, in IIC, with the own and the drawn rows of the bank of
/// intra-negatives. Features are used as they come: IIC does not normalise them. A draw that hits the own row stays a negative.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NceSoftmax {
    /// What products are divided by; 0.07 in IIC.
    #[schemars(range(max = limits::TEMPERATURE), extend("exclusiveMinimum" = 0.0))]
    temperature: f64,
}

impl Kind for NceSoftmax {
    const NAME: &'static str = "loss/nce_softmax";
    const INPUTS: &'static [In] = &[FEATURES, INDEX, POSITIVES, NEGATIVES, DRAWN];
    const OUTPUTS: &'static [Out] = &[
        Out::new("loss", "", "the mean over the batch"),
        Out::new("logits", "columns", "products over the temperature: [own, drawn] of `positives`, then [own, drawn] of `negatives`"),
        Out::new("positive", "", "the positives' logits, their mean over the batch"),
        Out::new("top1", "", "share of rows whose positive is the largest"),
    ];
    const RATE: Rate = Rate::Batch;
    const AXES: Axes = Axes::None;

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        Ok(vec![Port::scalar(), scores::port(inputs), Port::scalar(), Port::scalar()])
    }
}

impl BatchKind for NceSoftmax {
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        let (logits, _) = scores(io, self.temperature)?;
        io.put("loss", first_column_loss(&logits));
        io.put("positive", logits.detach().select(1, 0).mean(Dtype::Float));
        io.put("top1", first_column_in_top(&logits, 1));
        io.put("logits", logits);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parity::Case, testing};

    #[test]
    fn two_steps_over_the_references_banks() {
        let case = Case::open("d_nceaverage_softmax");
        let special = case.special();
        let banks = ["l", "ab", "neg"].map(|name| special[&format!("memory_{name}")].shallow_clone());
        let kind: NceSoftmax = testing::kind("temperature = 0.07");
        scores::tests::two_steps(&case, banks, |inputs, _, _| testing::run(&kind, 3, inputs));
    }

    #[test]
    fn the_criterion_on_given_scores() {
        let case = Case::open("d_nce_criteria");
        let score = case.given("score").set_requires_grad(true);
        let loss = first_column_loss(&score.squeeze_dim(2));
        case.scalar("softmax", &loss);
        loss.backward();
        case.tensor("grad.score", &score.grad());
    }
}
