//! Runs the host's nodes for one sample.

use super::epoch::Rows;
use super::host::{Array, SampleIo, SourceSample, Value, Video};
use crate::draw::Pass;
use crate::plan::{From, NodePlan, Place, StagePlan};
use crate::port::Type;
use anyhow::{anyhow, Context, Result};
use std::collections::HashMap;
use std::sync::Arc;

/// What the host computes of a stage.
pub struct HostPlan {
    pub stage: Arc<StagePlan>,
    /// Where each node runs, after feeds have moved some to the device.
    pub places: Vec<Place>,
    /// Outputs that the device (or a person) asks for.
    pub outputs: Vec<(usize, usize)>,
    /// Draws that a person gives, by node: the draw's name, and its values by the row's position.
    pub draws: HashMap<usize, Vec<(&'static str, HashMap<usize, Value>)>>,
}

impl HostPlan {
    /// The host's nodes, and of their outputs those that others read.
    pub fn new(stage: Arc<StagePlan>, places: Vec<Place>, asked: &[(usize, usize)]) -> HostPlan {
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
        HostPlan { stage, places, outputs, draws: HashMap::new() }
    }

    /// The asked outputs of one sample; `None` where the sample took another branch.
    pub fn run(&self, rows: &Rows, pass: &Pass, position: usize) -> Result<Vec<Option<Value>>> {
        let mut values: Vec<HashMap<&'static str, Value>> = self.stage.nodes.iter().map(|_| HashMap::new()).collect();
        let mut done = vec![false; self.stage.nodes.len()];
        for (node, _) in &self.outputs {
            self.need(*node, rows, pass, position, &mut values, &mut done)?;
        }
        let mut out = Vec::with_capacity(self.outputs.len());
        for (node, port) in &self.outputs {
            let plan = &self.stage.nodes[*node];
            let name = plan.entry.outputs[*port].name;
            let value = values[*node].get(name).cloned();
            if value.is_none() && self.chosen(plan, pass, rows, position) {
                return Err(anyhow!("`{}` has no value at its output `{name}` for this sample", plan.path).context(if name == "label" {
                    "the set has no classes"
                } else {
                    "a node left an output out"
                }));
            }
            out.push(value);
        }
        Ok(out)
    }

    /// Whether the sample takes the branches that the node sits behind.
    fn chosen(&self, node: &NodePlan, pass: &Pass, rows: &Rows, position: usize) -> bool {
        node.guards.iter().all(|g| {
            let chooser = &self.stage.nodes[g.choose];
            // an edge that brings the choice is followed on the device: here both branches are computed
            let given = chooser.inputs.iter().any(|i| chooser.entry.outputs.iter().any(|o| o.draw && o.name == i.name));
            given || pick(&self.stage, g.choose, pass, rows, position) == Some(g.branch)
        })
    }

    fn need(
        &self,
        node: usize,
        rows: &Rows,
        pass: &Pass,
        position: usize,
        values: &mut Vec<HashMap<&'static str, Value>>,
        done: &mut Vec<bool>,
    ) -> Result<()> {
        let plan = &self.stage.nodes[node];
        if done[node] || !self.chosen(plan, pass, rows, position) {
            return Ok(());
        }
        done[node] = true;
        for input in &plan.inputs {
            if let From::Node { node: from, .. } = input.from {
                self.need(from, rows, pass, position, values, done)?;
            }
        }
        let run = plan.entry.sample.ok_or_else(|| anyhow!("`{}` does not run on the host", plan.path))?;
        let sample = rows.sample(position);
        let index = rows.videos[position];
        let source = match plan.kind.source() {
            Some(_) => Some(SourceSample {
                video: Video::new(Arc::clone(&rows.set), index)?,
                position,
                group: rows.groups[position],
                label: rows.set.class(index)?,
            }),
            None => None,
        };
        let mut inputs: Vec<(&str, Value, bool)> = Vec::new();
        for input in &plan.inputs {
            let From::Node { node: from, port } = input.from else { continue };
            let name = self.stage.nodes[from].entry.outputs[port].name;
            let Some(mut value) = values[from].get(name).cloned() else { continue };
            let mut axes = self.stage.nodes[from].outputs[port].axes.len();
            if let Some((axis, item)) = input.item {
                value = select(&value, axis, item);
                axes -= 1;
            }
            inputs.push((&input.name, value, axes > 0));
        }
        for (name, rows) in self.draws.get(&node).into_iter().flatten() {
            if let Some(value) = rows.get(&position) {
                inputs.retain(|(n, ..)| n != name);
                inputs.push((name, value.clone(), !plan.fold.is_empty()));
            }
        }
        let items: usize = plan.fold.iter().map(|a| a.len()).product();
        let mut parts: Vec<HashMap<&'static str, Value>> = Vec::with_capacity(items);
        for item in 0..items {
            let map: HashMap<&str, Value> = inputs
                .iter()
                .map(|(name, value, folded)| (*name, if *folded { item_of(value, plan.fold.len(), item) } else { value.clone() }))
                .collect();
            let mut io = SampleIo::new(&plan.path, pass, sample, &map).with_item(item);
            if let Some(source) = &source {
                io = io.with_source(source);
            }
            run(plan.kind.as_any(), &mut io).with_context(|| format!("node `{}`", plan.path))?;
            parts.push(io.finish());
        }
        values[node] = if plan.fold.is_empty() { parts.remove(0) } else { stack(plan, parts) };
        Ok(())
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
        Value::Bytes(a) => Value::Bytes(select_array(a, axis, index)),
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
        Value::Bytes(a) => Value::Bytes(of(a, axes, item)),
        Value::Float(a) => Value::Float(of(a, axes, item)),
        Value::Index(a) => Value::Index(of(a, axes, item)),
        Value::Video(v) => Value::Video(v.clone()),
    }
}

fn stack(plan: &NodePlan, parts: Vec<HashMap<&'static str, Value>>) -> HashMap<&'static str, Value> {
    fn join<T: Clone>(axes: &[usize], list: Vec<Array<T>>) -> Array<T> {
        let shape = axes.iter().copied().chain(list[0].shape.iter().copied()).collect();
        Array::new(shape, list.iter().flat_map(|a| a.data.iter().cloned()).collect())
    }
    let axes: Vec<usize> = plan.fold.iter().map(|a| a.len()).collect();
    let mut out = HashMap::new();
    for (i, declared) in plan.entry.outputs.iter().enumerate() {
        let all: Vec<&Value> = parts.iter().filter_map(|p| p.get(declared.name)).collect();
        if all.len() != parts.len() || all.is_empty() {
            continue;
        }
        let value = match plan.outputs[i].ty {
            Type::Bytes => {
                Value::Bytes(join(&axes, all.iter().filter_map(|v| if let Value::Bytes(a) = v { Some(a.clone()) } else { None }).collect()))
            }
            Type::Float => {
                Value::Float(join(&axes, all.iter().filter_map(|v| if let Value::Float(a) = v { Some(a.clone()) } else { None }).collect()))
            }
            Type::Index => {
                Value::Index(join(&axes, all.iter().filter_map(|v| if let Value::Index(a) = v { Some(a.clone()) } else { None }).collect()))
            }
            Type::Video | Type::Table => continue,
        };
        out.insert(declared.name, value);
    }
    out
}
