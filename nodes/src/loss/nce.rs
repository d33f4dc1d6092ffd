use super::first_column_in_top;
use super::nce_constant::estimate;
use super::scores::{columns, scores, Rows};
use crate::prelude::*;

/// Noise-contrastive estimation over memory banks (Wu et al. 2018, equation 12; IIC and CMC without `softmax`): with
/// `p = exp(product / temperature) / Z`, m the columns but the first and n the bank's rows, the mean over the batch of
/// `-log(p_0 / (p_0 + m/n)) - sum_j log((m/n) / (p_j + m/n))`. Z is a constant: in the reference, the first batch's estimate.
#[kind("loss/nce", inputs = In, outputs = Out, rate = Batch, axes = None, source = "Instance discrimination (Wu et al. 2018), equation 12")]
pub struct Nce {
    /// What products are divided by; 0.07 in IIC.
    #[schemars(range(max = limits::TEMPERATURE), extend("exclusiveMinimum" = 0.0))]
    temperature: f64,
}

#[derive(Ports)]
pub struct In<P: Plane> {
    /// `D` features of one view
    features: P::Float,
    /// the sample's own row in the banks: its place in the set
    index: P::Index,
    /// `n D` the other view's bank: the own row is the positive, drawn rows are negatives
    positives: P::Float,
    /// `n D` a bank of negatives alone, read at the same rows (IIC's intra-negatives)
    negatives: Option<P::Float>,
    /// `K` rows drawn for the sample, which may hit its own
    drawn: P::Index,
    /// Z; without it, each batch's own estimate (`loss/nce_constant`)
    constant: Option<P::Scalar>,
}

#[derive(Ports)]
pub struct Out<P: Plane> {
    /// the sum over columns, the mean over the batch
    loss: P::Scalar,
    /// `columns` the probabilities p: [own, drawn] of `positives`, then [own, drawn] of `negatives`
    logits: P::Float,
    /// the positives' p, their mean over the batch
    positive: P::Scalar,
    /// share of rows whose positive is the largest
    top1: P::Scalar,
}

/// The criterion on probabilities `[B, 1 + m]` with the positive in column 0, for a set of so many samples.
fn criterion(p: &Tensor, samples: i64) -> Tensor {
    let m = p.size()[1] - 1;
    let noise = m as f64 / samples as f64;
    // the reference's guard against a division by 0
    let under = p + (noise + 1e-7);
    let positive = (p.select(1, 0) / under.select(1, 0)).log();
    let negative = (under.narrow(1, 1, m).reciprocal() * noise).log();
    -(positive.sum(Dtype::Float) + negative.sum(Dtype::Float)) / p.size()[0] as f64
}

impl Kind for Nce {
    fn ports(&self, inputs: In<Shapes>) -> Result<Out<Shapes>, PortFault> {
        let logits = columns(inputs.negatives.is_some(), &inputs.drawn);
        Ok(Out { logits, ..derived(self, inputs)? })
    }
}

impl BatchKind for Nce {
    fn run(&self, inputs: In<Batch>, _: &Cx<Self>) -> Result<Out<Batch>> {
        let In { features, index, positives, negatives, drawn, constant } = inputs;
        let (scores, rows) = scores(Rows { features, index, positives, negatives, drawn }, self.temperature)?;
        let constant = constant.map_or_else(|| estimate(&scores, rows), |z| z.detach());
        let p = scores.exp() / constant.reshape([1, 1]);
        let positive = p.detach().select(1, 0).mean(Dtype::Float);
        Ok(Out { loss: criterion(&p, rows), positive, top1: first_column_in_top(&p, 1), logits: p })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::nce_constant::NceConstant;
    use crate::{parity::Case, testing};

    #[test]
    fn the_criterion_on_given_probabilities() {
        let case = Case::open("d_nce_criteria");
        let p = case.given("prob").set_requires_grad(true);
        let loss = criterion(&p.squeeze_dim(2), case.json["params"]["n_data"].as_i64().unwrap());
        case.scalar("nce", &loss);
        loss.backward();
        case.tensor("grad.prob", &p.grad());
    }

    #[test]
    fn probabilities_are_over_the_constant_and_the_first_batch_estimates_it() {
        let case = Case::open("d_nceaverage_softmax");
        let special = case.special();
        let [other, negatives] = ["memory_ab", "memory_neg"].map(|name| special[name].shallow_clone());
        let features = case.given("l1");
        let inputs = || crate::loss::scores::tests::inputs(&case, &features, 1, &other, &negatives);
        let constant = testing::run(&testing::kind::<NceConstant>("temperature = 0.07"), 3, inputs()).take("constant");
        let kind: Nce = testing::kind("temperature = 0.07");
        let alone = testing::run(&kind, 3, inputs());
        // the expected scores are those of the softmax: exp and Z are left to do
        let scores = alone.tensor("logits").log() + constant.log();
        case.tensor("out_l.step1", &scores);
        assert!((alone.tensor("logits").mean(Dtype::Double).double_value(&[]) * 20.0 - 1.0).abs() < 1e-6);
        let with = |z: Tensor| testing::run(&kind, 3, inputs().into_iter().chain([("constant", z)]).collect());
        let given = with(constant.shallow_clone());
        assert_eq!(given.tensor("loss"), alone.tensor("loss"));
        let half = with(constant / 2.0);
        assert!((half.tensor("logits") / alone.tensor("logits") - 2.0).abs().max().double_value(&[]) < 1e-5);
    }
}
