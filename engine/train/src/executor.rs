//! Runs a stage's device nodes on one batch, and its end nodes once.

use crate::batch::{BatchIo, NodeEntry, Row, Run, Table, Value};
use crate::caught::caught;
use crate::shim::Autocast;
use crate::store::Store;
use crate::transfer::HostColumns;
use anyhow::{anyhow, bail, Context, Result};
use dv_graph::draw::{Key, Pass, Sample};
use dv_graph::plan::{From, NodePlan, Place, StagePlan};
use dv_graph::port::Port;
use dv_graph::stage::Precision;
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

/// Values that a person gives in place of what would be computed.
#[derive(Default)]
pub struct Feeds {
    /// By node and output.
    pub outputs: HashMap<(usize, usize), Tensor>,
    /// By node and input, where no output has that name.
    pub inputs: HashMap<(usize, String), Tensor>,
    /// Tables of earlier stages: by stage, node and output.
    pub tables: HashMap<(String, String, String), Table>,
}

impl Feeds {
    /// Whether nothing but draws of a node is fed.
    fn only_draws(&self, plan: &NodePlan, node: usize) -> bool {
        self.outputs.keys().filter(|(n, _)| *n == node).all(|(_, port)| plan.entry.outputs[*port].draw)
            && !self.inputs.keys().any(|(n, _)| *n == node)
    }
    fn touches(&self, node: usize) -> bool {
        self.outputs.keys().any(|(n, _)| *n == node) || self.inputs.keys().any(|(n, _)| *n == node)
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
}

impl<'a> Executor<'a> {
    /// All live nodes of a stage, placed as planned.
    pub fn new(stage: Arc<StagePlan>, registry: &'a Registry, device: Device) -> Executor<'a> {
        let places = stage.nodes.iter().map(|n| n.place).collect();
        let active = vec![true; stage.nodes.len()];
        Executor { stage, places, active, registry, device, feeds: Feeds::default(), all_gradients: false }
    }

    /// Only what the asked outputs need, given the feeds. Host nodes that a feed touches move to the device.
    pub fn for_outputs(
        stage: Arc<StagePlan>,
        registry: &'a Registry,
        device: Device,
        feeds: Feeds,
        asked: &[(usize, usize)],
    ) -> Executor<'a> {
        let mut executor = Executor::new(stage, registry, device);
        executor.feeds = feeds;
        let n = executor.stage.nodes.len();
        executor.active = vec![false; n];
        let mut open: Vec<(usize, usize)> = asked.to_vec();
        let mut seen: Vec<(usize, usize)> = Vec::new();
        while let Some((node, port)) = open.pop() {
            if seen.contains(&(node, port)) {
                continue;
            }
            seen.push((node, port));
            let plan = &executor.stage.nodes[node];
            let draw = plan.entry.outputs[port].draw;
            if executor.feeds.outputs.contains_key(&(node, port)) && !draw {
                continue;
            }
            if executor.feeds.outputs.contains_key(&(node, port)) && seen.iter().all(|(n, p)| *n != node || *p == port) {
                // only the fed draw is asked for
                continue;
            }
            executor.active[node] = true;
            for input in &plan.inputs {
                if executor.feeds.inputs.contains_key(&(node, input.name.clone())) {
                    continue;
                }
                if let From::Node { node, port } = input.from {
                    open.push((node, port));
                }
            }
        }
        for i in 0..n {
            let fed = executor.feeds.touches(i)
                || executor.stage.nodes[i].inputs.iter().any(|input| match input.from {
                    From::Node { node, port } => {
                        executor.feeds.outputs.contains_key(&(node, port))
                            || (executor.active[node] && executor.places[node] != Place::Host)
                    }
                    From::Stage { .. } => false,
                });
            // what runs on the host alone takes fed draws there
            let stays = !executor.stage.nodes[i].entry.batch && executor.feeds.only_draws(&executor.stage.nodes[i], i);
            if executor.places[i] == Place::Host && fed && !stays {
                executor.places[i] = Place::Device;
            }
        }
        executor
    }

    /// Runs the device's nodes.
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
        let mut choices: HashMap<usize, Vec<usize>> = HashMap::new();
        for i in 0..self.stage.nodes.len() {
            if !self.active[i] || self.places[i] != Place::Device {
                continue;
            }
            self.node(i, store, step, &mut values, &mut choices)
                .with_context(|| format!("node `{}` ({})", self.stage.nodes[i].path, self.stage.nodes[i].entry.name))?;
        }
        Ok(values)
    }

