//! Runs the host's nodes for one sample.

use super::clip::Clips;
use super::epoch::Rows;
use super::host::{Array, SampleCall, SampleOutputs, SourceSample, Value, Video};
use crate::budget::product;
use crate::draw::Pass;
use crate::kind::{RunSample, To};
use crate::plan::{From, Place, StagePlan};
use crate::port::{Dim, Type};
use crate::ports::Slot;
use anyhow::{anyhow, bail, ensure, Context, Result};
use std::collections::HashMap;
use std::sync::Arc;

/// What the host computes of a stage.
pub struct HostPlan {
    pub stage: Arc<StagePlan>,
    /// Where each node runs, after feeds have moved some to the device.
    pub places: Vec<Place>,
    /// Outputs that the device (or a person) asks for.
    pub outputs: Vec<(usize, usize)>,
    /// What a sample has of each of them.
    pub(super) rows: Vec<RowOf>,
    /// Draws that a person gives, by node: the draw's name, and its values by the row's position.
    pub draws: HashMap<usize, Vec<(&'static str, HashMap<usize, Value>)>>,
    steps: Vec<Step>,
    /// For each of the outputs, the step and the port that gives it.
    asked: Vec<(usize, usize)>,
}

/// One row of a column: its type, and its shape as it lies in memory.
pub(super) struct RowOf {
    pub ty: Type,
    pub shape: Vec<usize>,
}

/// A node that is to run, resolved: its values come by number.
struct Step {
    node: usize,
    run: RunSample,
    source: bool,
    inputs: Vec<Wire>,
    /// How many inputs and draws its kind declares.
    fields: usize,
    draws: usize,
    /// Shapes of its draws, of one item.
    shapes: Vec<Vec<usize>>,
    /// Items of the folded axes.
    items: usize,
    /// Nodes whose choice decides whether a sample comes here, and the branch. Without those whose choice an edge brings: that is followed on
    /// the device, and here both branches are computed.
    guards: Vec<(usize, usize)>,
}

/// Where an input's value comes from, and where it goes.
struct Wire {
    name: String,
    to: To,
    step: usize,
    port: usize,
    /// Axis and position of an item that is chosen.
    item: Option<(usize, usize)>,
    /// Whether it has item axes, which are folded.
    folded: bool,
}

impl HostPlan {
    /// What the device reads of the host's nodes, and what is asked for besides. Errors: those of [`HostPlan::only`].
    pub fn new(stage: Arc<StagePlan>, places: Vec<Place>, asked: &[(usize, usize)]) -> Result<HostPlan> {
        let mut outputs: Vec<(usize, usize)> = asked.iter().copied().filter(|(n, _)| places[*n] == Place::Host).collect();
        for (i, node) in stage.nodes.iter().enumerate() {
            for input in &node.inputs {
                if let From::Node { node: from, port } = input.from {
                    let crosses = places[i] != Place::Host && places[from] == Place::Host;
                    if crosses && !outputs.contains(&(from, port)) {
                        outputs.push((from, port));
                    }
                }
            }
        }
        HostPlan::only(stage, places, outputs)
    }

    /// These outputs, and the nodes that they need. Errors: a node that does not run on the host, an output that cannot lie in a batch.
    pub fn only(stage: Arc<StagePlan>, places: Vec<Place>, outputs: Vec<(usize, usize)>) -> Result<HostPlan> {
        let mut needed = vec![false; stage.nodes.len()];
        let mut open: Vec<usize> = outputs.iter().map(|(node, _)| *node).collect();
        while let Some(node) = open.pop() {
            if !std::mem::replace(&mut needed[node], true) {
                let from = stage.nodes[node].inputs.iter().filter_map(|input| match input.from {
                    From::Node { node, .. } => Some(node),
                    From::Stage { .. } => None,
                });
                open.extend(from);
            }
        }
        let mut place = vec![usize::MAX; stage.nodes.len()];
        let mut steps = Vec::new();
        for node in (0..stage.nodes.len()).filter(|node| needed[*node]) {
            place[node] = steps.len();
            steps.push(Step::of(&stage, node, &place)?);
        }
        let asked = outputs.iter().map(|(node, port)| (place[*node], *port)).collect();
        let rows = outputs.iter().map(|(node, port)| RowOf::of(&stage, *node, *port)).collect::<Result<_>>()?;
        Ok(HostPlan { stage, places, outputs, rows, draws: HashMap::new(), steps, asked })
    }

    /// For errors: the node and port of a column.
    pub(super) fn name(&self, column: usize) -> String {
        let (node, port) = self.outputs[column];
        output(&self.stage, node, port)
    }

