use crate::prelude::*;

/// A number that the first step finds and that stays: the constant Z of noise-contrastive estimation.
#[kind("memory/constant", outputs = Out, initial = First, source = "Instance discrimination (Wu et al. 2018), section 3.2")]
pub struct Constant {}

#[derive(Ports)]
pub struct First<P: Plane> {
    /// the number of the first step
    value: P::Scalar,
}

#[derive(Ports)]
pub struct Out<P: Plane> {
    /// the number, in the first step too
    value: P::Scalar,
}

impl Kind for Constant {}

impl RegisterDeclaration for Constant {
    type Kept<P: Plane> = Out<P>;
    fn outputs(&self, _: &Nothing<Late>) -> Result<Out<Shapes>, PortFault> {
        Ok(Out { value: Port::scalar() })
    }
    fn state(&self, _: &Nothing<Late>) -> Result<Out<States>, PortFault> {
        Ok(Out { value: State::new([], Init::Constant(0.0)) })
    }
}

impl RegisterKind for Constant {
    fn read(&self, kept: Out<Batch>) -> Result<Out<Batch>> {
        Ok(kept)
    }
    fn start(&self, mut kept: Out<Batch>, initial: First<Batch>) -> Result<()> {
        kept.value.copy_(&initial.value);
        Ok(())
    }
    fn write(&self, _: Out<Batch>, _: Nothing<Batch>) -> Result<()> {
        Ok(())
    }
}
