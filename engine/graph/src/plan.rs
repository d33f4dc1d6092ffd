//! What a stage computes, in what order, and where: the outcome of the check.

use crate::budget::product;
use crate::draw::{Key, Pass, Sample};
use crate::kind::{AnyKind, Entry, Parameter, Reference, Source, State};
use crate::net::Cost;
use crate::port::{Axis, Dim, Port, Rate, Type};
use crate::source::At;
use crate::stage::{Drive, During, Ema};
use crate::tree::Table;
use indexmap::{IndexMap, IndexSet};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A checked experiment, ready to run.
pub struct Plan {
    pub name: String,
    pub about: String,
    pub seed: u64,
    pub models: IndexMap<String, ModelPlan>,
    /// In an order in which each comes after what it needs.
    pub stages: Vec<StagePlan>,
    /// The resolved graph as TOML.
    pub resolved: String,
}

pub struct ModelPlan {
    pub entry: &'static Entry,
    pub kind: Arc<dyn AnyKind>,
    /// The model that this one averages.
    pub ema: Option<Ema>,
    /// Paths in the reference's state dict: one for the model, or one a layer.
    pub names: Vec<String>,
    pub parameters: Vec<Parameter>,
}

impl ModelPlan {
    /// Layers in PyTorch's order: what parameters' names have before their last dot.
    pub fn layers(parameters: &[Parameter]) -> Vec<&str> {
        let layers: IndexSet<&str> = parameters.iter().map(|p| p.name.rsplit_once('.').map_or("", |(l, _)| l)).collect();
        layers.into_iter().collect()
    }
    /// Trained numbers.
    pub fn count(&self) -> usize {
        let trained = self.parameters.iter().filter(|p| p.role.trained());
        usize::try_from(numbers(trained)).unwrap_or(usize::MAX)
    }
    /// Whether passes in training leave something behind.
    pub fn has_buffers(&self) -> bool {
        self.parameters.iter().any(|p| !p.role.trained())
    }
    /// A parameter's path in the reference's state dict, where the graph names the model there.
    pub fn reference_name(&self, parameter: &str) -> Option<String> {
        self.name_under(&self.names, parameter)
    }
    /// The same under other names: one for the model, or one a layer.
    pub fn name_under(&self, names: &[String], parameter: &str) -> Option<String> {
        match names {
            [] => None,
            // the root of the state dict
            [one] if one.is_empty() => Some(parameter.to_string()),
            [one] => Some(format!("{one}.{parameter}")),
            layers => {
                let (layer, leaf) = parameter.rsplit_once('.').unwrap_or(("", parameter));
                let i = ModelPlan::layers(&self.parameters).iter().position(|l| *l == layer)?;
                layers.get(i).map(|path| format!("{path}.{leaf}"))
            }
        }
    }
}

/// Numbers in all of these.
pub(crate) fn numbers<'a>(parameters: impl Iterator<Item = &'a Parameter>) -> u128 {
    parameters.fold(0, |sum: u128, p| sum.saturating_add(product(p.shape.iter().copied())))
}

pub struct StagePlan {
    pub name: String,
    pub at: At,
    /// Where its settings stand.
    pub places: BTreeMap<String, At>,
    pub drive: Drive,
    /// Live nodes, each after what it reads.
    pub nodes: Vec<NodePlan>,
    /// The node that reads the videos.
    pub source: Option<usize>,
    /// Node and output of the loss, in training.
    pub minimise: Option<(usize, usize)>,
    pub metrics: Vec<Metric>,
    /// Earlier stages whose tables or weights this one needs.
    pub needs: Vec<String>,
    /// Models applied here, and whether this stage trains them.
    pub models: Vec<(String, bool)>,
    /// Tables that are left as files: the name that the graph gives them, node and output.
    pub files: Vec<(String, (usize, usize))>,
    /// The stage that trains while this one runs again and again, and after how many of its epochs each.
    pub during: Option<During>,
    /// Outputs of groups by application and name, and the node and output behind each.
    pub aliases: Vec<((String, String), (usize, usize))>,
}

/// A scalar that is written down, under the name `node.port`.
#[derive(Clone, Debug)]
pub struct Metric {
    pub name: String,
    pub node: usize,
    pub port: usize,
    /// Asked for under `metrics` (or the loss); others are logged only.
    pub reported: bool,
}

pub struct NodePlan {
    pub path: String,
    pub at: At,
    /// Where its settings stand.
    pub places: BTreeMap<String, At>,
    pub entry: &'static Entry,
    pub kind: Arc<dyn AnyKind>,
    pub model: Option<String>,
    pub inputs: Vec<InputPlan>,
    /// Of a register.
    pub register: Option<Register>,
    pub outputs: Vec<Port>,
    pub rate: Rate,
    /// Item axes that are folded into the rows while the node runs.
    pub fold: Vec<Axis>,
    /// The one of these axes of which each item is a pass of its own.
    pub passes: Option<usize>,
    pub place: Place,
    /// Only the rows that took these branches reach the node.
    pub guards: Vec<Guard>,
    /// Whether gradients flow through it.
    pub gradient: bool,
    /// Whether a model runs with batch statistics and dropout.
    pub training: bool,
    /// Of a model: what each row costs.
    pub cost: Option<Cost>,
}

