use crate::prelude::*;

/// The same value, through which no gradient flows back (BYOL's target).
#[kind("flow/stop_gradient", inputs = In, outputs = Out, axes = Keep, gradient = false, source = "standard")]
pub struct StopGradient {}

#[derive(Ports)]
pub struct In<P: Plane> {
    /// `...` anything that a gradient could flow to
    value: P::Float,
}

#[derive(Ports)]
pub struct Out<P: Plane> {
    /// `...` the same, a constant to what reads it
    value: P::Float,
}

impl Kind for StopGradient {
    fn ports(&self, inputs: In<Shapes>) -> Result<Out<Shapes>, PortFault> {
        Ok(Out { value: inputs.value })
    }
}

impl BatchKind for StopGradient {
    fn run(&self, inputs: In<Batch>, _: &Cx<Self>) -> Result<Out<Batch>> {
        Ok(Out { value: inputs.value.detach() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use tch::{kind::FLOAT_CPU, Kind as Dtype, Tensor};

    #[test]
    fn the_gradient_comes_by_the_other_way_only() {
        let x = Tensor::rand([2, 3], FLOAT_CPU).set_requires_grad(true);
        let stopped = testing::run(&testing::kind::<StopGradient>(""), 2, vec![("value", x.shallow_clone())]).take("value");
        assert_eq!(stopped, x);
        (&x * stopped).sum(Dtype::Float).backward();
        assert_eq!(x.grad(), x.detach());
    }
}
