use super::{contrast, first_column_in_top, first_column_loss, part_size, Gradient};
use crate::prelude::*;

/// Temporal coherence between two clips of a video, as DualVar computes it: NT-Xent in which the similarity of two clips is
/// the mean of all N x N products of their segments' features. That is the product of the clips' mean features, which are
/// not normalised again, and so it does not see the order of segments.
#[kind("loss/temporal_coherence", inputs = In, outputs = Out, rate = Batch, axes = None, source = "DualVar (Zhang et al. 2021), section 3.4, and its code")]
pub struct TemporalCoherence {
    /// What similarities are divided by; 0.07 in DualVar.
    #[schemars(range(max = limits::TEMPERATURE), extend("exclusiveMinimum" = 0.0))]
    temperature: f64,
    /// Over a `world` of several parts: `exact` contrasts in the whole batch; in `published` each part takes its own rows
    /// as anchors, features of other parts bring no gradient, and parts are averaged. The values agree.
    gradient: Gradient,
}

#[derive(Ports)]
pub struct In<P: Plane> {
    /// `N D` segment features of one clip, unit length each
    a: P::Float,
    /// `N D` segment features of the other clip
    b: P::Float,
}

#[derive(Ports)]
pub struct Out<P: Plane> {
    /// the mean over 2B rows
    loss: P::Scalar,
    /// `2B 2B-1` similarities over the temperature, the positive in column 0; in `published` part by part, each a then b
    logits: P::Whole,
    /// share of rows whose positive is the largest
    top1: P::Scalar,
    /// `parts` the loss of each part; one number in `exact`
    part_losses: P::Whole,
}

impl Kind for TemporalCoherence {}

impl BatchKind for TemporalCoherence {
    fn run(&self, In { a, b }: In<Batch>, cx: &Cx<Self>) -> Result<Out<Batch>> {
        let batch = a.size()[0];
        ensure!(batch >= 2, "there is nothing to contrast in a batch of {batch}");
        let mean = |x: &Tensor| full(x).mean_dim([1i64].as_slice(), false, None);
        let all = Tensor::cat(&[mean(&a), mean(&b)], 0);
        let world = if self.gradient == Gradient::Published { cx.world() } else { 1 };
        let size = part_size(batch, world)?;
        let of = |part: i64| {
            let rows = [0, batch].into_iter().flat_map(|view| view + part * size..view + (part + 1) * size);
            self.part(&all, &rows.map(|row| row as usize).collect::<Vec<_>>(), world > 1)
        };
        let logits: Vec<Tensor> = (0..world as i64).map(of).collect();
        let losses = Tensor::stack(&logits.iter().map(first_column_loss).collect::<Vec<_>>(), 0);
        let logits = Tensor::cat(&logits, 0);
        Ok(Out { loss: losses.mean(Dtype::Float), top1: first_column_in_top(&logits, 1), part_losses: losses.detach(), logits })
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
