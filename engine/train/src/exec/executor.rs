//! Runs a stage's device nodes on one batch, and its end nodes once.

mod choice;
mod feeds;
mod fold;
mod needed;
mod registers;

use crate::exec::batch::{BatchIo, NodeEntry, Row, Run, State, Table, Value};
use crate::exec::caught::caught;
use crate::exec::shim::Autocast;
use crate::exec::transfer::HostColumns;
use crate::state::store::{bound, Lengths, Store};
use anyhow::{anyhow, bail, Context, Result};
use dv_graph::draw::{Pass, Sample};
use dv_graph::kind::Axes;
use dv_graph::plan::{From, InputPlan, NodePlan, Place, StagePlan};
use dv_graph::stage::{BatchNorm, Precision};
use feeds::rows_of;
pub use feeds::Feeds;
use fold::{join, WHOLE};
use needed::Needed;
use std::collections::HashMap;
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

/// How kinds run, by name.
pub struct Registry {
    entries: HashMap<&'static str, &'static NodeEntry>,
}

impl Registry {
    pub fn new(entries: impl IntoIterator<Item = &'static NodeEntry>) -> Registry {
        Registry { entries: entries.into_iter().map(|e| (e.graph.name, e)).collect() }
    }
    fn run(&self, name: &str) -> Result<Run> {
        self.entries.get(name).map(|e| e.run).ok_or_else(|| anyhow!("the kind `{name}` has no code to run"))
    }
}

/// One batch on its way: what is known of each output so far.
pub struct Values {
    pub(crate) values: HashMap<(usize, usize), Value>,
    /// Rows of the batch that each node ran on, where not all.
    rows: HashMap<usize, Vec<usize>>,
}

impl Values {
    pub fn tensor(&self, node: usize, port: usize) -> Option<&Tensor> {
        self.values.get(&(node, port)).and_then(Value::tensor)
    }
}

/// What a batch is: its samples and where it stands in the epoch.
pub struct Step<'a> {
    pub pass: &'a Pass,
    pub step: u64,
    pub samples: &'a [Sample],
}

pub struct Executor<'a> {
    pub stage: Arc<StagePlan>,
    pub places: Vec<Place>,
    /// Nodes that run at all.
    pub active: Vec<bool>,
    pub registry: &'a Registry,
    pub device: Device,
    pub feeds: Feeds,
    /// Record gradients everywhere (a gradient of a fed edge is asked for).
    pub all_gradients: bool,
    /// Lengths that only the data knows.
    pub lengths: Lengths,
    /// Outputs that are asked for besides those that the stage needs: by a person, or by other stages.
    pub asked: Vec<(usize, usize)>,
}

