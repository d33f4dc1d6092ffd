//! A stage resolved before its first step: nodes and values by number, so that a step looks nothing up by name.

use super::batch::{Run, Table, Value};
use super::executor::Executor;
use crate::state::store::bound;
use anyhow::{anyhow, Result};
use dv_graph::kind::{Axes, To};
use dv_graph::plan::{From, InputPlan, Place};
use dv_graph::port::Dim;
use std::collections::{HashMap, HashSet};
use tch::Tensor;

/// What a stage's nodes do on the device, in order.
pub struct Program {
    /// Nodes of each batch.
    pub steps: Vec<Op>,
    /// Nodes that run once, after the last batch.
    pub end: Vec<Op>,
    /// The number of each node's first value.
    pub base: Vec<usize>,
    /// How many values there are.
    pub count: usize,
    /// Whether some nodes run on a part of the batch.
    pub selects: bool,
}

/// One node.
pub struct Op {
    pub node: usize,
    pub run: Run,
    pub wires: Vec<Wire>,
    /// Wires of a register's edges.
    pub initial: Vec<Wire>,
    pub writes: Vec<Wire>,
    /// How many inputs and draws its kind declares.
    pub fields: usize,
    pub draws: usize,
    /// Chooser and branch of each choice that the node sits behind.
    pub guards: Vec<(usize, usize)>,
    /// Whether each sample takes one of its inputs.
    pub chooses: bool,
    /// Lengths of the item axes that are folded into the rows, and the one of which each item is a pass of its own.
    pub fold: Vec<usize>,
    pub passes: Option<usize>,
    /// Of each output: whether something reads it, whether it has rows, whether a feed stands in its place.
    pub wanted: Vec<bool>,
    pub rows: Vec<bool>,
    pub fed: Vec<bool>,
    /// Of each input, where it is an index: how many values it can have.
    pub ranges: Vec<Option<usize>>,
    /// Names of the item axes of each input.
    pub axes: Vec<Vec<String>>,
    /// The shape of each draw, of one row.
    pub shapes: Vec<Option<Vec<usize>>>,
    /// Whether gradients are recorded.
    pub gradient: bool,
    /// The model that is applied.
    pub model: Option<String>,
    pub training: bool,
    /// Values that nobody reads once it has run.
    pub frees: Vec<usize>,
}

/// The way of one input.
pub struct Wire {
    pub name: String,
    pub to: To,
    pub from: Source,
    /// Axis and position of an item that is chosen.
    pub item: Option<(usize, usize)>,
    /// Item axes that it brings; `None` of a value that has no rows.
    pub axes: Option<usize>,
    /// Of a node that chooses: the branch that it is.
    pub branch: Option<usize>,
}

/// Where an input's value comes from.
pub enum Source {
    /// A value of this stage: its number, its node and output, whether it has rows.
    Value {
        number: usize,
        node: usize,
        port: usize,
        rows: bool,
    },
    /// A table of an earlier stage.
    Stage {
        stage: String,
        node: String,
        port: String,
    },
    Fed(Tensor),
}

impl Program {
    /// Error: a kind without code to run.
    pub fn of(executor: &Executor) -> Result<Program> {
        let stage = &executor.stage;
        let mut base = Vec::with_capacity(stage.nodes.len());
        let mut count = 0;
        for node in &stage.nodes {
            base.push(count);
            count += node.outputs.len();
        }
        let mut needed = Needed::of(executor, &base);
        let choosers: HashSet<usize> = stage.nodes.iter().flat_map(|n| &n.guards).map(|g| g.choose).collect();
        let (mut steps, mut end) = (Vec::new(), Vec::new());
        for (i, place) in executor.places.iter().enumerate().filter(|(i, _)| executor.active[*i]) {
            let list = match place {
                Place::Device => &mut steps,
                Place::End => &mut end,
                Place::Host => continue,
            };
            list.push(executor.op(i, &base, &mut needed, choosers.contains(&i))?);
        }
        let selects = steps.iter().any(|op: &Op| op.chooses || !op.guards.is_empty());
        Ok(Program { steps, end, base, count, selects })
    }
}

