use crate::prelude::*;

/// Probabilities of the classes. Before `collect/mean` it makes a test over several clips average probabilities
/// (DualVar); without it logits are averaged (IIC).
#[kind("head/softmax", inputs = Logits, outputs = Out, source = "standard")]
pub struct Softmax {}

#[derive(Ports)]
pub struct Out<P: Plane> {
    /// `classes` positive, with sum 1
    probabilities: P::Float,
}

impl Kind for Softmax {}

impl BatchKind for Softmax {
    fn run(&self, inputs: Logits<Batch>, _: &Cx<Self>) -> Result<Out<Batch>> {
        Ok(Out { probabilities: inputs.logits.softmax(-1, Dtype::Float) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use tch::Tensor;

    #[test]
    fn rows_sum_to_one() {
        let logits = Tensor::from_slice(&[0f32, 0., 2f32.ln(), 1000.]).reshape([2, 2]);
        let out = testing::run(&testing::kind::<Softmax>(""), 2, vec![("logits", logits)]);
        let p = Vec::<f32>::try_from(out.tensor("probabilities").flatten(0, -1)).unwrap();
        assert_eq!(p, [0.5, 0.5, 0.0, 1.0]);
    }
}
