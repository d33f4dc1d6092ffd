use super::{contrast, first_column_in_top, first_column_loss, part_size, Gradient};
use crate::prelude::*;

/// NT-Xent, the loss of SimCLR: for each of the 2B features, cross-entropy of its similarity with the same video's other
/// view against those with all other 2B - 2 features. Features are used as they come; give unit ones. It is computed over
/// the whole batch whatever `world` is.
#[kind("loss/nt_xent", inputs = In, outputs = Out, rate = Batch, axes = None, source = "SimCLR (Chen et al. 2020), equation 1")]
pub struct NtXent {
    /// What similarities are divided by; 0.07 in DualVar.
    #[schemars(range(max = limits::TEMPERATURE), extend("exclusiveMinimum" = 0.0))]
    temperature: f64,
    /// Whose gradient over a `world` of several parts: `published` is 1/world of `exact`.
    gradient: Gradient,
}

#[derive(Ports)]
pub struct In<P: Plane> {
    /// `D` features of one view
    a: P::Float,
    /// `D` features of the other view
    b: P::Float,
}

#[derive(Ports)]
pub struct Out<P: Plane> {
    /// the mean over 2B rows
    loss: P::Scalar,
    /// `2B 2B-1` similarities over the temperature; rows: all of a, then all of b; the positive is column 0
    logits: P::Whole,
    /// share of rows whose positive is the largest
    top1: P::Scalar,
    /// share of rows whose positive is among the five largest
    top5: P::Scalar,
}

impl Kind for NtXent {}

impl BatchKind for NtXent {
    fn run(&self, inputs: In<Batch>, cx: &Cx<Self>) -> Result<Out<Batch>> {
        let all = full(&Tensor::cat(&[inputs.a, inputs.b], 0));
        let n = all.size()[0];
        // the last batch of a stage that evaluates may have one row: its loss is 0
        ensure!(n >= 4 || !all.requires_grad(), "there is nothing to contrast in a batch of {}", n / 2);
        let rows: Vec<usize> = (0..n as usize).collect();
        let logits = contrast(&all, &all, &rows, self.temperature);
        let mut loss = first_column_loss(&logits);
        if self.gradient == Gradient::Published && cx.world() > 1 {
            part_size(n / 2, cx.world())?;
            // the value of the whole, 1/world of the gradient
            let part = &loss / cx.world() as f64;
            loss = &part + (loss - &part).detach();
        }
        Ok(Out { loss, top1: first_column_in_top(&logits, 1), top5: first_column_in_top(&logits, 5), logits })
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
        let case = Case::open("b_simclr_clip_loss");
        let features = case.given("features").set_requires_grad(true);
        let out = testing::run(&testing::kind::<NtXent>("temperature = 0.07\ngradient = 'exact'"), 5, views(&features));
        case.tensor("clip_logits", out.tensor("logits"));
        case.scalar("clip_contrast_loss", out.tensor("loss"));
        out.tensor("loss").backward();
        case.tensor("grad.features", &features.grad());
    }

    #[test]
    fn the_published_gradient_is_that_of_two_processes_averaged() {
        let case = Case::open("b_simclr_two_process");
        for (gradient, single) in [("exact", true), ("published", false)] {
            let features = case.given("clip_features").set_requires_grad(true);
            let kind: NtXent = testing::kind(&format!("temperature = 0.07\ngradient = '{gradient}'"));
            let out = testing::run_world(&kind, 6, 2, views(&features));
            case.tensor("clip_logits.rank0", out.tensor("logits"));
            case.scalar("clip_loss.rank1", out.tensor("loss"));
            out.tensor("loss").backward();
            if single {
                case.tensor("clip_grad.single", &features.grad());
            } else {
                // each rank's own gradient stands in the case before the average over the two
                case.tensor("clip_grad.ranks", &(features.grad() * 2.0));
            }
        }
    }

    #[test]
    fn collapsed_features_are_no_success() {
        let same = Tensor::ones([4, 2, 8], tch::kind::FLOAT_CPU);
        let out = testing::run(&testing::kind::<NtXent>("temperature = 0.07\ngradient = 'exact'"), 4, views(&same));
        assert_eq!(out.tensor("top1").double_value(&[]), 0.0);
    }
}
