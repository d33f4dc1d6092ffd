use super::scores::{scores, Rows};
use crate::prelude::*;

/// The constant Z of noise-contrastive estimation, as one batch estimates it: the mean of `exp(product / temperature)` over all
/// columns, times the bank's rows. A register that starts from the first batch's keeps it for `loss/nce`.
#[kind("loss/nce_constant", inputs = Rows, outputs = Out, rate = Batch, axes = None, source = "Instance discrimination (Wu et al. 2018), equation 11; IIC's code")]
pub struct NceConstant {
    /// What products are divided by, as in the loss.
    #[schemars(range(max = limits::TEMPERATURE), extend("exclusiveMinimum" = 0.0))]
    temperature: f64,
}

#[derive(Ports)]
pub struct Out<P: Plane> {
    /// Z
    constant: P::Scalar,
}

/// Z of one batch: the mean of `exp(score)` times the bank's rows.
pub(super) fn estimate(scores: &Tensor, rows: i64) -> Tensor {
    scores.detach().exp().mean(Dtype::Float) * rows as f64
}

impl Kind for NceConstant {}

impl BatchKind for NceConstant {
    fn run(&self, inputs: Rows<Batch>, _: &Cx<Self>) -> Result<Out<Batch>> {
        let (scores, rows) = scores(inputs, self.temperature)?;
        Ok(Out { constant: estimate(&scores, rows) })
    }
}
