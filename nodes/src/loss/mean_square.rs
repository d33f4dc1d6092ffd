use super::Loss;
use crate::prelude::*;

/// The mean of the squares of all numbers that come in, or of their differences from a target: a regression loss, or a
/// penalty on features.
#[kind("loss/mean_square", inputs = In, outputs = Loss, rate = Batch, axes = None, source = "standard")]
pub struct MeanSquare {}

#[derive(Ports)]
pub struct In<P: Plane> {
    /// `...` maps, features or logits
    values: P::Float,
    /// `...` what they should be, of the same shape; 0 without
    target: Option<P::Float>,
}

impl Kind for MeanSquare {
    fn ports(&self, inputs: In<Shapes>) -> Result<Loss<Shapes>, PortFault> {
        match inputs.target.filter(|target| target.shape != inputs.values.shape) {
            Some(target) => Err(PortFault::port("target", format!("is {target}, and the values are {}", inputs.values))),
            None => Ok(Loss { loss: Port::scalar() }),
        }
    }
}

impl BatchKind for MeanSquare {
    fn run(&self, In { values, target }: In<Batch>, _: &Cx<Self>) -> Result<Loss<Batch>> {
        let difference = match target {
            Some(target) => {
                ensure!(target.size() == values.size(), "the target is {:?}, and the values are {:?}", target.size(), values.size());
                full(&values) - target
            }
            None => full(&values),
        };
        Ok(Loss { loss: difference.square().mean(Dtype::Float) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use tch::Tensor;

    #[test]
    fn squares_with_and_without_a_target() {
        let values = || Tensor::from_slice(&[1f32, 2., 3., 4.]).reshape([2, 2]);
        let loss = |inputs| testing::run(&testing::kind::<MeanSquare>(""), 2, inputs).tensor("loss").double_value(&[]);
        assert_eq!(loss(vec![("values", values())]), 7.5);
        assert_eq!(loss(vec![("values", values()), ("target", values() - 1.0)]), 1.0);
    }

    #[test]
    fn a_target_of_another_shape_is_a_fault() {
        let inputs = vec![("values", Port::float([5.into()])), ("target", Port::float([4.into()]))];
        assert!(testing::shapes(&testing::kind::<MeanSquare>(""), inputs).is_err());
    }
}
