use super::first_column_in_top;
use super::nce_constant::estimate;
use super::scores::{self, scores, DRAWN, FEATURES, INDEX, NEGATIVES, POSITIVES};
use crate::limits;
use anyhow::Result;
use dv_graph::kind::{Axes, In, Inputs, Kind, Out, PortFault};
use dv_graph::port::{Port, Rate, Type};
use dv_train::exec::batch::{BatchIo, BatchKind};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind as Dtype, Tensor};

/// Noise-contrastive estimation over memory banks (Wu et al. 2018, equation 12; IIC and CMC without `softmax`): with
/// `p = exp(product / temperature) / Z`, m the columns but the first and n the bank's rows, the mean over the batch of
/// `-log(p_0 / (p_0 + m/n)) - sum_j log((m/n) / (p_j + m/n))`. Z is a constant: in the reference, the first batch's estimate.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nce {
    /// What products are divided by; 0.07 in IIC.
    #[schemars(range(max = limits::TEMPERATURE), extend("exclusiveMinimum" = 0.0))]
    temperature: f64,
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
    const NAME: &'static str = "loss/nce";
    const INPUTS: &'static [In] = &[
        FEATURES,
        INDEX,
        POSITIVES,
        NEGATIVES,
        DRAWN,
        In::new("constant", &[Type::Float], "", "Z; without it, each batch's own estimate (`loss/nce_constant`)").optional(),
    ];
    const OUTPUTS: &'static [Out] = &[
        Out::new("loss", "", "the sum over columns, the mean over the batch"),
        Out::new("logits", "columns", "the probabilities p: [own, drawn] of `positives`, then [own, drawn] of `negatives`"),
        Out::new("positive", "", "the positives' p, their mean over the batch"),
        Out::new("top1", "", "share of rows whose positive is the largest"),
    ];
    const RATE: Rate = Rate::Batch;
    const AXES: Axes = Axes::None;

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        Ok(vec![Port::scalar(), scores::port(inputs), Port::scalar(), Port::scalar()])
    }
}

impl BatchKind for Nce {
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        let (scores, rows) = scores(io, self.temperature)?;
        let constant = io.optional("constant").map_or_else(|| estimate(&scores, rows), |z| z.detach());
        let p = scores.exp() / constant.reshape([1, 1]);
        io.put("loss", criterion(&p, rows));
        io.put("positive", p.detach().select(1, 0).mean(Dtype::Float));
        io.put("top1", first_column_in_top(&p, 1));
        io.put("logits", p);
        Ok(())
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
        let inputs = || scores::tests::inputs(&case, &features, 1, &other, &negatives);
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
