use anyhow::Result;
use dv_graph::kind::{In, Init, Inputs, Kind, Out, PortFault, Reference, RegisterDeclaration, State as Declared};
use dv_graph::port::{Port, Type};
use dv_train::exec::batch::{BatchIo, RegisterKind, State};
use schemars::JsonSchema;
use serde::Deserialize;

/// A number that the first step finds and that stays: the constant Z of noise-contrastive estimation.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Constant {}

impl Kind for Constant {
    const NAME: &'static str = "memory/constant";
    const INPUTS: &'static [In] = &[];
    const INITIAL: &'static [In] = &[In::new("value", &[Type::Float], "", "the number of the first step")];
    const OUTPUTS: &'static [Out] = &[Out::new("value", "", "the number, in the first step too")];

    fn ports(&self, _: &Inputs) -> Result<Vec<Port>, PortFault> {
        Ok(vec![Port::scalar()])
    }
}

impl RegisterDeclaration for Constant {
    fn state(&self, _: &Inputs) -> Vec<Declared> {
        vec![Declared { name: "value", shape: vec![], ty: Type::Float, init: Init::Constant(0.0), reference: Reference::Same }]
    }
}

impl RegisterKind for Constant {
    fn read(&self, state: &State, io: &mut BatchIo) -> Result<()> {
        io.put("value", state.get("value"));
        Ok(())
    }
    fn start(&self, state: &State, io: &BatchIo) -> Result<()> {
        state.get("value").copy_(&io.tensor("value")?);
        Ok(())
    }
    fn write(&self, _: &State, _: &BatchIo) -> Result<()> {
        Ok(())
    }
}
