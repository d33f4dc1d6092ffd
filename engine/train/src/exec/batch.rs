//! What a node of the batch plane reads and writes, and how kinds say that they run there.

use crate::state::weights::Weights;
use anyhow::{anyhow, bail, Result};
use dv_graph::draw::{Key, Pass, Rng, Sample};
use dv_graph::kind::{Entry, Kind, ModelDeclaration, RegisterDeclaration};
use std::any::Any;
use std::collections::HashMap;
use tch::{Device, Kind as Dtype, Tensor};

/// A kind that runs on the device: on a batch (rates sample and batch), or once (rate stage).
pub trait BatchKind: Kind {
    fn run(&self, io: &mut BatchIo) -> Result<()>;
}

/// A kind of model. `forward` may be applied at several nodes; parameters come by PyTorch's names.
pub trait ModelKind: ModelDeclaration {
    fn forward(&self, weights: &Weights, io: &mut BatchIo) -> Result<()>;
}

/// A kind of register. All its methods run without gradient but `read`, and change the state in place.
pub trait RegisterKind: RegisterDeclaration {
    /// Shows the state of before the step.
    fn read(&self, state: &State, io: &mut BatchIo) -> Result<()>;
    /// Takes what stands at the `initial` edges, once, before the first `read`.
    fn start(&self, _state: &State, _io: &BatchIo) -> Result<()> {
        Ok(())
    }
    /// Takes what stands at the `write` edges, when the step is over: the whole batch in sample order.
    fn write(&self, state: &State, io: &BatchIo) -> Result<()>;
}

/// A register's tensors by the names that it declared.
pub struct State<'a>(pub(crate) &'a HashMap<String, Tensor>);

impl<'a> State<'a> {
    /// For the executor and for tests of single kinds.
    pub fn of(tensors: &'a HashMap<String, Tensor>) -> State<'a> {
        State(tensors)
    }
    /// Shares the state's storage.
    pub fn get(&self, name: &str) -> Tensor {
        self.0.get(name).unwrap_or_else(|| panic!("the register declared no tensor `{name}`")).shallow_clone()
    }
}

/// Rows of a whole stage, each of a sample, in the source's order. Tables are joined by sample, never by position.
#[derive(Debug)]
pub struct Table {
    pub samples: Vec<Sample>,
    /// `[N, ...]`
    pub rows: Tensor,
    /// `[N]` int64, where labels were collected.
    pub label: Option<Tensor>,
    /// Where the rows hold positions in another table: the samples there.
    pub of: Option<Vec<Sample>>,
}

impl Table {
    pub fn new(samples: Vec<Sample>, rows: Tensor, label: Option<Tensor>) -> Table {
        Table { samples, rows, label, of: None }
    }
    pub fn len(&self) -> usize {
        self.samples.len()
    }
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }
    pub fn shallow_clone(&self) -> Table {
        Table {
            samples: self.samples.clone(),
            rows: self.rows.shallow_clone(),
            label: self.label.as_ref().map(Tensor::shallow_clone),
            of: self.of.clone(),
        }
    }
    /// Parts of one table, in order.
    pub fn concatenate(parts: &[Table]) -> Result<Table> {
        let Some(first) = parts.first() else { bail!("a table without rows") };
        let rows = Tensor::cat(&parts.iter().map(|p| &p.rows).collect::<Vec<_>>(), 0);
        let label = match &first.label {
            None => None,
            Some(_) => {
                let labels: Vec<&Tensor> = parts.iter().filter_map(|p| p.label.as_ref()).collect();
                Some(Tensor::cat(&labels, 0))
            }
        };
        Ok(Table { samples: parts.iter().flat_map(|p| p.samples.iter().cloned()).collect(), rows, label, of: first.of.clone() })
    }
}

#[derive(Debug)]
pub enum Value {
    Tensor(Tensor),
    Table(Table),
}

impl Value {
    pub fn shallow_clone(&self) -> Value {
        match self {
            Value::Tensor(t) => Value::Tensor(t.shallow_clone()),
            Value::Table(t) => Value::Table(t.shallow_clone()),
        }
    }
    pub fn tensor(&self) -> Option<&Tensor> {
        match self {
            Value::Tensor(t) => Some(t),
            Value::Table(_) => None,
        }
    }
}

/// One row of a batch: a sample, and the item where item axes were folded into the rows (0 without).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub sample: Sample,
    pub item: usize,
}

