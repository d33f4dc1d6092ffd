use super::{contrast, first_column_in_top, first_column_loss, matrix, part_size, symbol, Gradient};
use crate::limits;
use anyhow::{ensure, Result};
use dv_graph::kind::{Axes, In, Inputs, Kind, Out, PortFault};
use dv_graph::port::{Port, Rate, Type};
use dv_train::exec::batch::{BatchIo, BatchKind};
use dv_train::state::weights::Weights;
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;

/// Temporal coherence between two clips of a video, as DualVar computes it: NT-Xent in which the similarity of two clips is
/// the mean of all N x N products of their segments' features. That is the product of the clips' mean features, which are
/// not normalised again, and so it does not see the order of segments.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TemporalCoherence {
    /// What similarities are divided by; 0.07 in DualVar.
    #[schemars(range(max = limits::TEMPERATURE), extend("exclusiveMinimum" = 0.0))]
    temperature: f64,
    /// Over a `world` of several parts: `exact` contrasts in the whole batch; in `published` each part takes its own rows
    /// as anchors, features of other parts bring no gradient, and parts are averaged. The values agree.
    gradient: Gradient,
}

impl Kind for TemporalCoherence {
    const NAME: &'static str = "loss/temporal_coherence";
    const INPUTS: &'static [In] = &[
        In::new("a", &[Type::Float], "N D", "segment features of one clip, unit length each"),
        In::new("b", &[Type::Float], "N D", "segment features of the other clip"),
    ];
    const OUTPUTS: &'static [Out] = &[
        Out::new("loss", "", "the mean over 2B rows"),
        Out::new(
            "logits",
            "2B 2B-1",
            "similarities over the temperature, the positive in column 0; in `published` part by part, each a then b",
        ),
        Out::new("top1", "", "share of rows whose positive is the largest"),
        Out::new("part_losses", "world", "the loss of each part; one number in `exact`"),
    ];
    const RATE: Rate = Rate::Batch;
    const AXES: Axes = Axes::None;

    fn ports(&self, _: &Inputs) -> Result<Vec<Port>, PortFault> {
        let parts = Port::whole(Type::Float, [symbol("parts")]);
        Ok(vec![Port::scalar(), matrix("2B", "2B-1"), Port::scalar(), parts])
    }
}

impl BatchKind for TemporalCoherence {
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        let (a, b) = (io.tensor("a")?, io.tensor("b")?);
        let batch = a.size()[0];
        ensure!(batch >= 2, "there is nothing to contrast in a batch of {batch}");
        let mean = |x: &Tensor| Weights::full(x).mean_dim([1i64].as_slice(), false, None);
        let all = Tensor::cat(&[mean(&a), mean(&b)], 0);
        let world = if self.gradient == Gradient::Published { io.world() } else { 1 };
        let size = part_size(batch, world)?;
        let mut logits = Vec::new();
        for part in 0..world as i64 {
            let rows: Vec<usize> =
                [0, batch].iter().flat_map(|view| (view + part * size..view + (part + 1) * size).map(|r| r as usize)).collect();
            logits.push(self.part(&all, &rows, world > 1));
        }
        let losses: Vec<Tensor> = logits.iter().map(first_column_loss).collect();
        let losses = Tensor::stack(&losses, 0);
        let logits = Tensor::cat(&logits, 0);
        io.put("loss", losses.mean(tch::Kind::Float));
        io.put("top1", first_column_in_top(&logits, 1));
        io.put("part_losses", losses.detach());
        io.put("logits", logits);
        Ok(())
    }
}

impl TemporalCoherence {
    /// Logits of the anchors at `rows`; `cut` lets gradients through to these rows' features alone.
    fn part(&self, all: &Tensor, rows: &[usize], cut: bool) -> Tensor {
        let index: Vec<i64> = rows.iter().map(|r| *r as i64).collect();
        let index = Tensor::from_slice(&index).to_device(all.device());
        let anchors = all.index_select(0, &index);
        let against = if cut { all.detach().index_copy(0, &index, &anchors) } else { all.shallow_clone() };
        contrast(&anchors, &against, rows, self.temperature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parity::Case, testing};

    fn views(features: &Tensor) -> Vec<(&'static str, Tensor)> {
        vec![("a", features.select(1, 0)), ("b", features.select(1, 1))]
    }

    #[test]
    fn loss_logits_and_gradient_equal_the_reference() {
        let case = Case::open("b_simclr_tc_loss_s2");
        let features = case.given("features").set_requires_grad(true);
        let kind: TemporalCoherence = testing::kind("temperature = 0.07\ngradient = 'exact'");
        let out = testing::run_world(&kind, 4, 2, views(&features));
        case.tensor("tc_logits", out.tensor("logits"));
        case.scalar("tc_contrast_loss", out.tensor("loss"));
        out.tensor("loss").backward();
        case.tensor("grad.features", &features.grad());
    }

    #[test]
    fn the_published_gradient_is_that_of_two_processes_averaged() {
        let case = Case::open("b_simclr_two_process");
        let features = case.given("tc_features").set_requires_grad(true);
        let kind: TemporalCoherence = testing::kind("temperature = 0.07\ngradient = 'published'");
        let out = testing::run_world(&kind, 6, 2, views(&features));
        let logits = out.tensor("logits");
        case.tensor("tc_logits.rank0", &logits.narrow(0, 0, 6));
        case.tensor("tc_logits.rank1", &logits.narrow(0, 6, 6));
        case.scalar("tc_loss.rank0", &out.tensor("part_losses").get(0));
        case.scalar("tc_loss.rank1", &out.tensor("part_losses").get(1));
        case.scalar("tc_loss.single", out.tensor("loss"));
        out.tensor("loss").backward();
        case.tensor("tc_grad.ranks", &(features.grad() * 2.0));
    }

    #[test]
    fn exact_over_two_parts_is_the_single_process() {
        let case = Case::open("b_simclr_two_process");
        let features = case.given("tc_features").set_requires_grad(true);
        let kind: TemporalCoherence = testing::kind("temperature = 0.07\ngradient = 'exact'");
        let out = testing::run_world(&kind, 6, 2, views(&features));
        case.scalar("tc_loss.single", out.tensor("loss"));
        out.tensor("loss").backward();
        case.tensor("tc_grad.single", &features.grad());
    }
}
