//! Running single nodes in tests.

use anyhow::Result;
use dv_graph::draw::{Key, Pass, Sample};
use dv_graph::fault::Faults;
use dv_graph::host::{self, Array, SampleIo, SampleKind};
use dv_graph::kind::{Init, Inputs, Kind, ModelDeclaration, RegisterDeclaration};
use dv_graph::plan::Register;
use dv_graph::port::Port;
use dv_graph::settings::{self, SettingFaults};
use dv_graph::source::{At, Sources};
use dv_graph::tree;
use dv_train::exec::batch::{BatchIo, BatchKind, ModelKind, RegisterKind, Row, State, Table, Value};
use dv_train::state::store::{Lengths, RegisterState};
use dv_train::state::weights::Weights;
use std::collections::HashMap;
use tch::{Device, Tensor};

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
    kind.unwrap()
}

/// The faults of settings.
pub fn faults<K: Kind>(toml: &str) -> Faults {
    build::<K>(toml).1
}

pub struct Outputs(HashMap<&'static str, Value>);

impl Outputs {
    pub fn tensor(&self, name: &str) -> &Tensor {
        self.0[name].tensor().unwrap()
    }
    pub fn take(&mut self, name: &str) -> Tensor {
        self.tensor(name).shallow_clone()
    }
    pub fn table(&self, name: &str) -> &Table {
        match &self.0[name] {
            Value::Table(t) => t,
            Value::Tensor(_) => panic!("`{name}` is a tensor"),
        }
    }
}

fn pass() -> Pass {
    Pass { seed: 1, stage: "test".into(), epoch: 0 }
}

fn io<R>(rows: usize, world: usize, inputs: Vec<(&str, Value)>, run: impl FnOnce(&mut BatchIo) -> Result<R>) -> Result<Outputs> {
    let rows: Vec<Row> = Sample::numbered(rows).into_iter().map(|sample| Row { sample, item: 0 }).collect();
    let pass = pass();
    let inputs = inputs.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
    let mut io = BatchIo::new("node", &pass, 0, &rows, world, Device::Cpu, inputs);
    run(&mut io)?;
    Ok(Outputs(io.finish()))
}

fn values(inputs: Vec<(&str, Tensor)>) -> Vec<(&str, Value)> {
    inputs.into_iter().map(|(name, t)| (name, Value::Tensor(t))).collect()
}

/// Runs a node of the device on so many rows, of the samples `0`, `1`, ...
pub fn run<K: BatchKind>(kind: &K, rows: usize, inputs: Vec<(&str, Tensor)>) -> Outputs {
    run_world(kind, rows, 1, inputs)
}

pub fn run_world<K: BatchKind>(kind: &K, rows: usize, world: usize, inputs: Vec<(&str, Tensor)>) -> Outputs {
    run_values(kind, rows, world, values(inputs)).unwrap()
}

pub fn run_values<K: BatchKind>(kind: &K, rows: usize, world: usize, inputs: Vec<(&str, Value)>) -> Result<Outputs> {
    io(rows, world, inputs, |io| BatchKind::run(kind, io))
}

/// The same for a kind that keeps item axes: the names of those of its first input.
pub fn run_items<K: BatchKind>(kind: &K, rows: usize, inputs: Vec<(&str, Tensor)>, axes: &[&str]) -> Outputs {
    let axes = vec![(inputs[0].0.to_string(), axes.iter().map(|a| a.to_string()).collect())];
    let rows: Vec<Row> = Sample::numbered(rows).into_iter().map(|sample| Row { sample, item: 0 }).collect();
    let pass = pass();
    let inputs = values(inputs).into_iter().map(|(name, value)| (name.to_string(), value)).collect();
    let mut io = BatchIo::new("node", &pass, 0, &rows, 1, Device::Cpu, inputs).with_axes(axes);
    BatchKind::run(kind, &mut io).unwrap();
    Outputs(io.finish())
}

/// The same with how many values index inputs can take.
pub fn run_ranged<K: BatchKind>(kind: &K, rows: usize, inputs: Vec<(&str, Tensor)>, ranges: Vec<(&str, usize)>) -> Outputs {
    let ranges = ranges.into_iter().map(|(n, r)| (n.to_string(), r)).collect();
    let rows: Vec<Row> = Sample::numbered(rows).into_iter().map(|sample| Row { sample, item: 0 }).collect();
    let pass = pass();
    let inputs = values(inputs).into_iter().map(|(name, value)| (name.to_string(), value)).collect();
    let mut io = BatchIo::new("node", &pass, 0, &rows, 1, Device::Cpu, inputs).with_ranges(ranges);
    BatchKind::run(kind, &mut io).unwrap();
    Outputs(io.finish())
}

/// A register's tensors as they start, given what is written to it.
pub fn state<K: RegisterDeclaration>(kind: &K, written: Vec<(&str, Port)>) -> HashMap<String, Tensor> {
    let inputs = Inputs::new(vec![]).with_written(written.into_iter().map(|(n, p)| (n.to_string(), p)).collect());
    let register = Register { state: kind.state(&inputs), names: vec![], writes: vec![], initial: vec![] };
    RegisterState::initial("node", &register, 1, &Lengths::new(), Device::Cpu).unwrap().tensors
}

pub fn write<K: RegisterKind>(kind: &K, state: &HashMap<String, Tensor>, rows: usize, inputs: Vec<(&str, Tensor)>) -> Result<()> {
    io(rows, 1, values(inputs), |io| kind.write(&State::of(state), io)).map(drop)
}

pub fn read<K: RegisterKind>(kind: &K, state: &HashMap<String, Tensor>, rows: usize) -> Outputs {
    io(rows, 1, vec![], |io| kind.read(&State::of(state), io)).unwrap()
}

/// One application of a model.
pub fn forward<K: ModelKind>(kind: &K, weights: &HashMap<String, Tensor>, training: bool, inputs: Vec<(&str, Tensor)>) -> Outputs {
    io(inputs[0].1.size()[0] as usize, 1, values(inputs), |io| kind.forward(&Weights::new("model", weights, training), io)).unwrap()
}

/// A model's initial parameters and buffers.
pub fn initial<K: ModelDeclaration>(kind: &K, inputs: Vec<(&str, Port)>) -> HashMap<String, Tensor> {
    let inputs = Inputs::new(inputs.into_iter().map(|(n, p)| (n.to_string(), p)).collect());
    let tensor = |p: dv_graph::kind::Parameter| {
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
    kind.parameters(&inputs).into_iter().map(tensor).collect()
}

/// The weights below a path of a state dict.
pub fn below(path: &str, weights: &HashMap<String, Tensor>) -> HashMap<String, Tensor> {
    let strip = |name: &String| name.strip_prefix(path).and_then(|n| n.strip_prefix('.')).map(String::from);
    weights.iter().filter_map(|(name, t)| Some((strip(name)?, t.shallow_clone()))).collect()
}

/// Runs a node of the host for the sample of that id.
pub fn run_host<K: SampleKind>(kind: &K, id: u64, inputs: &[(&'static str, host::Value)]) -> HashMap<&'static str, host::Value> {
    let inputs: HashMap<&str, host::Value> = inputs.iter().cloned().collect();
    let pass = pass();
    let sample = Sample::new(&id.to_string());
    let mut io = SampleIo::new("node", &pass, &sample, &inputs);
    SampleKind::run(kind, &mut io).unwrap();
    io.finish()
}

pub fn host_index(value: &host::Value) -> Vec<i64> {
    match value {
        host::Value::Index(a) => a.data.to_vec(),
        other => panic!("{other:?} is no index"),
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
    Array::new(shape, Vec::try_from(last.contiguous().flatten(0, -1)).unwrap())
}