/// Where the values of a table stand.
pub(crate) fn places(table: &Table) -> BTreeMap<String, At> {
    table.iter().map(|(name, entry)| (name.to_string(), entry.item.at)).collect()
}

/// What a register keeps and what changes it.
#[derive(Clone, Debug)]
pub struct Register {
    pub state: Vec<State>,
    /// Paths in the reference's state dict of those tensors that it has, in order.
    pub names: Vec<String>,
    /// Applied after a training step; none in a stage that does not train.
    pub writes: Vec<InputPlan>,
    /// Read in the first step, before the output.
    pub initial: Vec<InputPlan>,
}

impl Register {
    /// A tensor's path in the reference's state dict, and how it lies there.
    pub fn reference_name(&self, tensor: &str) -> Option<(&str, Reference)> {
        let there = self.state.iter().filter(|s| s.reference != Reference::None);
        let (state, name) = there.zip(&self.names).find(|(s, _)| s.name == tensor)?;
        Some((name, state.reference))
    }
}

#[derive(Clone, Debug)]
pub struct InputPlan {
    pub name: String,
    pub from: From,
    /// Axis and position of the chosen item: `port[v0]`.
    pub item: Option<(usize, usize)>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum From {
    Node {
        node: usize,
        port: usize,
    },
    /// A table that an earlier stage left.
    Stage {
        stage: String,
        node: String,
        port: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// One sample at a time, on the loader's threads.
    Host,
    /// A batch at a time.
    Device,
    /// Once, after the last batch.
    End,
}

/// A branch of a node that draws one for each sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    pub choose: usize,
    /// Which of its inputs.
    pub branch: usize,
}

impl NodePlan {
    pub fn setting_at(&self, name: &str) -> At {
        self.places.get(name).copied().unwrap_or(self.at)
    }
    /// What it reads in a step, and what is written to it after.
    pub fn reads(&self) -> impl Iterator<Item = &InputPlan> {
        let register = self.register.iter();
        self.inputs.iter().chain(register.flat_map(|r| r.initial.iter().chain(&r.writes)))
    }
}

impl StagePlan {
    pub fn setting_at(&self, name: &str) -> At {
        self.places.get(name).copied().unwrap_or(self.at)
    }
    pub fn node(&self, path: &str) -> Option<usize> {
        self.nodes.iter().position(|n| n.path == path)
    }
    /// Node and output of `node.port`, through a group's outputs too.
    pub fn output(&self, text: &str) -> Option<(usize, usize)> {
        let (node, port) = text.rsplit_once('.')?;
        if let Some((_, behind)) = self.aliases.iter().find(|((n, p), _)| n == node && p == port) {
            return Some(*behind);
        }
        let i = self.node(node)?;
        Some((i, self.nodes[i].entry.output(port)?))
    }
    pub fn source(&self) -> Option<Source> {
        self.nodes[self.source?].kind.source()
    }
    /// Clips that the nodes of a sample read from its video.
    pub fn clips_per_sample(&self) -> usize {
        let reads = |node: &&NodePlan| {
            node.inputs.iter().any(|i| match i.from {
                From::Node { node, port } => self.nodes[node].outputs[port].ty == Type::Video,
                From::Stage { .. } => false,
            })
        };
        let clips = self.nodes.iter().filter(reads).flat_map(|n| &n.outputs).filter(|p| p.ty == Type::Bytes).map(Port::items);
        clips.sum::<usize>().max(1)
    }
    /// Models that read pixels, and how many clips each sees of a sample.
    pub fn encoder_rows_per_sample(&self) -> Vec<(String, usize)> {
        let reads_pixels = |node: &NodePlan| {
            node.inputs.iter().any(|i| match i.from {
                From::Node { node, port } => matches!(self.nodes[node].outputs[port].shape[..], [Dim::Known(3), _, _, _]),
                From::Stage { .. } => false,
            })
        };
        let mut out: Vec<(String, usize)> = Vec::new();
        for node in &self.nodes {
            let Some(model) = node.model.as_ref().filter(|_| reads_pixels(node)) else { continue };
            let rows: usize = node.fold.iter().map(Axis::len).product();
            match out.iter_mut().find(|(m, _)| m == model) {
                Some((_, sum)) => *sum += rows,
                None => out.push((model.clone(), rows)),
            }
        }
        out
    }
    pub fn trains(&self) -> bool {
        self.minimise.is_some()
    }
    /// The branch that a sample takes at a node that chooses.
    pub fn pick(&self, node: usize, pass: &Pass, sample: &Sample) -> Option<usize> {
        let plan = &self.nodes[node];
        let draw = plan.entry.outputs.iter().find(|o| o.draw)?.name;
        plan.kind.pick(&mut Key::sample(pass, sample, 0, &plan.path, draw).rng(), &self.branches(node))
    }
    /// The branches' names of a node that chooses.
    pub fn branches(&self, node: usize) -> Vec<&str> {
        self.nodes[node]
            .inputs
            .iter()
            .filter(|i| !self.nodes[node].entry.outputs.iter().any(|o| o.draw && o.name == i.name))
            .map(|i| i.name.as_str())
            .collect()
    }
}