impl<'a> Executor<'a> {
    /// All live nodes of a stage, placed as planned.
    pub fn new(stage: Arc<StagePlan>, registry: &'a Registry, device: Device) -> Executor<'a> {
        let places = stage.nodes.iter().map(|n| n.place).collect();
        let active = vec![true; stage.nodes.len()];
        Executor {
            stage,
            places,
            active,
            registry,
            device,
            feeds: Feeds::default(),
            all_gradients: false,
            lengths: Lengths::new(),
            asked: Vec::new(),
        }
    }

    /// Runs the device's nodes. What comes back are the values that the step still needs: loss, metrics, tables, what is written to
    /// registers, and what is asked for. The others are freed after their last reader.
    pub fn run(&self, store: &Store, step: &Step, host: Option<HostColumns>) -> Result<Values> {
        let mut values = Values { values: HashMap::new(), rows: HashMap::new() };
        if let Some(host) = host {
            for ((node, port), tensor) in host {
                values.values.insert((node, port), Value::Tensor(tensor));
            }
        }
        for ((node, port), tensor) in &self.feeds.outputs {
            values.values.insert((*node, *port), Value::Tensor(tensor.shallow_clone()));
        }
        let needed = Needed::of(self);
        let mut choices: HashMap<usize, Vec<usize>> = HashMap::new();
        for i in 0..self.stage.nodes.len() {
            if !self.active[i] || self.places[i] != Place::Device {
                continue;
            }
            self.node(i, store, step, &needed, &mut values, &mut choices)
                .with_context(|| format!("node `{}` ({})", self.stage.nodes[i].path, self.stage.nodes[i].entry.name))?;
            for at in needed.last_read_by(i) {
                values.values.remove(at);
            }
        }
        Ok(values)
    }

    fn node(
        &self,
        i: usize,
        store: &Store,
        step: &Step,
        needed: &Needed,
        values: &mut Values,
        choices: &mut HashMap<usize, Vec<usize>>,
    ) -> Result<()> {
        let plan = &self.stage.nodes[i];
        let mut rows: Vec<usize> = (0..step.samples.len()).collect();
        for g in &plan.guards {
            let choice = self.choice(g.choose, step, values, choices)?;
            rows.retain(|r| choice[*r] == g.branch);
        }
        if rows.is_empty() && !step.samples.is_empty() {
            values.rows.insert(i, rows);
            return Ok(());
        }
        let chooses = self.stage.nodes.iter().any(|n| n.guards.iter().any(|g| g.choose == i)) || self.is_chooser(plan);
        let choice = if chooses { Some(self.choice(i, step, values, choices)?.clone()) } else { None };
        let mut inputs: Vec<(String, Value, usize)> = Vec::new();
        let mut branch = 0;
        for input in &plan.inputs {
            let draw = plan.entry.outputs.iter().any(|o| o.draw && o.name == input.name);
            if draw && chooses {
                continue;
            }
            let mut wanted = rows.clone();
            if let (Some(choice), false) = (&choice, draw) {
                wanted.retain(|r| choice[*r] == branch);
                branch += 1;
                if wanted.is_empty() {
                    continue;
                }
            }
            let value = match self.feeds.inputs.get(&(i, input.name.clone())) {
                Some(fed) => Value::Tensor(rows_of(fed, &wanted, step)),
                None => self.input(input, &wanted, step, values)?,
            };
            inputs.push((input.name.clone(), value, self.axes_of(input)));
        }
        if let Some(choice) = &choice {
            let drawn: Vec<i64> = rows.iter().map(|r| choice[*r] as i64).collect();
            let name = plan.entry.outputs.iter().find(|o| o.draw).map_or("choice", |o| o.name);
            inputs.push((name.into(), Value::Tensor(Tensor::from_slice(&drawn).to_device(self.device)), 0));
        }
        for (port, out) in plan.entry.outputs.iter().enumerate() {
            if let (true, None, Some(fed)) = (out.draw, &choice, self.feeds.outputs.get(&(i, port))) {
                let value = Value::Tensor(rows_of(fed, &rows, step));
                inputs.push((out.name.into(), value, plan.outputs[port].axes.len()));
            }
        }
        for ((node, name), fed) in &self.feeds.inputs {
            // optional inputs that the graph leaves open
            if *node == i && !inputs.iter().any(|(n, _, _)| n == name) {
                inputs.push((name.clone(), Value::Tensor(rows_of(fed, &rows, step)), WHOLE));
            }
        }
        self.start(plan, store, step, values)?;
        let wanted = needed.outputs(plan, i);
        let outputs = match plan.passes {
            None => self.pass(plan, store, step, &rows, &inputs, &wanted, None)?,
            // one pass for each item, in order; then side by side again
            Some(axis) => {
                let passes =
                    (0..plan.fold[axis].len()).map(|item| self.pass(plan, store, step, &rows, &inputs, &wanted, Some((axis, item))));
                join(plan, axis, passes.collect::<Result<_>>()?)
            }
        };
        for (port, declared) in plan.entry.outputs.iter().enumerate() {
            if self.feeds.outputs.contains_key(&(i, port)) {
                continue;
            }
            if let Some(value) = outputs.get(declared.name) {
                values.values.insert((i, port), value.shallow_clone());
            }
        }
        if rows.len() < step.samples.len() {
            values.rows.insert(i, rows);
        }
        Ok(())
    }

    /// One input's value on the wanted rows of the batch, an item taken where the edge takes one.
    fn input(&self, input: &InputPlan, wanted: &[usize], step: &Step, values: &Values) -> Result<Value> {
        let From::Node { node: from, port } = input.from else {
            bail!("`{}` reads a table of another stage: it runs at the end", input.name)
        };
        let source = &self.stage.nodes[from];
        let name = source.entry.outputs[port].name;
        let Some(value) = values.values.get(&(from, port)) else {
            bail!("`{}` gave no value at `{name}`{}", source.path, if name == "label" { ": the set has no classes" } else { "" });
        };
        let Value::Tensor(tensor) = value else { return Ok(value.shallow_clone()) };
        let mut tensor = tensor.shallow_clone();
        let spec = &source.outputs[port];
        if spec.rows {
            let all: Vec<usize> = (0..step.samples.len()).collect();
            let there = if self.feeds.outputs.contains_key(&(from, port)) { &all } else { values.rows.get(&from).unwrap_or(&all) };
            if there != wanted {
                let at: Vec<i64> = wanted
                    .iter()
                    .map(|w| {
                        there
                            .iter()
                            .position(|t| t == w)
                            .map(|p| p as i64)
                            .ok_or_else(|| anyhow!("`{}` has no value for row {w} of the batch", source.path))
                    })
                    .collect::<Result<_>>()?;
                tensor = tensor.index_select(0, &Tensor::from_slice(&at).to_device(tensor.device()));
            }
        }
        if let Some((axis, item)) = input.item {
            tensor = tensor.select(axis as i64 + i64::from(spec.rows), item as i64);
        }
        Ok(Value::Tensor(tensor))
    }

    #[allow(clippy::too_many_arguments)]
    fn call(
        &self,
        plan: &NodePlan,
        store: &Store,
        step: &Step,
        rows: &[Row],
        positions: &[usize],
        items: usize,
        mut inputs: Vec<(String, Value)>,
        wanted: &[&'static str],
    ) -> Result<HashMap<&'static str, Value>> {
        let run = self.registry.run(plan.entry.name)?;
        if plan.model.is_none() {
            // what autocast left in half precision is summed in full
            for (_, value) in &mut inputs {
                if let Value::Tensor(t) = value {
                    if matches!(t.kind(), Kind::BFloat16 | Kind::Half) {
                        *t = t.to_kind(Kind::Float);
                    }
                }
            }
        }
        let drive = &self.stage.drive;
        let ranges = plan.inputs.iter().filter_map(|i| Some((i.name.clone(), self.range(i)?))).collect();
        let io = BatchIo::new(&plan.path, step.pass, step.step, rows, drive.world(), self.device, inputs);
        let mut io = io.with_ranges(ranges).with_axes(self.item_axes(plan)).with_wanted(wanted.to_vec());
        let bf16 = plan.model.is_some() && drive.settings.precision == Some(Precision::Bf16);
        // a guard, not `no_grad(f)`: that would leave gradients off after a panic
        let _off = (!plan.gradient && !self.all_gradients).then(tch::no_grad_guard);
        let done = caught(|| {
            let _autocast = if bf16 { Some(Autocast::bf16(self.device)?) } else { None };
            match run {
                Run::Batch(f) => f(plan.kind.as_any(), &mut io),
                Run::Model(f) => {
                    let name = plan.model.as_deref().unwrap_or_default();
                    let model = store.models.get(name).ok_or_else(|| anyhow!("the model `{name}` has no values here"))?;
                    let weights = model.weights(name, plan.training).per_part(self.parts(positions, items, step));
                    f(plan.kind.as_any(), &weights, &mut io)
                }
                Run::Register(r) => {
                    let state = store.registers.get(&plan.path).ok_or_else(|| anyhow!("the register has no values here"))?;
                    (r.read)(plan.kind.as_any(), &State(&state.tensors), &mut io)
                }
                Run::Host => bail!("it runs on the host only: feed what it gives, or let it read videos"),
            }
        });
        done.with_context(|| io.shapes())?;
        Ok(io.finish())
    }

    /// How many values an index can take, where that is known.
    fn range(&self, input: &InputPlan) -> Option<usize> {
        let From::Node { node, port } = input.from else { return None };
        bound(self.stage.nodes[node].outputs[port].range.as_ref()?, &self.lengths)
    }

    /// Names of the item axes that each input of a kind that keeps them brings.
    fn item_axes(&self, plan: &NodePlan) -> Vec<(String, Vec<String>)> {
        if plan.entry.axes != Axes::Keep {
            return Vec::new();
        }
        let names = |input: &InputPlan| {
            let From::Node { node, port } = input.from else { return None };
            let axes = self.stage.nodes[node].outputs[port].axes.iter().enumerate();
            let left = axes.filter(|(a, _)| input.item.is_none_or(|(taken, _)| taken != *a));
            Some((input.name.clone(), left.map(|(_, axis)| axis.name.clone()).collect()))
        };
        plan.inputs.iter().filter_map(names).collect()
    }

    /// Rows of each part of the world, where batch norm sees these one by one.
    fn parts(&self, positions: &[usize], items: usize, step: &Step) -> Vec<i64> {
        let drive = &self.stage.drive;
        let (world, batch) = (drive.world(), step.samples.len().max(1));
        if drive.settings.batch_norm != Some(BatchNorm::PerRank) || world < 2 {
            return Vec::new();
        }
        let of = |part: usize| (positions.iter().filter(|p| **p * world / batch == part).count() * items) as i64;
        (0..world).map(of).filter(|n| *n > 0).collect()
    }

    /// Runs the end nodes over the stage's tables and those of earlier stages.
    pub fn run_end(
        &self,
        tables: HashMap<(usize, usize), Table>,
        earlier: &dyn Fn(&str, &str, &str) -> Result<Option<Table>>,
        pass: &Pass,
    ) -> Result<Values> {
        let needed = Needed::of(self);
        let mut values = Values { values: tables.into_iter().map(|(k, t)| (k, Value::Table(t))).collect(), rows: HashMap::new() };
        for (i, plan) in self.stage.nodes.iter().enumerate() {
            if !self.active[i] || self.places[i] != Place::End {
                continue;
            }
            let mut inputs = Vec::new();
            for input in &plan.inputs {
                let value = match &input.from {
                    From::Node { node, port } => values.values.get(&(*node, *port)).map(Value::shallow_clone),
                    From::Stage { stage, node, port } => earlier(stage, node, port)?.map(Value::Table),
                };
                let value = value.ok_or_else(|| anyhow!("node `{}`: nothing at its input `{}`", plan.path, input.name))?;
                inputs.push((input.name.clone(), value));
            }
            let step = Step { pass, step: 0, samples: &[] };
            let outputs = self
                .call(plan, &Store::default(), &step, &[], &[], 1, inputs, &needed.outputs(plan, i))
                .with_context(|| format!("node `{}` ({})", plan.path, plan.entry.name))?;
            for (port, declared) in plan.entry.outputs.iter().enumerate() {
                if let Some(value) = outputs.get(declared.name) {
                    values.values.insert((i, port), value.shallow_clone());
                }
            }
        }
        Ok(values)
    }
}
