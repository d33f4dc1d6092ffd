use super::{first_column_in_top, positive_first};
use crate::prelude::*;

/// DualVar's shuffle-rank loss within each video: of the 2N segment features of a clip and of its shuffled, restored twin,
/// each should be nearer to the same segment of the twin than to any other. The mean of
/// `log(1 + exp(min((s_other - s_match) / theta, clamp)))` over the 2N - 2 others; beyond the clamp the gradient is zero.
/// The published weight of 0.5 is not in it.
#[kind("loss/rank", inputs = In, outputs = Out, rate = Batch, axes = None, source = "DualVar (Zhang et al. 2021), equation 3, and its code")]
pub struct Rank {
    /// Scale of the margins; DualVar's SimCLR takes 0.05 by default, its MoCo always.
    #[schemars(range(max = limits::TEMPERATURE), extend("exclusiveMinimum" = 0.0))]
    theta: f64,
    /// Largest scaled margin; 5 in DualVar's SimCLR, `inf`, which is none, in its MoCo.
    #[schemars(range(min = 0.0, max = 1e6), extend("x-infinity" = true))]
    clamp: f64,
}

#[derive(Ports)]
pub struct In<P: Plane> {
    /// `N D` segment features of a clip, unit length each
    series: P::Float,
    /// `N D` segment features of the shuffled clip, back in order
    shuffled: P::Float,
}

#[derive(Ports)]
pub struct Out<P: Plane> {
    /// the mean over B x 2N x (2N - 2) margins
    loss: P::Scalar,
    /// `B*2N 2N-1` raw cosines; rows: each video's series, then its shuffled ones; the match is column 0
    logits: P::Whole,
    /// share of rows whose match is the nearest
    top1: P::Scalar,
}

impl Kind for Rank {
    fn ports(&self, inputs: In<Shapes>) -> Result<Out<Shapes>, PortFault> {
        if length(&inputs.series, "series", 0)? < 2 {
            return Err(PortFault::port("series", "one segment has no order; at least 2 are needed"));
        }
        derived(self, inputs)
    }
}

impl BatchKind for Rank {
    fn run(&self, inputs: In<Batch>, _: &Cx<Self>) -> Result<Out<Batch>> {
        let all = full(&Tensor::cat(&[inputs.series, inputs.shuffled], 1));
        let (batch, n) = (all.size()[0], all.size()[1]);
        let columns: Vec<i64> = (0..n as usize).flat_map(|row| positive_first(row, n as usize)).collect();
        let columns = Tensor::from_slice(&columns).reshape([1, n, n - 1]).to_device(all.device()).expand([batch, n, n - 1], false);
        let cosines = all.bmm(&all.transpose(1, 2)).gather(2, &columns, false).reshape([batch * n, n - 1]);
        let margins = (cosines.narrow(1, 1, n - 2) - cosines.narrow(1, 0, 1)) / self.theta;
        let loss = margins.clamp_max(self.clamp).softplus().mean(Dtype::Float);
        Ok(Out { loss, top1: first_column_in_top(&cosines, 1), logits: cosines })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parity::Case, testing};

    fn equals_the_reference(name: &str, theta: f64) {
        let case = Case::open(name);
        let features = case.given("features").set_requires_grad(true);
        let inputs = vec![("series", features.select(2, 0)), ("shuffled", features.select(2, 1))];
        let out = testing::run(&testing::kind::<Rank>(&format!("theta = {theta}\nclamp = 5.0")), 4, inputs);
        case.tensor("aug_ranking_margin_logits", out.tensor("logits"));
        // the reference multiplies by 0.5
        let loss = out.tensor("loss") * 0.5;
        case.scalar("aug_ranking_margin_contrast_loss", &loss);
        loss.backward();
        case.tensor("grad.features", &features.grad());
    }

    #[test]
    fn two_segments() {
        equals_the_reference("b_simclr_ranking_loss_s2_theta0.05", 0.05);
    }

    #[test]
    fn four_segments() {
        equals_the_reference("b_simclr_ranking_loss_s4_theta0.5", 0.5);
    }

    #[test]
    fn without_a_clamp_large_margins_stay_finite() {
        let series = Tensor::from_slice(&[1f32, 0., 0., 1.]).reshape([1, 2, 2]).set_requires_grad(true);
        let inputs = vec![("series", series.shallow_clone()), ("shuffled", series.flip([1]))];
        let out = testing::run(&testing::kind::<Rank>("theta = 0.001\nclamp = inf"), 1, inputs);
        assert!((out.tensor("loss").double_value(&[]) - 500.0).abs() < 1.0);
        out.tensor("loss").backward();
        assert!(bool::try_from(series.grad().isfinite().all()).unwrap());
    }
}
