use crate::prelude::*;

/// Cross-entropy of logits and labels, the mean over the batch.
#[kind("loss/cross_entropy", inputs = In, outputs = Out, rate = Batch, axes = None, source = "standard")]
pub struct CrossEntropy {}

#[derive(Ports)]
pub struct In<P: Plane> {
    /// `classes` one logit for each class
    logits: P::Float,
    /// the true class
    #[counts("classes")]
    label: P::Index,
}

#[derive(Ports)]
pub struct Out<P: Plane> {
    /// the mean over the batch
    loss: P::Scalar,
    /// share of samples whose largest logit is the true class
    top1: P::Scalar,
}

impl Kind for CrossEntropy {}

impl BatchKind for CrossEntropy {
    fn run(&self, In { logits, label }: In<Batch>, _: &Cx<Self>) -> Result<Out<Batch>> {
        let logits = full(&logits);
        let loss = logits.cross_entropy_loss::<Tensor>(&label, None, Reduction::Mean, -100, 0.0);
        let right = logits.detach().argmax(1, false).eq_tensor(&label);
        Ok(Out { loss, top1: right.to_kind(Dtype::Float).mean(Dtype::Float) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn equal_logits_cost_the_logarithm_of_their_number() {
        let logits = Tensor::from_slice(&[0f32, 0., 0., 9., 9., 9.]).reshape([2, 3]);
        let label = Tensor::from_slice(&[0i64, 2]);
        let out = testing::run(&testing::kind::<CrossEntropy>(""), 2, vec![("logits", logits), ("label", label)]);
        assert!((out.tensor("loss").double_value(&[]) - 3f64.ln()).abs() < 1e-6);
        assert_eq!(out.tensor("top1").double_value(&[]), 0.5);
    }
}