/// What a node of the batch plane sees. Row inputs are `[rows, ...]`; folded item axes are part of the rows.
pub struct BatchIo<'a> {
    pub(crate) node: &'a str,
    pub(crate) pass: &'a Pass,
    pub(crate) step: u64,
    pub(crate) rows: &'a [Row],
    /// Equal parts that the mathematics sees the global batch as.
    pub(crate) world: usize,
    pub(crate) device: Device,
    pub(crate) inputs: Vec<(String, Value)>,
    /// Of index inputs, how many values there are.
    pub(crate) ranges: Vec<(String, usize)>,
    /// Names of the item axes that inputs have between the batch and the shape, where the kind keeps them.
    pub(crate) axes: Vec<(String, Vec<String>)>,
    /// Outputs that somebody reads; `None`: all.
    pub(crate) wanted: Option<Vec<&'static str>>,
    pub(crate) outputs: HashMap<&'static str, Value>,
}

impl<'a> BatchIo<'a> {
    /// Its inputs for an error: `clips [4, 3, 8, 32, 32] Float`.
    pub(crate) fn shapes(&self) -> String {
        let one = |(name, value): &(String, Value)| match value {
            Value::Tensor(t) => format!("{name} {:?} {:?}", t.size(), t.kind()),
            Value::Table(t) => format!("{name}, a table of {} rows", t.len()),
        };
        match self.inputs.is_empty() {
            true => "without inputs".to_owned(),
            false => format!("with {}", self.inputs.iter().map(one).collect::<Vec<_>>().join(", ")),
        }
    }
    /// For the executor and for tests of single nodes.
    pub fn new(
        node: &'a str,
        pass: &'a Pass,
        step: u64,
        rows: &'a [Row],
        world: usize,
        device: Device,
        inputs: Vec<(String, Value)>,
    ) -> BatchIo<'a> {
        BatchIo {
            node,
            pass,
            step,
            rows,
            world,
            device,
            inputs,
            ranges: Vec::new(),
            axes: Vec::new(),
            wanted: None,
            outputs: HashMap::new(),
        }
    }
    /// How many values the index inputs can take.
    pub fn with_ranges(self, ranges: Vec<(String, usize)>) -> BatchIo<'a> {
        BatchIo { ranges, ..self }
    }
    /// The item axes of inputs, for a kind that keeps them.
    pub fn with_axes(self, axes: Vec<(String, Vec<String>)>) -> BatchIo<'a> {
        BatchIo { axes, ..self }
    }
    /// Names of an input's item axes, in order, where the kind keeps them.
    pub fn axes(&self, name: &str) -> &[String] {
        self.axes.iter().find(|(n, _)| n == name).map_or(&[], |(_, axes)| axes)
    }
    /// The outputs that somebody reads.
    pub fn with_wanted(self, wanted: Vec<&'static str>) -> BatchIo<'a> {
        BatchIo { wanted: Some(wanted), ..self }
    }
    /// Whether anybody reads an output: one that is large need not be made otherwise.
    pub fn wants(&self, name: &str) -> bool {
        self.wanted.as_ref().is_none_or(|wanted| wanted.contains(&name))
    }
    /// How many values an index input can take: they lie in `0..range`.
    pub fn range(&self, name: &str) -> Result<usize> {
        let found = self.ranges.iter().find(|(n, _)| n == name).map(|(_, r)| *r);
        found.ok_or_else(|| anyhow!("{}: the number of values of the index at `{name}` is known only with the data (--data)", self.node))
    }
    pub fn rows(&self) -> &'a [Row] {
        self.rows
    }
    pub fn world(&self) -> usize {
        self.world
    }
    pub fn device(&self) -> Device {
        self.device
    }
    fn value(&self, name: &str) -> Option<&Value> {
        self.inputs.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }
    /// A tensor input, sharing its storage.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        self.optional(name).ok_or_else(|| anyhow!("{}: no tensor at input `{name}`", self.node))
    }
    pub fn optional(&self, name: &str) -> Option<Tensor> {
        self.value(name).and_then(Value::tensor).map(Tensor::shallow_clone)
    }
    pub fn table(&self, name: &str) -> Result<Table> {
        match self.value(name) {
            Some(Value::Table(t)) => Ok(t.shallow_clone()),
            _ => bail!("{}: no table at input `{name}`", self.node),
        }
    }
    /// All tensor inputs under the graph's names, in the graph's order.
    pub fn tensors(&self) -> Vec<(String, Tensor)> {
        self.inputs.iter().filter_map(|(n, v)| Some((n.clone(), v.tensor()?.shallow_clone()))).collect()
    }
    pub fn put(&mut self, name: &'static str, value: Tensor) {
        self.outputs.insert(name, Value::Tensor(value));
    }
    pub fn put_table(&mut self, name: &'static str, table: Table) {
        self.outputs.insert(name, Value::Table(table));
    }
    /// Draws for each row, `[rows, shape...]` int64: reused when an edge or a feed brings them, else drawn here;
    /// shown on the output of that name.
    pub fn draw_index(&mut self, name: &'static str, shape: &[i64], mut draw: impl FnMut(&mut Rng, usize) -> Vec<i64>) -> Result<Tensor> {
        let value = match self.optional(name) {
            Some(t) => t.to_kind(Dtype::Int64),
            None => {
                let flat: Vec<i64> = self.row_rngs(name).flat_map(|(i, mut rng)| draw(&mut rng, i)).collect();
                Tensor::from_slice(&flat).reshape([&[self.rows.len() as i64], shape].concat()).to_device(self.device)
            }
        };
        self.put(name, value.shallow_clone());
        Ok(value)
    }
    /// The same for floats, `[rows, shape...]` float32.
    pub fn draw_float(&mut self, name: &'static str, shape: &[i64], mut draw: impl FnMut(&mut Rng, usize) -> Vec<f32>) -> Result<Tensor> {
        let value = match self.optional(name) {
            Some(t) => t.to_kind(Dtype::Float),
            None => {
                let flat: Vec<f32> = self.row_rngs(name).flat_map(|(i, mut rng)| draw(&mut rng, i)).collect();
                Tensor::from_slice(&flat).reshape([&[self.rows.len() as i64], shape].concat()).to_device(self.device)
            }
        };
        self.put(name, value.shallow_clone());
        Ok(value)
    }
    fn row_rngs(&self, draw: &'static str) -> impl Iterator<Item = (usize, Rng)> + 'a {
        let (pass, node) = (self.pass, self.node);
        self.rows.iter().enumerate().map(move |(i, row)| (i, Key::sample(pass, &row.sample, row.item, node, draw).rng()))
    }
    /// Numbers for the batch as a whole, for the draw of that name.
    pub fn batch_rng(&self, draw: &str) -> Rng {
        Key::batch(self.pass, self.step, self.node, draw).rng()
    }
    pub fn finish(self) -> HashMap<&'static str, Value> {
        self.outputs
    }
}

