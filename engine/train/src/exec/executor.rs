//! Runs a stage's device nodes on one batch, and its end nodes once.

mod choice;
mod feeds;
mod fold;
mod registers;

pub use super::program::Values;
use super::program::{Op, Program, Source, Wire};
use crate::exec::batch::{Call, NodeEntry, Outputs, Rows, Run, Table, Value};
use crate::exec::caught::caught;
use crate::exec::shim::Autocast;
use crate::exec::transfer::HostColumns;
use crate::state::store::{Lengths, Store};
use anyhow::{anyhow, bail, Context, Result};
use choice::Choices;
use dv_graph::draw::{Pass, Sample};
use dv_graph::kind::To;
use dv_graph::plan::{Place, StagePlan};
use dv_graph::ports::Slot;
use dv_graph::stage::{BatchNorm, Precision};
use feeds::rows_of;
pub use feeds::Feeds;
use std::cell::OnceCell;
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
    pub(super) fn run(&self, name: &str) -> Result<Run> {
        self.entries.get(name).map(|e| e.run).ok_or_else(|| anyhow!("the kind `{name}` has no code to run"))
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
    pub(super) all_gradients: bool,
    pub(super) lengths: Lengths,
    pub(super) asked: Vec<(usize, usize)>,
    program: OnceCell<Program>,
}