    fn node(&self, i: usize, store: &Store, step: &Step, values: &mut Values, choices: &mut HashMap<usize, Vec<usize>>) -> Result<()> {
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
        let items: usize = plan.fold.iter().map(|a| a.len()).product();
        let mut inputs: Vec<(String, Value)> = Vec::new();
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
            inputs.push((input.name.clone(), self.folded(plan, input, value, items)?));
        }
        if let Some(choice) = &choice {
            let drawn: Vec<i64> = rows.iter().map(|r| choice[*r] as i64).collect();
            let name = plan.entry.outputs.iter().find(|o| o.draw).map_or("choice", |o| o.name);
            inputs.push((name.into(), Value::Tensor(Tensor::from_slice(&drawn).to_device(self.device))));
        }
        for (port, out) in plan.entry.outputs.iter().enumerate() {
            if let (true, None, Some(fed)) = (out.draw, &choice, self.feeds.outputs.get(&(i, port))) {
                let value = Value::Tensor(rows_of(fed, &rows, step));
                let folded = self.fold_value(plan, plan.outputs[port].axes.len(), value, items)?;
                inputs.push((out.name.into(), folded));
            }
        }
        for ((node, name), fed) in &self.feeds.inputs {
            // optional inputs that the graph leaves open
            if *node == i && !inputs.iter().any(|(n, _)| n == name) {
                inputs.push((name.clone(), Value::Tensor(rows_of(fed, &rows, step))));
            }
        }
        let list: Vec<Row> = rows.iter().flat_map(|r| (0..items).map(|item| Row { sample: step.samples[*r], item })).collect();
        let outputs = self.call(plan, store, step, &list, inputs)?;
        for (port, declared) in plan.entry.outputs.iter().enumerate() {
            if self.feeds.outputs.contains_key(&(i, port)) {
                continue;
            }
            if let Some(value) = outputs.get(declared.name) {
                let value = unfolded(plan, &plan.outputs[port], value.shallow_clone(), rows.len());
                values.values.insert((i, port), value);
            }
        }
        if rows.len() < step.samples.len() {
            values.rows.insert(i, rows);
        }
        Ok(())
    }

    fn is_chooser(&self, plan: &NodePlan) -> bool {
        let mut rng = Key::initial(0, "").rng();
        let names: Vec<&str> = plan.inputs.iter().map(|i| i.name.as_str()).collect();
        !names.is_empty() && plan.kind.pick(&mut rng, &names).is_some()
    }

    /// The branch of each row of the batch at a choosing node.
    fn choice<'c>(&self, node: usize, step: &Step, values: &Values, choices: &'c mut HashMap<usize, Vec<usize>>) -> Result<&'c Vec<usize>> {
        use std::collections::hash_map::Entry;
        Ok(match choices.entry(node) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(self.draw_choice(node, step, values)?),
        })
    }

    /// Fed, brought by an edge, or drawn.
    fn draw_choice(&self, node: usize, step: &Step, values: &Values) -> Result<Vec<usize>> {
        let plan = &self.stage.nodes[node];
        let draw = plan.entry.outputs.iter().position(|o| o.draw).ok_or_else(|| anyhow!("`{}` shows no draw", plan.path))?;
        let branches = self.stage.branches(node);
        let given = match (self.feeds.outputs.get(&(node, draw)), plan.inputs.iter().find(|i| i.name == plan.entry.outputs[draw].name)) {
            (Some(fed), _) => Value::Tensor(fed.shallow_clone()),
            (None, Some(input)) => self.input(input, &(0..step.samples.len()).collect::<Vec<_>>(), step, values)?,
            (None, None) => {
                let pick = |s: &Sample| plan.kind.pick(&mut Key::sample(step.pass, *s, 0, &plan.path).rng(), &branches).unwrap_or(0);
                return Ok(step.samples.iter().map(pick).collect());
            }
        };
        let given = given.tensor().ok_or_else(|| anyhow!("a choice is an index"))?.to_kind(Kind::Int64).to_device(Device::Cpu);
        let list = Vec::<i64>::try_from(given.flatten(0, -1))?;
        if list.len() != step.samples.len() {
            bail!("{} choices for {} rows", list.len(), step.samples.len());
        }
        list.into_iter()
            .map(|c| {
                usize::try_from(c)
                    .ok()
                    .filter(|c| *c < branches.len())
                    .ok_or_else(|| anyhow!("the choice {c} is none of the {} branches", branches.len()))
            })
            .collect()
    }

    /// One input's value on the wanted rows of the batch, an item taken where the edge takes one.
    fn input(&self, input: &dv_graph::plan::InputPlan, wanted: &[usize], step: &Step, values: &Values) -> Result<Value> {
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

    fn folded(&self, plan: &NodePlan, input: &dv_graph::plan::InputPlan, value: Value, items: usize) -> Result<Value> {
        let From::Node { node, port } = input.from else { return Ok(value) };
        let spec = &self.stage.nodes[node].outputs[port];
        if !spec.rows {
            return Ok(value);
        }
        self.fold_value(plan, spec.axes.len() - usize::from(input.item.is_some()), value, items)
    }

    /// Item axes folded into the rows; a value without them is repeated for each item.
    fn fold_value(&self, plan: &NodePlan, axes: usize, value: Value, items: usize) -> Result<Value> {
        let Value::Tensor(t) = &value else { return Ok(value) };
        if plan.fold.is_empty() {
            return Ok(value);
        }
        Ok(Value::Tensor(if axes > 0 { t.flatten(0, axes as i64) } else { t.repeat_interleave_self_int(items as i64, 0, None) }))
    }

    fn call(
        &self,
        plan: &NodePlan,
        store: &Store,
        step: &Step,
        rows: &[Row],
        mut inputs: Vec<(String, Value)>,
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
        let mut io = BatchIo::new(&plan.path, step.pass, step.step, rows, drive.world(), self.device, inputs);
        let bf16 = plan.model.is_some() && drive.settings.precision == Some(Precision::Bf16);
        // a guard, not `no_grad(f)`: that would leave gradients off after a panic
        let _off = (!plan.gradient && !self.all_gradients).then(tch::no_grad_guard);
        caught(|| {
            let _autocast = if bf16 { Some(Autocast::bf16(self.device)?) } else { None };
            match run {
                Run::Batch(f) => f(plan.kind.as_any(), &mut io),
                Run::Model(f) => {
                    let name = plan.model.as_deref().unwrap_or_default();
                    let model = store.models.get(name).ok_or_else(|| anyhow!("the model `{name}` has no values here"))?;
                    f(plan.kind.as_any(), &model.weights(name, plan.training), &mut io)
                }
                Run::Host => bail!("it runs on the host only: feed what it gives, or let it read videos"),
            }
        })?;
        Ok(io.finish())
    }

    /// Runs the end nodes over the stage's tables and those of earlier stages.
    pub fn run_end(
        &self,
        tables: HashMap<(usize, usize), Table>,
        earlier: &dyn Fn(&str, &str, &str) -> Option<Table>,
        pass: &Pass,
    ) -> Result<Values> {
        let mut values = Values { values: tables.into_iter().map(|(k, t)| (k, Value::Table(t))).collect(), rows: HashMap::new() };
        for (i, plan) in self.stage.nodes.iter().enumerate() {
            if !self.active[i] || self.places[i] != Place::End {
                continue;
            }
            let mut inputs = Vec::new();
            for input in &plan.inputs {
                let value = match &input.from {
                    From::Node { node, port } => values.values.get(&(*node, *port)).map(Value::shallow_clone),
                    From::Stage { stage, node, port } => earlier(stage, node, port).map(Value::Table),
                };
                let value = value.ok_or_else(|| anyhow!("node `{}`: nothing at its input `{}`", plan.path, input.name))?;
                inputs.push((input.name.clone(), value));
            }
            let step = Step { pass, step: 0, samples: &[] };
            let outputs = self
                .call(plan, &Store::default(), &step, &[], inputs)
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

/// A fed value on some rows of the batch; whole where it does not go by rows.
fn rows_of(fed: &Tensor, rows: &[usize], step: &Step) -> Tensor {
    if rows.len() == step.samples.len() || fed.size().first() != Some(&(step.samples.len() as i64)) {
        return fed.shallow_clone();
    }
    let at: Vec<i64> = rows.iter().map(|r| *r as i64).collect();
    fed.index_select(0, &Tensor::from_slice(&at).to_device(fed.device()))
}

fn unfolded(plan: &NodePlan, port: &Port, value: Value, rows: usize) -> Value {
    match &value {
        Value::Tensor(t) if port.rows && !plan.fold.is_empty() => {
            let mut shape = vec![rows as i64];
            shape.extend(plan.fold.iter().map(|a| a.len() as i64));
            shape.extend(&t.size()[1..]);
            Value::Tensor(t.reshape(&shape[..]))
        }
        _ => value,
    }
}
