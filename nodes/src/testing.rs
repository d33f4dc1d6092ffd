//! A kit for tests of kinds, those of a crate of one's own too: single nodes on single inputs, and what holds for every kind of a list.
//!
//! Inputs and outputs go by their names here, as in a graph. What a kind refuses is an error or, where a test cannot go on, a panic.

mod agree;
mod example;
mod models;
mod whole;

pub use agree::compare;
pub use example::{example, examples, Example};
pub use models::check_models;
pub use whole::{check, check_documentation};

use anyhow::{anyhow, bail, Result};
use dv_graph::draw::{Key, Pass, Sample};
use dv_graph::fault::Faults;
use dv_graph::host::{self, Array, Clip, SampleCall, SampleKind};
use dv_graph::kind::{Entry, Init, Inputs, Kind, Parameter, PortFault, RegisterDeclaration, To};
use dv_graph::plan::Register;
use dv_graph::port::{Dim, Port};
use dv_graph::ports::Slot;
use dv_graph::settings::{self, SettingFaults};
use dv_graph::source::{At, Sources};
use dv_graph::tree;
use dv_train::exec::batch::{sketch, BatchKind, Call, ModelKind, NodeEntry, RegisterKind, Rows, Run, Table, Value};
use dv_train::state::store::{Lengths, RegisterState};
use dv_train::state::weights::Weights;
use std::any::Any;
use std::collections::HashMap;
use tch::{Device, Kind as Dtype, Tensor};

fn build<K: Kind>(toml: &str) -> (Option<K>, Faults, Sources) {
    let (mut sources, mut faults) = (Sources::default(), Faults::default());
    let table = tree::parse("test", toml, &mut sources, &mut faults);
    let kind: Option<K> = settings::deserialise(&table, At::default(), K::NAME, &mut faults);
    if let Some(kind) = &kind {
        kind.check(&mut SettingFaults::new(&table, At::default(), &mut faults));
    }
    (kind, faults, sources)
}

/// A kind with the settings of a text.
pub fn kind<K: Kind>(toml: &str) -> K {
    let (kind, faults, sources) = build(toml);
    assert!(faults.is_empty(), "{}", faults.render(&sources));
    kind.unwrap_or_else(|| panic!("{} has no such settings", K::NAME))
}

/// The faults of settings.
pub fn faults<K: Kind>(toml: &str) -> Faults {
    build::<K>(toml).1
}