    /// The asked outputs of one sample; `None` where the sample took another branch.
    pub fn run(&self, rows: &Rows, pass: &Pass, position: usize) -> Result<Vec<Option<Value>>> {
        let mut values: Vec<SampleOutputs> = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let chosen = self.chosen(step, pass, rows, position);
            let own = if chosen { self.step(step, rows, pass, position, &values)? } else { SampleOutputs::new() };
            values.push(own);
        }
        let one = |(step, port): &(usize, usize)| {
            let value = values[*step].get(*port).cloned().flatten();
            let step = &self.steps[*step];
            if value.is_none() && self.chosen(step, pass, rows, position) {
                let plan = &self.stage.nodes[step.node];
                let name = plan.entry.outputs[*port].name;
                let why = if name == "label" { "the set has no classes" } else { "a node left an output out" };
                return Err(anyhow!("`{}` has no value at its output `{name}` for this sample", plan.path).context(why));
            }
            Ok(value)
        };
        self.asked.iter().map(one).collect()
    }

    /// Whether the sample takes the branches that the node sits behind.
    fn chosen(&self, step: &Step, pass: &Pass, rows: &Rows, position: usize) -> bool {
        step.guards.iter().all(|(choose, branch)| pick(&self.stage, *choose, pass, rows, position) == Some(*branch))
    }

    fn step(&self, step: &Step, rows: &Rows, pass: &Pass, position: usize, values: &[SampleOutputs]) -> Result<SampleOutputs> {
        let plan = &self.stage.nodes[step.node];
        let index = rows.videos[position];
        let source = match step.source {
            true => Some(SourceSample {
                video: Video::new(Arc::clone(&rows.set), index)?,
                position,
                group: rows.groups[position],
                label: rows.set.class(index)?,
            }),
            false => None,
        };
        let mut parts: Vec<SampleOutputs> = Vec::with_capacity(step.items);
        for item in 0..step.items {
            let mut inputs = vec![Slot::Empty; step.fields];
            let mut draws = vec![None; step.draws];
            for wire in &step.inputs {
                let Some(value) = values[wire.step].get(wire.port).and_then(Option::as_ref) else { continue };
                let value = match (wire.item, wire.folded) {
                    (Some((axis, chosen)), false) => select(value, axis, chosen),
                    (Some((axis, chosen)), true) => item_of(&select(value, axis, chosen), plan.fold.len(), item),
                    (None, true) => item_of(value, plan.fold.len(), item),
                    (None, false) => value.clone(),
                };
                match wire.to {
                    To::Field(i) => inputs[i] = Slot::One(value),
                    To::Draw(i) => draws[i] = Some(value),
                    To::Many(i) => match &mut inputs[i] {
                        Slot::Many(list) => list.push((wire.name.clone(), value)),
                        slot => *slot = Slot::Many(vec![(wire.name.clone(), value)]),
                    },
                }
            }
            for (name, rows) in self.draws.get(&step.node).into_iter().flatten() {
                if let (Some(To::Draw(i)), Some(value)) = (plan.entry.to(name), rows.get(&position)) {
                    draws[i] = Some(if plan.fold.is_empty() { value.clone() } else { item_of(value, plan.fold.len(), item) });
                }
            }
            let sample = rows.sample(position);
            let (node, source, shapes) = (&*plan.path, source.as_ref(), &*step.shapes);
            let call = SampleCall { node, pass, sample, item, source, inputs, draws, shapes };
            parts.push((step.run)(plan.kind.as_any(), call).with_context(|| format!("node `{}`", plan.path))?);
        }
        if plan.fold.is_empty() {
            return Ok(parts.swap_remove(0));
        }
        let axes: Vec<usize> = plan.fold.iter().map(|a| a.len()).collect();
        (0..plan.outputs.len()).map(|port| stack(&axes, &parts, port)).collect()
    }
}

fn output(stage: &StagePlan, node: usize, port: usize) -> String {
    let plan = &stage.nodes[node];
    format!("{}.{}", plan.path, plan.entry.outputs[port].name)
}

impl RowOf {
    fn of(stage: &StagePlan, node: usize, port: usize) -> Result<RowOf> {
        let plan = &stage.nodes[node].outputs[port];
        let name = output(stage, node, port);
        ensure!(plan.ty != Type::Video, "`{name}`: a video cannot cross to the device: sample clips of it first");
        let what = if plan.ty == Type::Bytes { ": crop or resize the clips first" } else { "" };
        let unknown =
            |dim: &Dim| anyhow!("`{name}`: its length `{dim}` is known with the data only, and rows of a batch have one length{what}");
        let lengths: Vec<usize> = plan.shape.iter().map(|dim| dim.known().ok_or_else(|| unknown(dim))).collect::<Result<_>>()?;
        let own = match (plan.ty, &lengths[..]) {
            (Type::Bytes, [3, time, height, width]) => vec![*time, *height, *width, 3],
            (Type::Float | Type::Index, _) => lengths,
            _ => bail!("`{name}`: {plan} cannot cross to the device"),
        };
        Ok(RowOf { ty: plan.ty, shape: plan.axes.iter().map(|axis| axis.len()).chain(own).collect() })
    }
    /// Numbers of a row, if they can be counted.
    pub fn length(&self) -> Option<usize> {
        usize::try_from(product(self.shape.iter().copied())).ok()
    }
}