impl Executor<'_> {
    fn op(&self, i: usize, base: &[usize], needed: &mut Needed, chosen_from: bool) -> Result<Op> {
        let plan = &self.stage.nodes[i];
        let entry = plan.entry;
        let run = self.registry.run(entry.name)?;
        let chooses = chosen_from || (entry.chooses && !plan.inputs.is_empty());
        let to = |name: &str| entry.to(name).ok_or_else(|| anyhow!("`{}` has no input `{name}`", plan.path));
        let mut wires = Vec::new();
        let mut branch = 0;
        for input in &plan.inputs {
            let mut wire = self.wire(input, to(&input.name)?, base);
            let draw = matches!(wire.to, To::Draw(_));
            if draw && chooses {
                continue;
            }
            if chooses {
                wire.branch = Some(branch);
                branch += 1;
            }
            if let Some(fed) = self.feeds.inputs.get(&(i, input.name.clone())) {
                wire.from = Source::Fed(fed.shallow_clone());
            }
            wires.push(wire);
        }
        for (port, field) in entry.outputs.iter().enumerate().filter(|(_, field)| field.draw && !chooses) {
            if let Some(fed) = self.feeds.outputs.get(&(i, port)) {
                let axes = Some(plan.outputs[port].axes.len());
                let (name, from) = (field.name.to_owned(), Source::Fed(fed.shallow_clone()));
                wires.push(Wire { to: to(field.name)?, name, from, item: None, axes, branch: None });
            }
        }
        // optional inputs that the graph leaves open
        for ((node, name), fed) in &self.feeds.inputs {
            if *node == i && !wires.iter().any(|wire| wire.name == *name) {
                let from = Source::Fed(fed.shallow_clone());
                wires.push(Wire { name: name.clone(), to: to(name)?, from, item: None, axes: None, branch: None });
            }
        }
        let edges = |list: &[InputPlan], fields: &[dv_graph::ports::Field]| -> Vec<Wire> {
            let of = |input: &InputPlan| Some(self.wire(input, To::Field(fields.iter().position(|f| f.name == input.name)?), base));
            list.iter().filter_map(of).collect()
        };
        let register = plan.register.as_ref();
        let input = |name: &str| plan.inputs.iter().find(|input| input.name == name);
        let first_draw = entry.first_draw();
        let shape = |port: &dv_graph::port::Port| port.shape.iter().map(Dim::known).collect::<Option<Vec<usize>>>();
        Ok(Op {
            node: i,
            run,
            wires,
            initial: register.map(|r| edges(&r.initial, entry.initial)).unwrap_or_default(),
            writes: register.map(|r| edges(&r.writes, entry.writes)).unwrap_or_default(),
            fields: entry.inputs.len(),
            draws: entry.outputs.len() - first_draw,
            guards: plan.guards.iter().map(|g| (g.choose, g.branch)).collect(),
            chooses,
            fold: plan.fold.iter().map(|axis| axis.len()).collect(),
            passes: plan.passes,
            wanted: (0..plan.outputs.len()).map(|port| needed.read.contains(&(base[i] + port))).collect(),
            rows: plan.outputs.iter().map(|port| port.rows).collect(),
            fed: (0..plan.outputs.len()).map(|port| self.feeds.outputs.contains_key(&(i, port))).collect(),
            ranges: entry.inputs.iter().map(|field| self.range(input(field.name)?)).collect(),
            axes: match entry.axes {
                Axes::Keep => entry.inputs.iter().map(|field| input(field.name).map_or(Vec::new(), |i| self.item_axes(i))).collect(),
                Axes::Fold | Axes::None => Vec::new(),
            },
            shapes: plan.outputs.get(first_draw..).unwrap_or_default().iter().map(shape).collect(),
            gradient: plan.gradient || self.all_gradients,
            model: plan.model.clone(),
            training: plan.training,
            frees: needed.last_read.remove(&i).unwrap_or_default(),
        })
    }

    fn wire(&self, input: &InputPlan, to: To, base: &[usize]) -> Wire {
        let (from, axes) = match &input.from {
            From::Node { node, port } => {
                let spec = &self.stage.nodes[*node].outputs[*port];
                let axes = spec.rows.then(|| spec.axes.len() - usize::from(input.item.is_some()));
                (Source::Value { number: base[*node] + port, node: *node, port: *port, rows: spec.rows }, axes)
            }
            From::Stage { stage, node, port } => (Source::Stage { stage: stage.clone(), node: node.clone(), port: port.clone() }, Some(0)),
        };
        Wire { name: input.name.clone(), to, from, item: input.item, axes, branch: None }
    }

    /// How many values an index can take, where that is known.
    fn range(&self, input: &InputPlan) -> Option<usize> {
        let From::Node { node, port } = input.from else { return None };
        bound(self.stage.nodes[node].outputs[port].range.as_ref()?, &self.lengths)
    }

    /// Names of the item axes that an input of a kind that keeps them brings.
    fn item_axes(&self, input: &InputPlan) -> Vec<String> {
        let From::Node { node, port } = input.from else { return Vec::new() };
        let axes = self.stage.nodes[node].outputs[port].axes.iter().enumerate();
        axes.filter(|(a, _)| input.item.is_none_or(|(taken, _)| taken != *a)).map(|(_, axis)| axis.name.clone()).collect()
    }
}