type RunBatch = fn(&dyn Any, &mut BatchIo) -> Result<()>;
type RunModel = fn(&dyn Any, &Weights, &mut BatchIo) -> Result<()>;
type Read = fn(&dyn Any, &State, &mut BatchIo) -> Result<()>;
type Write = fn(&dyn Any, &State, &BatchIo) -> Result<()>;

/// How a register runs.
#[derive(Clone, Copy)]
pub struct RunRegister {
    pub read: Read,
    pub start: Write,
    pub write: Write,
}

/// How a kind runs on the device.
#[derive(Clone, Copy)]
pub enum Run {
    /// On the host only.
    Host,
    Batch(RunBatch),
    Model(RunModel),
    Register(RunRegister),
}

/// One line of a family's static list.
pub struct NodeEntry {
    pub graph: Entry,
    pub run: Run,
}

fn down<K: 'static>(any: &dyn Any) -> &K {
    any.downcast_ref().expect("an entry is used with the kind that it built")
}

impl NodeEntry {
    /// A node of the host.
    pub const fn sample<K: dv_graph::host::SampleKind>() -> NodeEntry {
        NodeEntry { graph: Entry::sample::<K>(), run: Run::Host }
    }
    /// A node of the device.
    pub const fn batch<K: BatchKind>() -> NodeEntry {
        NodeEntry { graph: Entry::batch::<K>(), run: Run::Batch(|any, io| down::<K>(any).run(io)) }
    }
    /// A node that can run on either.
    pub const fn both<K: dv_graph::host::SampleKind + BatchKind>() -> NodeEntry {
        NodeEntry { graph: Entry::both::<K>(), run: Run::Batch(|any, io| BatchKind::run(down::<K>(any), io)) }
    }
    pub const fn register<K: RegisterKind>() -> NodeEntry {
        let run = RunRegister {
            read: |any, state, io| down::<K>(any).read(state, io),
            start: |any, state, io| down::<K>(any).start(state, io),
            write: |any, state, io| down::<K>(any).write(state, io),
        };
        NodeEntry { graph: Entry::register::<K>(), run: Run::Register(run) }
    }
    pub const fn model<K: ModelKind>() -> NodeEntry {
        NodeEntry { graph: Entry::model::<K>(), run: Run::Model(|any, weights, io| down::<K>(any).forward(weights, io)) }
    }
}
