use super::scores::{columns, scores, Rows};
use super::{first_column_in_top, first_column_loss};
use crate::prelude::*;

/// Cross-entropy over memory banks, the loss of IIC and of CMC with `softmax`: a feature's product with its own row of the
/// other view's bank against those with rows drawn for it and, in IIC, with the own and the drawn rows of the bank of
/// intra-negatives. Features are used as they come: IIC does not normalise them. A draw that hits the own row stays a negative.
#[kind("loss/nce_softmax", inputs = Rows, outputs = Out, rate = Batch, axes = None, source = "IIC (Tao et al. 2020), equation 4; CMC (Tian et al. 2020), equation 3")]
pub struct NceSoftmax {
    /// What products are divided by; 0.07 in IIC.
    #[schemars(range(max = limits::TEMPERATURE), extend("exclusiveMinimum" = 0.0))]
    temperature: f64,
}

#[derive(Ports)]
pub struct Out<P: Plane> {
    /// the mean over the batch
    loss: P::Scalar,
    /// `columns` products over the temperature: [own, drawn] of `positives`, then [own, drawn] of `negatives`
    logits: P::Float,
    /// the positives' logits, their mean over the batch
    positive: P::Scalar,
    /// share of rows whose positive is the largest
    top1: P::Scalar,
}

impl Kind for NceSoftmax {
    fn ports(&self, inputs: Rows<Shapes>) -> Result<Out<Shapes>, PortFault> {
        let logits = columns(inputs.negatives.is_some(), &inputs.drawn);
        Ok(Out { logits, ..derived(self, inputs)? })
    }
}

impl BatchKind for NceSoftmax {
    fn run(&self, inputs: Rows<Batch>, _: &Cx<Self>) -> Result<Out<Batch>> {
        let (logits, _) = scores(inputs, self.temperature)?;
        let positive = logits.detach().select(1, 0).mean(Dtype::Float);
        Ok(Out { loss: first_column_loss(&logits), positive, top1: first_column_in_top(&logits, 1), logits })
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
        crate::loss::scores::tests::two_steps(&case, banks, |inputs, _, _| testing::run(&kind, 3, inputs));
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
