//! What a kind is given when its shapes are asked for, and what it answers where they do not fit.

use crate::port::{Axis, Dim, Port};
use std::collections::BTreeMap;

/// Inputs of a node after types and shapes were matched with its declaration.
#[derive(Debug, Default)]
pub struct Inputs {
    pub(crate) ports: Vec<(String, Port)>,
    /// At `write` and `initial`, where they are known yet.
    pub(crate) written: Vec<(String, Port)>,
    pub(crate) initial: Vec<(String, Port)>,
    pub(crate) dims: BTreeMap<&'static str, Dim>,
}

impl Inputs {
    pub fn new(ports: Vec<(String, Port)>) -> Inputs {
        Inputs { ports, ..Inputs::default() }
    }
    /// Of a register, for tests of single kinds: what is written to it.
    pub fn with_written(self, written: Vec<(String, Port)>) -> Inputs {
        Inputs { written, ..self }
    }
    /// What is written to a register. A fault where that depends on the register itself.
    pub(crate) fn written(&self, name: &str) -> Result<&Port, PortFault> {
        self.written.iter().find(|(n, _)| n == name).map(|(_, p)| p).ok_or_else(|| {
            PortFault::node(format!("its shape comes from what is written at `{name}`, and that depends on the register's own output"))
        })
    }
    /// What a register starts from, where the graph says so.
    pub fn initial(&self, name: &str) -> Option<&Port> {
        self.initial.iter().find(|(n, _)| n == name).map(|(_, p)| p)
    }
    pub fn get(&self, name: &str) -> Option<&Port> {
        self.ports.iter().find(|(n, _)| n == name).map(|(_, p)| p)
    }
    /// All inputs under the names that the graph gave them, in order.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Port)> {
        self.ports.iter().map(|(n, p)| (n.as_str(), p))
    }
    pub fn axes(&self, name: &str) -> &[Axis] {
        self.get(name).map_or(&[], |p| &p.axes)
    }
}

/// A fault of the shape rule: of an input, of a setting, or of the node as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct PortFault {
    pub place: Place,
    pub message: String,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    Node,
    Input(String),
    Setting(String),
}

impl PortFault {
    pub fn node(message: impl Into<String>) -> PortFault {
        PortFault { place: Place::Node, message: message.into() }
    }
    pub fn port(name: &str, message: impl Into<String>) -> PortFault {
        PortFault { place: Place::Input(name.into()), message: message.into() }
    }
    pub fn setting(name: &str, message: impl Into<String>) -> PortFault {
        PortFault { place: Place::Setting(name.into()), message: message.into() }
    }
}
