use super::scores::{scores, DRAWN, FEATURES, INDEX, NEGATIVES, POSITIVES};
use crate::limits;
use anyhow::Result;
use dv_graph::kind::{Axes, In, Inputs, Kind, Out, PortFault};
use dv_graph::port::{Port, Rate};
use dv_train::exec::batch::{BatchIo, BatchKind};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind as Dtype, Tensor};

/// The constant Z of noise-contrastive estimation, as one batch estimates it: the mean of `exp(product / temperature)` over all
/// columns, times the bank's rows. A register that starts from the first batch's keeps it for `loss/nce`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NceConstant {
    /// What products are divided by, as in the loss.
    #[schemars(range(max = limits::TEMPERATURE), extend("exclusiveMinimum" = 0.0))]
    temperature: f64,
}

/// Z of one batch: the mean of `exp(score)` times the bank's rows.
pub(super) fn estimate(scores: &Tensor, rows: i64) -> Tensor {
    scores.detach().exp().mean(Dtype::Float) * rows as f64
}

impl Kind for NceConstant {
    const NAME: &'static str = "loss/nce_constant";
    const INPUTS: &'static [In] = &[FEATURES, INDEX, POSITIVES, NEGATIVES, DRAWN];
    const OUTPUTS: &'static [Out] = &[Out::new("constant", "", "Z")];
    const RATE: Rate = Rate::Batch;
    const AXES: Axes = Axes::None;

    fn ports(&self, _: &Inputs) -> Result<Vec<Port>, PortFault> {
        Ok(vec![Port::scalar()])
    }
}

impl BatchKind for NceConstant {
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        let (scores, rows) = scores(io, self.temperature)?;
        io.put("constant", estimate(&scores, rows));
        Ok(())
    }
}