/// What of a step's values somebody reads, and until when.
struct Needed {
    read: HashSet<usize>,
    /// By node: the values of which it is the last reader.
    last_read: HashMap<usize, Vec<usize>>,
}

impl Needed {
    fn of(executor: &Executor, base: &[usize]) -> Needed {
        let stage = &executor.stage;
        let number = |(node, port): (usize, usize)| base[node] + port;
        // what is still needed when the last node has run
        let mut kept: HashSet<usize> = stage.minimise.iter().copied().chain(executor.asked.iter().copied()).map(number).collect();
        kept.extend(stage.metrics.iter().map(|m| number((m.node, m.port))));
        kept.extend(stage.files.iter().map(|(_, at)| number(*at)));
        let mut last: HashMap<usize, usize> = HashMap::new();
        let mut read = kept.clone();
        for (i, node) in stage.nodes.iter().enumerate().filter(|(i, _)| executor.active[*i]) {
            for input in node.register.iter().flat_map(|r| &r.writes) {
                if let From::Node { node, port } = input.from {
                    kept.insert(number((node, port)));
                }
            }
            for input in node.reads() {
                let From::Node { node, port } = input.from else { continue };
                let value = number((node, port));
                read.insert(value);
                match executor.places[i] {
                    Place::Device => drop(last.insert(value, i)),
                    Place::End => drop(kept.insert(value)),
                    // it has read them before the batch came here
                    Place::Host => {}
                }
            }
            for port in 0..node.outputs.len() {
                last.entry(number((i, port))).or_insert(i);
            }
        }
        let mut last_read: HashMap<usize, Vec<usize>> = HashMap::new();
        for (value, reader) in last.into_iter().filter(|(value, _)| !kept.contains(value)) {
            last_read.entry(reader).or_default().push(value);
        }
        Needed { read, last_read }
    }
}

/// One batch on its way: what is known of each output so far.
pub struct Values {
    pub(super) values: Vec<Option<Value>>,
    /// Rows of the batch that each node ran on, where not all.
    pub(super) rows: Vec<Option<Vec<usize>>>,
    /// The number of each node's first value.
    base: Vec<usize>,
}

impl Values {
    pub(super) fn new(program: &Program) -> Values {
        let values = (0..program.count).map(|_| None).collect();
        Values { values, rows: vec![None; program.base.len()], base: program.base.clone() }
    }
    pub fn get(&self, node: usize, port: usize) -> Option<&Value> {
        self.values.get(self.base.get(node)? + port)?.as_ref()
    }
    pub fn tensor(&self, node: usize, port: usize) -> Option<&Tensor> {
        self.get(node, port).and_then(Value::tensor)
    }
    /// Replaces what is there.
    pub fn set(&mut self, node: usize, port: usize, value: Value) {
        let number = self.base[node] + port;
        self.values[number] = Some(value);
    }
    /// The tables, by node and output.
    pub fn tables(&self) -> impl Iterator<Item = ((usize, usize), &Table)> {
        self.values.iter().enumerate().filter_map(|(number, value)| match value {
            Some(Value::Table(table)) => {
                let node = self.base.partition_point(|base| *base <= number) - 1;
                Some(((node, number - self.base[node]), table))
            }
            _ => None,
        })
    }
    /// The tables themselves.
    pub fn into_tables(self) -> Vec<((usize, usize), Table)> {
        let at: Vec<(usize, usize)> = self.tables().map(|(at, _)| at).collect();
        let tables = self.values.into_iter().filter_map(|value| match value {
            Some(Value::Table(table)) => Some(table),
            _ => None,
        });
        at.into_iter().zip(tables).collect()
    }
    /// Takes over what another has.
    pub fn extend(&mut self, other: Values) {
        for (own, other) in self.values.iter_mut().zip(other.values) {
            if other.is_some() {
                *own = other;
            }
        }
    }
}