impl<'a> Executor<'a> {
    /// All live nodes of a stage, placed as planned.
    pub fn new(stage: Arc<StagePlan>, registry: &'a Registry, device: Device) -> Executor<'a> {
        Executor {
            places: stage.nodes.iter().map(|n| n.place).collect(),
            active: vec![true; stage.nodes.len()],
            stage,
            registry,
            device,
            feeds: Feeds::default(),
            all_gradients: false,
            lengths: Lengths::new(),
            asked: Vec::new(),
            program: OnceCell::new(),
        }
    }
    /// Lengths that only the data knows.
    pub fn set_lengths(&mut self, lengths: Lengths) {
        self.lengths = lengths;
        self.program.take();
    }
    /// Outputs that are asked for besides those that the stage needs: by a person, or by other stages.
    pub fn ask(&mut self, asked: Vec<(usize, usize)>) {
        self.asked = asked;
        self.program.take();
    }
    /// Records gradients everywhere: a gradient of a fed edge is asked for.
    pub fn record_all_gradients(&mut self) {
        self.all_gradients = true;
        self.program.take();
    }
    fn program(&self) -> Result<&Program> {
        if self.program.get().is_none() {
            let _ = self.program.set(Program::of(self)?);
        }
        self.program.get().ok_or_else(|| anyhow!("the stage has no program"))
    }

    /// Runs the device's nodes. What comes back are the values that the step still needs: loss, metrics, tables, what is written to
    /// registers, and what is asked for. The others are freed after their last reader.
    pub fn run(&self, store: &Store, step: &Step, host: Option<HostColumns>) -> Result<Values> {
        let program = self.program()?;
        let mut values = Values::new(program);
        for ((node, port), tensor) in host.into_iter().flatten() {
            values.set(node, port, Value::Tensor(tensor));
        }
        for ((node, port), tensor) in &self.feeds.outputs {
            values.set(*node, *port, Value::Tensor(tensor.shallow_clone()));
        }
        let all: Vec<usize> = if program.selects { (0..step.samples.len()).collect() } else { Vec::new() };
        let mut choices = Choices::new(&all);
        for op in &program.steps {
            self.op_step(op, store, step, &mut values, &mut choices).with_context(|| self.named(op))?;
            for number in &op.frees {
                values.values[*number] = None;
            }
        }
        Ok(values)
    }

    fn named(&self, op: &Op) -> String {
        let plan = &self.stage.nodes[op.node];
        format!("node `{}` ({})", plan.path, plan.entry.name)
    }

    fn op_step(&self, op: &Op, store: &Store, step: &Step, values: &mut Values, choices: &mut Choices) -> Result<()> {
        // rows of the batch that come here, where not all
        let mut rows: Option<Vec<usize>> = None;
        for (choose, branch) in &op.guards {
            let choice = self.choice(*choose, step, values, choices)?;
            let there = rows.as_deref().unwrap_or(choices.all);
            rows = Some(there.iter().copied().filter(|r| choice[*r] == *branch).collect());
        }
        let rows = rows.filter(|rows| rows.len() < step.samples.len());
        if rows.as_ref().is_some_and(Vec::is_empty) {
            values.rows[op.node] = rows;
            return Ok(());
        }
        let choice = if op.chooses { Some(self.choice(op.node, step, values, choices)?) } else { None };
        let mut inputs: Vec<(&Wire, Value)> = Vec::with_capacity(op.wires.len());
        for wire in &op.wires {
            let wanted: Option<Vec<usize>> = match (&choice, wire.branch) {
                (Some(choice), Some(branch)) => {
                    let there = rows.as_deref().unwrap_or(choices.all);
                    Some(there.iter().copied().filter(|r| choice[*r] == branch).collect())
                }
                _ => rows.clone(),
            };
            if wire.branch.is_some() && wanted.as_ref().is_some_and(Vec::is_empty) {
                continue;
            }
            inputs.push((wire, self.value(wire, wanted.as_deref(), step, values)?));
        }
        let chosen = choice.map(|choice| {
            let there = rows.as_deref().unwrap_or(choices.all);
            let drawn: Vec<i64> = there.iter().map(|r| choice[*r] as i64).collect();
            Tensor::from_slice(&drawn).to_device(self.device)
        });
        self.start(op, store, step, values)?;
        let rows_of_all = Rows { samples: step.samples, positions: rows.as_deref(), items: 1, taken: None };
        let run = |taken| self.pass(op, store, step, rows_of_all, &inputs, chosen.as_ref(), taken);
        let outputs = match op.passes {
            None => run(None)?,
            // one pass for each item, in order; then side by side again
            Some(axis) => {
                let passes = (0..op.fold[axis]).map(|item| run(Some((axis, item))));
                fold::join(op, axis, passes.collect::<Result<_>>()?)
            }
        };
        self.keep(op, outputs, values);
        values.rows[op.node] = rows;
        Ok(())
    }

    fn keep(&self, op: &Op, outputs: Outputs, values: &mut Values) {
        for (port, value) in outputs.into_iter().enumerate() {
            if let (Some(value), Some(false)) = (value, op.fed.get(port)) {
                values.set(op.node, port, value);
            }
        }
    }

    /// One input's value on the wanted rows of the batch (`None`: all), an item taken where the edge takes one.
    fn value(&self, wire: &Wire, wanted: Option<&[usize]>, step: &Step, values: &Values) -> Result<Value> {
        let (number, node, port, rows) = match &wire.from {
            Source::Value { number, node, port, rows } => (*number, *node, *port, *rows),
            Source::Fed(fed) => return Ok(Value::Tensor(wanted.map_or_else(|| fed.shallow_clone(), |wanted| rows_of(fed, wanted, step)))),
            Source::Stage { .. } => bail!("`{}` reads a table of another stage: it runs at the end", wire.name),
        };
        let Some(value) = &values.values[number] else {
            let source = &self.stage.nodes[node];
            let name = source.entry.outputs[port].name;
            bail!("`{}` gave no value at `{name}`{}", source.path, if name == "label" { ": the set has no classes" } else { "" });
        };
        let Value::Tensor(tensor) = value else { return Ok(value.shallow_clone()) };
        let mut tensor = tensor.shallow_clone();
        let there = if self.feeds.outputs.contains_key(&(node, port)) { None } else { values.rows[node].as_deref() };
        if rows && there != wanted {
            let all: Vec<usize>;
            let wanted = match wanted {
                Some(wanted) => wanted,
                None => {
                    all = (0..step.samples.len()).collect();
                    &all
                }
            };
            let place = |row: &usize| match there {
                None => Some(*row as i64),
                Some(there) => there.iter().position(|t| t == row).map(|p| p as i64),
            };
            let missing = |row: &usize| anyhow!("`{}` has no value for row {row} of the batch", self.stage.nodes[node].path);
            let at: Vec<i64> = wanted.iter().map(|row| place(row).ok_or_else(|| missing(row))).collect::<Result<_>>()?;
            tensor = tensor.index_select(0, &Tensor::from_slice(&at).to_device(tensor.device()));
        }
        if let Some((axis, item)) = wire.item {
            tensor = tensor.select(axis as i64 + i64::from(rows), item as i64);
        }
        Ok(Value::Tensor(tensor))
    }

    fn call(&self, op: &Op, store: &Store, step: &Step, rows: Rows, inputs: &[Slot<Value>], draws: &[Option<Tensor>]) -> Result<Outputs> {
        let plan = &self.stage.nodes[op.node];
        let drive = &self.stage.drive;
        let call = Call {
            node: &plan.path,
            pass: step.pass,
            step: step.step,
            rows,
            world: drive.world(),
            device: self.device,
            training: op.training,
            inputs,
            draws,
            shapes: &op.shapes,
            ranges: &op.ranges,
            axes: &op.axes,
            wanted: &op.wanted,
        };
        let bf16 = op.model.is_some() && drive.settings.precision == Some(Precision::Bf16);
        // a guard, not `no_grad(f)`: that would leave gradients off after a panic
        let _off = (!op.gradient).then(tch::no_grad_guard);
        let done = caught(|| {
            let _autocast = if bf16 { Some(Autocast::bf16(self.device)?) } else { None };
            match op.run {
                Run::Batch(run) => run(plan.kind.as_any(), &call),
                Run::Model(run) => {
                    let name = op.model.as_deref().unwrap_or_default();
                    let model = store.models.get(name).ok_or_else(|| anyhow!("the model `{name}` has no values here"))?;
                    let weights = model.weights(name, op.training).per_part(self.parts(rows, step));
                    run(plan.kind.as_any(), &weights, &call)
                }
                Run::Register(register) => {
                    let state = store.registers.get(&plan.path).ok_or_else(|| anyhow!("the register has no values here"))?;
                    (register.read)(plan.kind.as_any(), &state.tensors)
                }
                Run::Host => bail!("it runs on the host only: feed what it gives, or let it read videos"),
            }
        });
        done.with_context(|| call.text(plan.entry.inputs))
    }

    /// Rows of each part of the world, where batch norm sees these one by one.
    fn parts(&self, rows: Rows, step: &Step) -> Vec<i64> {
        let drive = &self.stage.drive;
        let (world, batch) = (drive.world(), step.samples.len().max(1));
        if drive.settings.batch_norm != Some(BatchNorm::PerRank) || world < 2 {
            return Vec::new();
        }
        let all: Vec<usize> = (0..step.samples.len()).collect();
        let positions = rows.positions.unwrap_or(&all);
        let of = |part: usize| (positions.iter().filter(|p| **p * world / batch == part).count() * rows.items) as i64;
        (0..world).map(of).filter(|n| *n > 0).collect()
    }

    /// Runs the end nodes over the stage's tables and those of earlier stages.
    pub fn run_end(
        &self,
        tables: HashMap<(usize, usize), Table>,
        earlier: &dyn Fn(&str, &str, &str) -> Result<Option<Table>>,
        pass: &Pass,
    ) -> Result<Values> {
        let program = self.program()?;
        let mut values = Values::new(program);
        for ((node, port), table) in tables {
            values.set(node, port, Value::Table(table));
        }
        let step = Step { pass, step: 0, samples: &[] };
        for op in &program.end {
            let mut inputs = Vec::with_capacity(op.wires.len());
            for wire in &op.wires {
                let value = match &wire.from {
                    Source::Value { number, .. } => values.values[*number].as_ref().map(Value::shallow_clone),
                    Source::Stage { stage, node, port } => earlier(stage, node, port)?.map(Value::Table),
                    Source::Fed(fed) => Some(Value::Tensor(fed.shallow_clone())),
                };
                let missing = || anyhow!("node `{}`: nothing at its input `{}`", self.stage.nodes[op.node].path, wire.name);
                inputs.push((wire, value.ok_or_else(missing)?));
            }
            let (inputs, draws) = arranged(op, inputs, None);
            let outputs = self.call(op, &Store::default(), &step, Rows::of(&[]), &inputs, &draws).with_context(|| self.named(op))?;
            self.keep(op, outputs, &mut values);
        }
        Ok(values)
    }
}

/// Values in the order of the kind's inputs, and of its draws. Without a model, what autocast left in half precision is summed in full.
fn arranged(op: &Op, values: Vec<(&Wire, Value)>, chosen: Option<&Tensor>) -> (Vec<Slot<Value>>, Vec<Option<Tensor>>) {
    let mut inputs: Vec<Slot<Value>> = (0..op.fields).map(|_| Slot::Empty).collect();
    let mut draws: Vec<Option<Tensor>> = (0..op.draws).map(|_| None).collect();
    let full = |value: Value| match value {
        Value::Tensor(t) if op.model.is_none() && matches!(t.kind(), Kind::BFloat16 | Kind::Half) => Value::Tensor(t.to_kind(Kind::Float)),
        other => other,
    };
    for (wire, value) in values {
        match (wire.to, full(value)) {
            (To::Field(i), value) => inputs[i] = Slot::One(value),
            (To::Draw(i), Value::Tensor(t)) => draws[i] = Some(t),
            (To::Draw(_), Value::Table(_)) => {}
            (To::Many(i), value) => match &mut inputs[i] {
                Slot::Many(list) => list.push((wire.name.clone(), value)),
                slot => *slot = Slot::Many(vec![(wire.name.clone(), value)]),
            },
        }
    }
    if let (Some(chosen), Some(first)) = (chosen, draws.first_mut()) {
        *first = Some(chosen.shallow_clone());
    }
    (inputs, draws)
}
