use super::{first_column_in_top, matrix, positive_first};
use crate::limits;
use crate::pixels::length;
use anyhow::Result;
use dv_graph::kind::{Axes, In, Inputs, Kind, Out, PortFault};
use dv_graph::port::{Port, Rate, Type};
use dv_train::exec::batch::{BatchIo, BatchKind};
use dv_train::state::weights::Weights;
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind as Dtype, Tensor};

/// DualVar's shuffle-rank loss within each video: of the 2N segment features of a clip and of its shuffled, restored twin,
/// each should be nearer to the same segment of the twin than to any other. The mean of
/// `log(1 + exp(min((s_other - s_match) / theta, clamp)))` over the 2N - 2 others; beyond the clamp the gradient is zero.
/// The published weight of 0.5 is not in it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rank {
    /// Scale of the margins; DualVar's SimCLR takes 0.05 by default, its MoCo always.
    #[schemars(range(max = limits::TEMPERATURE), extend("exclusiveMinimum" = 0.0))]
    theta: f64,
    /// Largest scaled margin; 5 in DualVar's SimCLR, `inf`, which is none, in its MoCo.
    #[schemars(range(min = 0.0, max = 1e6), extend("x-infinity" = true))]
    clamp: f64,
}

impl Kind for Rank {
    const NAME: &'static str = "loss/rank";
    const INPUTS: &'static [In] = &[
        In::new("series", &[Type::Float], "N D", "segment features of a clip, unit length each"),
        In::new("shuffled", &[Type::Float], "N D", "segment features of the shuffled clip, back in order"),
    ];
    const OUTPUTS: &'static [Out] = &[
        Out::new("loss", "", "the mean over B x 2N x (2N - 2) margins"),
        Out::new("logits", "B*2N 2N-1", "raw cosines; rows: each video's series, then its shuffled ones; the match is column 0"),
        Out::new("top1", "", "share of rows whose match is the nearest"),
    ];
    const RATE: Rate = Rate::Batch;
    const AXES: Axes = Axes::None;

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        let segments = length(inputs, "series", 0)?;
        if segments < 2 {
            return Err(PortFault::input("series", "one segment has no order; at least 2 are needed"));
        }
        Ok(vec![Port::scalar(), matrix("B*2N", "2N-1"), Port::scalar()])
    }
}

impl BatchKind for Rank {
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        let all = Weights::full(&Tensor::cat(&[io.tensor("series")?, io.tensor("shuffled")?], 1));
        let (batch, n) = (all.size()[0], all.size()[1]);
        let columns: Vec<i64> = (0..n as usize).flat_map(|row| positive_first(row, n as usize)).collect();
        let columns = Tensor::from_slice(&columns).reshape([1, n, n - 1]).to_device(all.device()).expand([batch, n, n - 1], false);
        let cosines = all.bmm(&all.transpose(1, 2)).gather(2, &columns, false).reshape([batch * n, n - 1]);
        let margins = (cosines.narrow(1, 1, n - 2) - cosines.narrow(1, 0, 1)) / self.theta;
        let loss = margins.clamp_max(self.clamp).softplus().mean(Dtype::Float);
        io.put("loss", loss);
        io.put("top1", first_column_in_top(&cosines, 1));
        io.put("logits", cosines);
        Ok(())
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
