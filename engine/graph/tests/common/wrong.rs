//! Kinds that do not do what they declare, each in the way that its graph asks for.

use dv_graph::draw::Rng;
use dv_graph::kind::*;
use dv_graph::port::{Port, Type};
use dv_graph::settings::SettingFaults;
use schemars::JsonSchema;
use serde::Deserialize;

const CLIP: &[Type] = &[Type::Bytes, Type::Float];

/// In what a kind is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Its settings are checked with a panic.
    Check,
    /// An output too few.
    Outputs,
    /// It asks for an input that it does not declare.
    Input,
    /// It asks for a length that it does not declare.
    Length,
    /// A number runs over.
    Overflow,
    Dropped,
    Pick,
    Source,
    Batch,
    Parameters,
    State,
}

impl How {
    fn fail(self, here: How) {
        assert!(self != here, "deliberately wrong");
    }
    fn ports(self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        match self {
            How::Outputs => return Ok(Vec::new()),
            How::Input => drop(inputs.port("frames")),
            How::Length => drop(inputs.dim("D")),
            _ => {}
        }
        let mut port = Port::float(inputs.port("clips").shape.clone());
        if self == How::Overflow {
            port.shape[0] = (usize::MAX / std::hint::black_box(1) + port.shape.len()).into();
        }
        Ok(vec![port])
    }
}

const INPUT: &[In] = &[In::new("clips", CLIP, "3 T H W", "the clips")];
const OUTPUT: &[Out] = &[Out::new("clips", "3 T H W", "the clips")];

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WrongNode {
    how: How,
}
impl Kind for WrongNode {
    const NAME: &'static str = "own/wrong";
    const INPUTS: &'static [In] = INPUT;
    const OUTPUTS: &'static [Out] = OUTPUT;
    fn check(&self, _: &mut SettingFaults) {
        self.how.fail(How::Check);
    }
    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        self.how.ports(inputs)
    }
    fn dropped(&self) -> Vec<String> {
        self.how.fail(How::Dropped);
        Vec::new()
    }
    fn pick(&self, _: &mut Rng, _: &[&str]) -> Option<usize> {
        self.how.fail(How::Pick);
        None
    }
    fn source(&self) -> Option<Source> {
        self.how.fail(How::Source);
        None
    }
    fn batch_at_most(&self) -> Option<(&'static str, usize)> {
        self.how.fail(How::Batch);
        None
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WrongModel {
    how: How,
}
impl Kind for WrongModel {
    const NAME: &'static str = "own/wrong_model";
    const INPUTS: &'static [In] = INPUT;
    const OUTPUTS: &'static [Out] = OUTPUT;
    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        self.how.ports(inputs)
    }
}
impl ModelDeclaration for WrongModel {
    fn parameters(&self, _: &Inputs) -> Vec<Parameter> {
        self.how.fail(How::Parameters);
        Vec::new()
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WrongRegister {
    how: How,
}
impl Kind for WrongRegister {
    const NAME: &'static str = "own/wrong_register";
    const INPUTS: &'static [In] = INPUT;
    const OUTPUTS: &'static [Out] = OUTPUT;
    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        self.how.ports(inputs)
    }
}
impl RegisterDeclaration for WrongRegister {
    fn state(&self, _: &Inputs) -> Vec<State> {
        self.how.fail(How::State);
        Vec::new()
    }
}