/// The outputs and draws of a node of the device, by name.
pub struct Outputs(HashMap<&'static str, Value>);

impl Outputs {
    pub fn tensor(&self, name: &str) -> &Tensor {
        self.0.get(name).and_then(Value::tensor).unwrap_or_else(|| panic!("no tensor at `{name}`"))
    }
    pub fn take(&mut self, name: &str) -> Tensor {
        self.tensor(name).shallow_clone()
    }
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
    pub fn table(&self, name: &str) -> &Table {
        match self.0.get(name) {
            Some(Value::Table(t)) => t,
            _ => panic!("no table at `{name}`"),
        }
    }
}

fn pass() -> Pass {
    Pass { seed: 1, stage: "test".into(), epoch: 0 }
}

/// How a node of the device is run in a test.
#[derive(Default)]
pub struct With<'a> {
    /// Equal parts that the mathematics sees the batch as; 0 is 1.
    pub world: usize,
    /// Names of item axes, by input.
    pub axes: Vec<(&'a str, &'a [&'a str])>,
    /// How many values index inputs can have.
    pub ranges: Vec<(&'a str, usize)>,
    /// Outputs that something reads; none: all.
    pub wanted: Vec<&'a str>,
    pub training: bool,
}

/// Values by name in the order of a kind's inputs, and of its draws.
fn arranged<V>(entry: &Entry, values: Vec<(&str, V)>) -> Result<(Vec<Slot<V>>, Vec<Option<V>>)> {
    let mut inputs: Vec<Slot<V>> = entry.inputs.iter().map(|_| Slot::Empty).collect();
    let mut draws: Vec<Option<V>> = entry.outputs.iter().filter(|o| o.draw).map(|_| None).collect();
    for (name, value) in values {
        match entry.to(name).ok_or_else(|| anyhow!("{} has no input `{name}`", entry.name))? {
            To::Field(i) => inputs[i] = Slot::One(value),
            To::Draw(i) => draws[i] = Some(value),
            To::Many(i) => match &mut inputs[i] {
                Slot::Many(list) => list.push((name.to_owned(), value)),
                slot => *slot = Slot::Many(vec![(name.to_owned(), value)]),
            },
        }
    }
    Ok((inputs, draws))
}

fn tensor_port(t: &Tensor) -> Port {
    let shape = t.size().into_iter().skip(1).map(|n| Dim::Known(n as usize));
    match t.kind() {
        Dtype::Uint8 => Port::bytes(shape),
        Dtype::Int64 => Port::index(shape),
        _ => Port::float(shape),
    }
}

/// Shapes of the draws of one row, as far as the kind knows them for such inputs.
fn draw_shapes(entry: &Entry, kind: &dyn Any, ports: Vec<(String, Port)>) -> Vec<Option<Vec<usize>>> {
    let Ok(outputs) = entry.ports(kind, &Inputs::new(ports)) else { return Vec::new() };
    let known = |port: Option<Port>| port?.shape.iter().map(Dim::known).collect();
    outputs.into_iter().skip(entry.first_draw()).map(known).collect()
}

fn call(
    entry: &NodeEntry,
    kind: &dyn Any,
    weights: Option<&Weights>,
    rows: usize,
    with: &With,
    inputs: Vec<(&str, Value)>,
) -> Result<Outputs> {
    let graph = &entry.graph;
    let ports = inputs.iter().filter_map(|(name, value)| Some((name.to_string(), tensor_port(value.tensor()?))));
    let shapes = draw_shapes(graph, kind, ports.collect());
    let (inputs, draws) = arranged(graph, inputs)?;
    let draws: Vec<Option<Tensor>> = draws.into_iter().map(|v| v.and_then(|v| v.tensor().map(Tensor::shallow_clone))).collect();
    let of = |name: &str| with.axes.iter().find(|(n, _)| *n == name).map(|(_, axes)| axes.iter().map(|a| a.to_string()).collect());
    let axes: Vec<Vec<String>> = graph.inputs.iter().map(|field| of(field.name).unwrap_or_default()).collect();
    let range = |name: &str| with.ranges.iter().find(|(n, _)| *n == name).map(|(_, range)| *range);
    let ranges: Vec<Option<usize>> = graph.inputs.iter().map(|field| range(field.name)).collect();
    let wanted = |name: &str| with.wanted.is_empty() || with.wanted.contains(&name);
    let wanted: Vec<bool> = graph.outputs.iter().map(|field| wanted(field.name)).collect();
    let (samples, pass) = (Sample::numbered(rows), pass());
    let call = Call {
        node: "node",
        pass: &pass,
        step: 0,
        rows: Rows::of(&samples),
        world: with.world.max(1),
        device: Device::Cpu,
        training: with.training,
        inputs: &inputs,
        draws: &draws,
        shapes: &shapes,
        ranges: &ranges,
        axes: &axes,
        wanted: &wanted,
    };
    let outputs = match (entry.run, weights) {
        (Run::Batch(run), _) => run(kind, &call)?,
        (Run::Model(run), Some(weights)) => run(kind, weights, &call)?,
        _ => bail!("{} does not run on a batch", graph.name),
    };
    let named = graph.outputs.iter().zip(outputs).filter_map(|(field, value)| Some((field.name, value?)));
    Ok(Outputs(named.collect()))
}

fn values(inputs: Vec<(&str, Tensor)>) -> Vec<(&str, Value)> {
    inputs.into_iter().map(|(name, t)| (name, Value::Tensor(t))).collect()
}

/// Runs a node of the device on so many rows, of the samples `0`, `1`, ...
pub fn run<K: BatchKind>(kind: &K, rows: usize, inputs: Vec<(&str, Tensor)>) -> Outputs {
    run_with(kind, rows, &With::default(), values(inputs)).unwrap_or_else(|e| panic!("{e:#}"))
}

pub fn run_world<K: BatchKind>(kind: &K, rows: usize, world: usize, inputs: Vec<(&str, Tensor)>) -> Outputs {
    run_with(kind, rows, &With { world, ..With::default() }, values(inputs)).unwrap_or_else(|e| panic!("{e:#}"))
}

pub fn run_values<K: BatchKind>(kind: &K, rows: usize, world: usize, inputs: Vec<(&str, Value)>) -> Result<Outputs> {
    run_with(kind, rows, &With { world, ..With::default() }, inputs)
}

/// The same, with all that a stage would say.
pub fn run_with<K: BatchKind>(kind: &K, rows: usize, with: &With, inputs: Vec<(&str, Value)>) -> Result<Outputs> {
    call(&NodeEntry::batch::<K>(), kind, None, rows, with, inputs)
}

/// The same for a kind that keeps item axes: the names of those of its first input.
pub fn run_items<K: BatchKind>(kind: &K, rows: usize, inputs: Vec<(&str, Tensor)>, axes: &[&str]) -> Outputs {
    let with = With { axes: vec![(inputs[0].0, axes)], ..With::default() };
    run_with(kind, rows, &with, values(inputs)).unwrap_or_else(|e| panic!("{e:#}"))
}

/// The same with how many values index inputs can take.
pub fn run_ranged<K: BatchKind>(kind: &K, rows: usize, inputs: Vec<(&str, Tensor)>, ranges: Vec<(&str, usize)>) -> Outputs {
    run_with(kind, rows, &With { ranges, ..With::default() }, values(inputs)).unwrap_or_else(|e| panic!("{e:#}"))
}

/// The draws of a node that only draws, on so many rows of the device.
pub fn draw<K: Kind>(kind: &K, rows: usize, inputs: Vec<(&str, Tensor)>) -> Outputs {
    call(&NodeEntry::draw::<K>(), kind, None, rows, &With::default(), values(inputs)).unwrap_or_else(|e| panic!("{e:#}"))
}

/// A register's tensors as they start, given what is written to it.
pub fn state<K: RegisterKind>(kind: &K, written: Vec<(&str, Port)>) -> HashMap<String, Tensor> {
    let inputs = Inputs::new(vec![]).with_written(written.into_iter().map(|(n, p)| (n.to_string(), p)).collect());
    let state = declared_state(kind, &inputs).unwrap_or_else(|f| panic!("{}", f.message));
    let register = Register { state, names: vec![], writes: vec![], initial: vec![] };
    RegisterState::initial("node", &register, 1, &Lengths::new(), Device::Cpu).unwrap_or_else(|e| panic!("{e:#}")).tensors
}

/// A register's tensors as it declares them.
pub fn declared_state<K: RegisterDeclaration>(kind: &K, inputs: &Inputs) -> Result<Vec<dv_graph::kind::State>, PortFault> {
    let entry = Entry::register::<K>();
    entry.state.map_or(Ok(Vec::new()), |state| state(kind, inputs))
}

pub fn write<K: RegisterKind>(kind: &K, state: &HashMap<String, Tensor>, inputs: Vec<(&str, Tensor)>) -> Result<()> {
    let entry = NodeEntry::register::<K>();
    let Run::Register(run) = entry.run else { bail!("{} is no register", K::NAME) };
    let value = |name: &str| inputs.iter().find(|(n, _)| *n == name).map(|(_, t)| Value::Tensor(t.shallow_clone()));
    let slots = entry.graph.writes.iter().map(|field| value(field.name).into()).collect();
    tch::no_grad(|| (run.write)(kind, state, slots))
}

/// Gives a register what stands at its `initial` edges.
pub fn start<K: RegisterKind>(kind: &K, state: &HashMap<String, Tensor>, inputs: Vec<(&str, Tensor)>) -> Result<()> {
    let entry = NodeEntry::register::<K>();
    let Run::Register(run) = entry.run else { bail!("{} is no register", K::NAME) };
    let value = |name: &str| inputs.iter().find(|(n, _)| *n == name).map(|(_, t)| Value::Tensor(t.shallow_clone()));
    let slots = entry.graph.initial.iter().map(|field| value(field.name).into()).collect();
    tch::no_grad(|| (run.start)(kind, state, slots))
}

pub fn read<K: RegisterKind>(kind: &K, state: &HashMap<String, Tensor>) -> Outputs {
    let entry = NodeEntry::register::<K>();
    let Run::Register(run) = entry.run else { panic!("{} is no register", K::NAME) };
    let outputs = (run.read)(kind, state).unwrap_or_else(|e| panic!("{e:#}"));
    Outputs(entry.graph.outputs.iter().zip(outputs).filter_map(|(field, value)| Some((field.name, value?))).collect())
}

/// One application of a model.
pub fn forward<K: ModelKind>(kind: &K, weights: &HashMap<String, Tensor>, training: bool, inputs: Vec<(&str, Tensor)>) -> Outputs {
    let rows = inputs[0].1.size()[0] as usize;
    let with = With { training, ..With::default() };
    let weights = Weights::new("model", weights, training);
    call(&NodeEntry::model::<K>(), kind, Some(&weights), rows, &with, values(inputs)).unwrap_or_else(|e| panic!("{e:#}"))
}

fn inputs_of(inputs: Vec<(&str, Port)>) -> Inputs {
    Inputs::new(inputs.into_iter().map(|(n, p)| (n.to_string(), p)).collect())
}

/// A model's parameters and buffers.
pub fn parameters<K: ModelKind>(kind: &K, inputs: Vec<(&str, Port)>) -> Vec<Parameter> {
    sketch(kind, &inputs_of(inputs)).unwrap_or_else(|f| panic!("{}", f.message)).parameters
}

/// The ports of a node's outputs, then of its draws.
pub fn shapes<K: Kind>(kind: &K, inputs: Vec<(&str, Port)>) -> Result<Vec<Port>, PortFault> {
    Ok(Entry::batch::<K>().ports(kind, &inputs_of(inputs))?.into_iter().flatten().collect())
}

/// The same of a model.
pub fn model_shapes<K: ModelKind>(kind: &K, inputs: Vec<(&str, Port)>) -> Result<Vec<Port>, PortFault> {
    Ok(sketch(kind, &inputs_of(inputs))?.outputs.into_iter().flatten().collect())
}

/// A model's initial parameters and buffers.
pub fn initial<K: ModelKind>(kind: &K, inputs: Vec<(&str, Port)>) -> HashMap<String, Tensor> {
    drawn(parameters(kind, inputs))
}

/// Declared parameters and buffers as they start.
pub fn drawn(declared: Vec<Parameter>) -> HashMap<String, Tensor> {
    let tensor = |p: Parameter| {
        let mut rng = Key::initial(0, &p.name).rng();
        let mut value = || match p.init {
            Init::Constant(c) => c,
            Init::Uniform(bound) => rng.uniform(-bound, bound),
            Init::Normal(deviation) => deviation * rng.normal(),
            Init::UnitLength => panic!("{}: no parameter starts like a queue", p.name),
        };
        let values: Vec<f32> = (0..p.shape.iter().product()).map(|_| value() as f32).collect();
        let shape: Vec<i64> = p.shape.iter().map(|n| *n as i64).collect();
        (p.name, Tensor::from_slice(&values).reshape(shape).set_requires_grad(p.role.trained()))
    };
    declared.into_iter().map(tensor).collect()
}

/// The weights below a path of a state dict.
pub fn below(path: &str, weights: &HashMap<String, Tensor>) -> HashMap<String, Tensor> {
    let strip = |name: &String| name.strip_prefix(path).and_then(|n| n.strip_prefix('.')).map(String::from);
    weights.iter().filter_map(|(name, t)| Some((strip(name)?, t.shallow_clone()))).collect()
}

fn value_port(value: &host::Value) -> Port {
    let shape = value.extent().shape.into_iter().map(Dim::Known);
    match value {
        host::Value::Video(_) => Port::video(shape),
        host::Value::Clips(_) => Port::bytes(shape),
        host::Value::Float(_) => Port::float(shape),
        host::Value::Index(_) => Port::index(shape),
    }
}

fn call_host(entry: &Entry, kind: &dyn Any, id: u64, inputs: &[(&str, host::Value)]) -> Result<HashMap<&'static str, host::Value>> {
    let ports = inputs.iter().map(|(name, value)| (name.to_string(), value_port(value))).collect();
    let shapes: Option<Vec<Vec<usize>>> = draw_shapes(entry, kind, ports).into_iter().collect();
    let (slots, draws) = arranged(entry, inputs.to_vec())?;
    let (sample, pass) = (Sample::new(&id.to_string()), pass());
    let shapes = shapes.unwrap_or_default();
    let call = SampleCall { node: "node", pass: &pass, sample: &sample, item: 0, source: None, inputs: slots, draws, shapes: &shapes };
    let run = entry.sample.ok_or_else(|| anyhow!("{} does not run on the host", entry.name))?;
    let outputs = run(kind, call)?;
    Ok(entry.outputs.iter().zip(outputs).filter_map(|(field, value)| Some((field.name, value?))).collect())
}

/// Runs a node of the host for the sample of that id.
pub fn run_host<K: SampleKind>(kind: &K, id: u64, inputs: &[(&'static str, host::Value)]) -> HashMap<&'static str, host::Value> {
    call_host(&Entry::sample::<K>(), kind, id, inputs).unwrap_or_else(|e| panic!("{e:#}"))
}

/// The draws of a node that only draws, on the host.
pub fn draw_host<K: Kind>(kind: &K, id: u64) -> HashMap<&'static str, host::Value> {
    call_host(&Entry::draw::<K>(), kind, id, &[]).unwrap_or_else(|e| panic!("{e:#}"))
}

/// The numbers of an index on the host.
pub fn host_index(value: &host::Value) -> Vec<i64> {
    match value {
        host::Value::Index(a) => a.data.to_vec(),
        other => panic!("{other:?} is no index"),
    }
}

/// A clip `[T, H, W, 3]` as a value of the host.
pub fn host_clip(pixels: Array<u8>) -> host::Value {
    host::Value::Clips(Clip::of_pixels(pixels).unwrap_or_else(|e| panic!("{e:#}")).into())
}

/// The pixels of clips of the host, `[items..., T, H, W, 3]`.
pub fn host_pixels(value: &host::Value) -> Array<u8> {
    match value {
        host::Value::Clips(clips) => clips.pixels().unwrap_or_else(|e| panic!("{e:#}")),
        other => panic!("{other:?} is no clip"),
    }
}

/// A clip of the host as one row of the device.
pub fn clip_tensor(clip: &Array<u8>) -> Tensor {
    let shape: Vec<i64> = clip.shape.iter().map(|n| *n as i64).collect();
    Tensor::from_slice(&clip.data).reshape(shape).permute([3, 0, 1, 2]).unsqueeze(0)
}

/// The other way.
pub fn clip_array(row: &Tensor) -> Array<u8> {
    let last = row.permute([1, 2, 3, 0]);
    let shape = last.size().iter().map(|n| *n as usize).collect();
    Array::new(shape, Vec::try_from(last.contiguous().flatten(0, -1)).unwrap_or_else(|e| panic!("{e}")))
}