impl Step {
    fn of(stage: &StagePlan, node: usize, place: &[usize]) -> Result<Step> {
        let plan = &stage.nodes[node];
        let run = plan.entry.sample.ok_or_else(|| anyhow!("`{}` does not run on the host", plan.path))?;
        let wire = |input: &crate::plan::InputPlan| {
            let From::Node { node: from, port } = input.from else { return None };
            let axes = stage.nodes[from].outputs[port].axes.len() - usize::from(input.item.is_some());
            let to = plan.entry.to(&input.name)?;
            Some(Wire {
                name: input.name.clone(),
                to,
                step: place[from],
                port,
                item: input.item,
                folded: axes > 0 && !plan.fold.is_empty(),
            })
        };
        let shapes = plan.entry.outputs.iter().zip(&plan.outputs).filter(|(field, _)| field.draw).map(|(_, port)| {
            port.shape
                .iter()
                .map(|dim| dim.known().ok_or_else(|| anyhow!("`{}`: the length `{dim}` of a draw is not known", plan.path)))
                .collect()
        });
        let guards = plan.guards.iter().filter(|guard| {
            let chooser = &stage.nodes[guard.choose];
            !chooser.inputs.iter().any(|i| matches!(chooser.entry.to(&i.name), Some(To::Draw(_))))
        });
        Ok(Step {
            node,
            run,
            source: plan.kind.source().is_some(),
            inputs: plan.inputs.iter().filter_map(wire).collect(),
            fields: plan.entry.inputs.len(),
            draws: plan.entry.outputs.iter().filter(|field| field.draw).count(),
            shapes: shapes.collect::<Result<_>>()?,
            items: plan.fold.iter().map(|a| a.len()).product(),
            guards: guards.map(|guard| (guard.choose, guard.branch)).collect(),
        })
    }
}

/// The branch that a sample takes at a choosing node.
pub fn pick(stage: &StagePlan, node: usize, pass: &Pass, rows: &Rows, position: usize) -> Option<usize> {
    stage.pick(node, pass, rows.sample(position))
}

fn map_array<T: Clone>(a: &Array<T>, shape: Vec<usize>, ranges: impl Iterator<Item = std::ops::Range<usize>>) -> Array<T> {
    let mut data = Vec::with_capacity(shape.iter().product());
    for r in ranges {
        data.extend_from_slice(&a.data[r]);
    }
    Array::new(shape, data)
}

fn select_array<T: Clone>(a: &Array<T>, axis: usize, index: usize) -> Array<T> {
    let inner: usize = a.shape[axis + 1..].iter().product();
    let outer: usize = a.shape[..axis].iter().product();
    let n = a.shape[axis];
    let mut shape = a.shape.clone();
    shape.remove(axis);
    map_array(a, shape, (0..outer).map(|o| (o * n + index) * inner..(o * n + index + 1) * inner))
}

/// One item of an item axis.
fn select(value: &Value, axis: usize, index: usize) -> Value {
    match value {
        Value::Clips(clips) => Value::Clips(clips.select(axis, index)),
        Value::Float(a) => Value::Float(select_array(a, axis, index)),
        Value::Index(a) => Value::Index(select_array(a, axis, index)),
        Value::Video(v) => Value::Video(v.clone()),
    }
}

/// One row of the folded axes.
fn item_of(value: &Value, axes: usize, item: usize) -> Value {
    fn of<T: Clone>(a: &Array<T>, axes: usize, item: usize) -> Array<T> {
        let inner: usize = a.shape[axes..].iter().product();
        map_array(a, a.shape[axes..].to_vec(), std::iter::once(item * inner..(item + 1) * inner))
    }
    match value {
        Value::Clips(clips) => Value::Clips(clips.item(axes, item)),
        Value::Float(a) => Value::Float(of(a, axes, item)),
        Value::Index(a) => Value::Index(of(a, axes, item)),
        Value::Video(v) => Value::Video(v.clone()),
    }
}

/// One output of all items on the folded axes again; nothing where an item has none.
fn stack(axes: &[usize], parts: &[SampleOutputs], port: usize) -> Result<Option<Value>> {
    fn join<T: Clone>(axes: &[usize], list: &[&Array<T>]) -> Array<T> {
        let shape = axes.iter().copied().chain(list[0].shape.iter().copied()).collect();
        Array::new(shape, list.iter().flat_map(|a| a.data.iter().cloned()).collect())
    }
    let all: Option<Vec<&Value>> = parts.iter().map(|part| part.get(port).and_then(Option::as_ref)).collect();
    let Some(all) = all else { return Ok(None) };
    macro_rules! of {
        ($variant:ident) => {
            all.iter().filter_map(|value| if let Value::$variant(one) = value { Some(one) } else { None }).collect::<Vec<_>>()
        };
    }
    Ok(match all.first() {
        Some(Value::Clips(_)) => {
            let list = of!(Clips);
            let inner = list[0].axes.iter().copied();
            let axes = axes.iter().copied().chain(inner).collect();
            Some(Value::Clips(Clips { axes, items: list.iter().flat_map(|clips| clips.items.iter().cloned()).collect() }))
        }
        Some(Value::Float(_)) => Some(Value::Float(join(axes, &of!(Float)))),
        Some(Value::Index(_)) => Some(Value::Index(join(axes, &of!(Index)))),
        Some(Value::Video(_)) | None => None,
    })
}
