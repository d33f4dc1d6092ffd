//! How kinds compute on the device, and the list of entries that graphs use.

pub use super::value::{Batch, Draw, Drawn, ItemAxes, Never, Rows, Table, Value};
use super::view;
use crate::net::{Custom, Forward};
use crate::state::weights::Weights;
use anyhow::{anyhow, ensure, Result};
use dv_graph::draw::{Key, Pass, Rng};
use dv_graph::host::{drawn, made, Make, SampleKind, SourceKind, ViewKind};
use dv_graph::kind::{sketched, Declaration, Entry, Inputs, Kind, PortFault, RegisterDeclaration, Sketched};
use dv_graph::port::Rate;
use dv_graph::ports::{slots, struct_of, Asked, Extent, Field, Numbers, Ports, Row, Slot};
use std::any::Any;
use std::collections::HashMap;
use tch::{Device, Tensor};

/// A kind that runs on the device: on a batch (rates sample and batch), or once (rate stage).
pub trait BatchKind: Kind {
    fn run(&self, inputs: Self::In<Batch>, cx: &Cx<Self>) -> Result<Self::Out<Batch>>;
}

/// A kind of model. It may be applied at several nodes.
pub trait ModelKind: Kind {
    /// Its network, described once: parameters, initial values, shapes, cost and the values themselves are read from it.
    fn network<N: Custom>(&self, net: &mut N, inputs: Self::In<N::Plane>, draws: Self::Draws<N::Plane>) -> Self::Out<N::Plane>;
}

/// What is known of a model before it runs.
pub fn sketch<K: ModelKind>(kind: &K, inputs: &Inputs) -> Result<Sketched, PortFault> {
    sketched(kind, inputs, |net, inputs, draws| kind.network(net, inputs, draws))
}

/// A kind of register. All its methods run without gradient but `read`, and change the state in place: its tensors share the storage.
pub trait RegisterKind: RegisterDeclaration {
    /// Shows the state of before the step.
    fn read(&self, kept: Self::Kept<Batch>) -> Result<Self::Out<Batch>>;
    /// Takes what stands at the `initial` edges, once, before the first `read`.
    fn start(&self, _kept: Self::Kept<Batch>, _initial: Self::Initial<Batch>) -> Result<()> {
        Ok(())
    }
    /// Takes what stands at the `write` edges, when the step is over: the whole batch in sample order.
    fn write(&self, kept: Self::Kept<Batch>, written: Self::Writes<Batch>) -> Result<()>;
}

impl<K: ViewKind> BatchKind for K {
    fn run(&self, inputs: K::In<Batch>, cx: &Cx<K>) -> Result<K::Out<Batch>> {
        let Some(Slot::One(Value::Tensor(clips))) = slots(inputs).into_iter().next() else { return Err(anyhow!("no clips came")) };
        let [rows, time, height, width] = view::size(&clips)?.map(|n| n as usize);
        ensure!(rows == cx.rows().len(), "{rows} clips for {} rows", cx.rows().len());
        let transforms =
            cx.draw_rows()?.into_iter().map(|draws| self.transform(draws, [time, height, width])).collect::<Result<Vec<_>>>()?;
        let clips = view::transformed(&clips, &transforms)?;
        Ok(struct_of(vec![Slot::One(Value::Tensor(clips))])?)
    }
}

/// What a node of the batch plane sees besides its inputs.
pub struct Cx<'a, K: Declaration> {
    /// The draws of all rows.
    pub draws: K::Draws<Drawn>,
    /// Which outputs something reads: one that is large need not be made otherwise.
    pub wanted: K::Out<Asked>,
    /// Of a kind that keeps item axes, their names.
    pub axes: K::In<ItemAxes>,
    call: &'a Call<'a>,
    cells: Vec<Draw>,
}

impl<'a, K: Declaration> Cx<'a, K> {
    /// The samples behind the rows.
    pub fn rows(&self) -> Rows<'a> {
        self.call.rows
    }
    /// Equal parts that the mathematics sees the global batch as.
    pub fn world(&self) -> usize {
        self.call.world
    }
    pub fn device(&self) -> Device {
        self.call.device
    }
    /// Whether a model runs with batch statistics and dropout.
    pub fn training(&self) -> bool {
        self.call.training
    }
    /// The draws of each row, as numbers. Asks the device only for draws that were fed.
    pub fn draw_rows(&self) -> Result<Vec<K::Draws<Row>>> {
        let rows = self.call.rows.len();
        (0..rows).map(|row| row_of::<K>(&self.cells, row, rows)).collect()
    }
    /// Numbers for the batch or the stage as a whole, that no output shows.
    pub fn rng(&self, name: &str) -> Rng {
        self.call.batch_rng(name)
    }
}

fn row_of<K: Declaration>(cells: &[Draw], row: usize, rows: usize) -> Result<K::Draws<Row>> {
    let numbers = cells.iter().map(|draw| Ok(Slot::One(draw.row(row, rows)?))).collect::<Result<_>>()?;
    Ok(struct_of(numbers)?)
}

/// What a node of the device is run with, before it has its kind's types.
pub struct Call<'a> {
    pub node: &'a str,
    pub pass: &'a Pass,
    pub step: u64,
    pub rows: Rows<'a>,
    pub world: usize,
    pub device: Device,
    pub training: bool,
    /// In the order of the kind's inputs.
    pub inputs: &'a [Slot<Value>],
    /// In the order of its draws: those that edges or feeds bring.
    pub draws: &'a [Option<Tensor>],
    /// The shapes of its draws, where they are known.
    pub shapes: &'a [Option<Vec<usize>>],
    /// How many values each index input can have, where that is known.
    pub ranges: &'a [Option<usize>],
    /// Names of the item axes of each input.
    pub axes: &'a [Vec<String>],
    /// Which of its outputs something reads; empty: all.
    pub wanted: &'a [bool],
}

/// Outputs, then draws, in the order in which the kind declares them.
pub type Outputs = Vec<Option<Value>>;

fn cloned(slot: &Slot<Value>) -> Slot<Value> {
    match slot {
        Slot::Empty => Slot::Empty,
        Slot::One(value) => Slot::One(value.shallow_clone()),
        Slot::Many(list) => Slot::Many(list.iter().map(|(name, value)| (name.clone(), value.shallow_clone())).collect()),
    }
}

impl Call<'_> {
    fn batch_rng(&self, draw: &str) -> Rng {
        Key::batch(self.pass, self.step, self.node, draw).rng()
    }
    fn typed<S: Ports<Batch>>(&self) -> Result<S> {
        Ok(struct_of(self.inputs())?)
    }
    /// Of one row; with `whole` of the batch.
    fn extents(&self, whole: bool) -> Vec<Slot<Extent>> {
        let of = |value: &Value, range: Option<usize>| {
            let size = value.tensor().map(Tensor::size).unwrap_or_default();
            let from = usize::from(!whole && !size.is_empty());
            Extent { shape: size[from..].iter().map(|n| *n as usize).collect(), range }
        };
        let slots = self.inputs.iter().enumerate().map(|(i, slot)| match slot {
            Slot::Empty => Slot::Empty,
            Slot::One(value) => Slot::One(of(value, self.ranges.get(i).copied().flatten())),
            Slot::Many(list) => Slot::Many(list.iter().map(|(name, value)| (name.clone(), of(value, None))).collect()),
        });
        slots.collect()
    }
    /// The draws of all rows: those that are given, and the others from their own generators.
    fn cells<K: Kind>(&self, kind: &K) -> Result<Vec<Draw>> {
        match <K::Draws<Row> as Ports<Row>>::FIELDS {
            [] => Ok(Vec::new()),
            fields => self.untyped(fields, K::RATE == Rate::Batch, &|dice, seen| made(kind, dice, seen, self.training)),
        }
    }
    /// The same for all kinds; compiled once.
    fn untyped(&self, fields: &'static [Field], of_batch: bool, make: &Make) -> Result<Vec<Draw>> {
        let given = |i: usize| self.draws.get(i).and_then(Option::as_ref);
        let rows = self.rows.len();
        let none = || fields.iter().map(|_| None).collect::<Vec<Option<Numbers>>>();
        let mut made = none();
        if (0..fields.len()).any(|i| given(i).is_none()) {
            if of_batch {
                let all = drawn(fields, none(), self.extents(true), &|draw| self.batch_rng(draw), make)?;
                made = all.into_iter().map(Some).collect();
            } else {
                for row in 0..rows {
                    let (sample, item) = (self.rows.sample(row), self.rows.item(row));
                    let rng = |draw: &str| Key::sample(self.pass, sample, item, self.node, draw).rng();
                    let own = drawn(fields, none(), self.extents(false), &rng, make)?;
                    for (all, own) in made.iter_mut().zip(own) {
                        match (all, own) {
                            (Some(Numbers::Float(all)), Numbers::Float(own)) => all.extend(own),
                            (Some(Numbers::Index(all)), Numbers::Index(own)) => all.extend(own),
                            (all, own) => *all = Some(own),
                        }
                    }
                }
            }
        }
        let one = |(i, (field, made)): (usize, (&Field, Option<Numbers>))| match (given(i), made) {
            (Some(given), _) if field.types()[0] == dv_graph::port::Type::Index => Ok(Draw::given(given.to_kind(tch::Kind::Int64))),
            (Some(given), _) => Ok(Draw::given(given.to_kind(tch::Kind::Float))),
            (None, Some(numbers)) => {
                let known = self.shapes.get(i).and_then(Option::as_deref);
                let scalar = field.shape.is_empty().then_some([].as_slice());
                Draw::made(numbers, rows, known.or(scalar), self.device)
            }
            (None, None) => Draw::made(Numbers::Index(Vec::new()), 0, Some(&[]), self.device),
        };
        fields.iter().zip(made).enumerate().map(one).collect()
    }
    /// Of each output, whether something reads it.
    fn asked(&self, count: usize) -> Vec<Slot<bool>> {
        (0..count).map(|i| Slot::One(self.wanted.get(i).copied().unwrap_or(true))).collect()
    }
    /// Of each input that came, the names of its item axes.
    fn item_axes(&self) -> Vec<Slot<Vec<String>>> {
        let axes = |(i, slot): (usize, &Slot<Value>)| match slot {
            Slot::One(_) => Slot::One(self.axes.get(i).cloned().unwrap_or_default()),
            Slot::Empty | Slot::Many(_) => Slot::Empty,
        };
        self.inputs.iter().enumerate().map(axes).collect()
    }
    fn inputs(&self) -> Vec<Slot<Value>> {
        self.inputs.iter().map(cloned).collect()
    }
    fn cx<'a, K: Kind>(&'a self, kind: &K) -> Result<Cx<'a, K>> {
        let cells = self.cells(kind)?;
        let draws = struct_of::<Drawn, K::Draws<Drawn>>(cells.iter().map(|draw| Slot::One(draw.shallow_clone())).collect())?;
        let wanted = struct_of(self.asked(<K::Out<Asked> as Ports<Asked>>::FIELDS.len()))?;
        let axes = struct_of(self.item_axes())?;
        Ok(Cx { draws, wanted, axes, call: self, cells })
    }
    /// Its inputs for an error: `with clips [4, 3, 8, 32, 32] Float`.
    pub(crate) fn text(&self, fields: &[Field]) -> String {
        let mut list = Vec::new();
        for (field, slot) in fields.iter().zip(self.inputs) {
            match slot {
                Slot::Empty => {}
                Slot::One(value) => list.push(format!("{} {}", field.name, value.text())),
                Slot::Many(many) => list.extend(many.iter().map(|(name, value)| format!("{name} {}", value.text()))),
            }
        }
        match list.is_empty() {
            true => "without inputs".to_owned(),
            false => format!("with {}", list.join(", ")),
        }
    }
}

fn outputs(out: Vec<Slot<Value>>, cells: Vec<Draw>) -> Outputs {
    let list = out.into_iter().map(Slot::one);
    list.chain(cells.into_iter().map(|draw| Some(Value::Tensor(draw.tensor())))).collect()
}

fn run_batch<K: BatchKind>(kind: &K, call: &Call) -> Result<Outputs> {
    let cx = call.cx(kind)?;
    let out = kind.run(call.typed()?, &cx)?;
    Ok(outputs(slots(out), cx.cells))
}

fn run_model<K: ModelKind>(kind: &K, weights: &Weights, call: &Call) -> Result<Outputs> {
    let cells = call.cells(kind)?;
    let draws = struct_of::<Batch, K::Draws<Batch>>(cells.iter().map(|draw| Slot::One(Value::Tensor(draw.tensor()))).collect())?;
    let inputs = call.typed()?;
    let out = Forward::of(weights, |net| kind.network(net, inputs, draws))?;
    Ok(outputs(slots(out), cells))
}

/// A register's tensors by the names that it declares.
pub type Kept = HashMap<String, Tensor>;

fn kept<K: RegisterKind>(state: &Kept) -> Result<K::Kept<Batch>> {
    let slot = |field: &Field| state.get(field.name).map(|t| Value::Tensor(t.shallow_clone())).into();
    Ok(struct_of(<K::Kept<Batch> as Ports<Batch>>::FIELDS.iter().map(slot).collect())?)
}

type RunBatch = fn(&dyn Any, &Call) -> Result<Outputs>;
type RunModel = fn(&dyn Any, &Weights, &Call) -> Result<Outputs>;
type Read = fn(&dyn Any, &Kept) -> Result<Outputs>;
/// With what stands at the edges, in the order of the kind's `initial` or `write`.
type Write = fn(&dyn Any, &Kept, Vec<Slot<Value>>) -> Result<()>;

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
    pub const fn sample<K: SampleKind>() -> NodeEntry {
        NodeEntry { graph: Entry::sample::<K>(), run: Run::Host }
    }
    /// A node that reads videos.
    pub const fn source<K: SourceKind>() -> NodeEntry {
        NodeEntry { graph: Entry::source::<K>(), run: Run::Host }
    }
    /// A node of the device.
    pub const fn batch<K: BatchKind>() -> NodeEntry {
        NodeEntry { graph: Entry::batch::<K>(), run: Run::Batch(|any, call| run_batch(down::<K>(any), call)) }
    }
    /// A node that only draws, on either.
    pub const fn draw<K: Kind>() -> NodeEntry {
        let run = |any: &dyn Any, call: &Call| {
            let cells = call.cells(down::<K>(any))?;
            Ok(cells.into_iter().map(|draw| Some(Value::Tensor(draw.tensor()))).collect())
        };
        NodeEntry { graph: Entry::draw::<K>(), run: Run::Batch(run) }
    }
    /// A node that can run on either.
    pub const fn both<K: SampleKind + BatchKind>() -> NodeEntry {
        NodeEntry { graph: Entry::both::<K>(), run: Run::Batch(|any, call| run_batch(down::<K>(any), call)) }
    }
    pub const fn register<K: RegisterKind>() -> NodeEntry {
        let run = RunRegister {
            read: |any, state| Ok(outputs(slots(down::<K>(any).read(kept::<K>(state)?)?), Vec::new())),
            start: |any, state, given| down::<K>(any).start(kept::<K>(state)?, struct_of(given)?),
            write: |any, state, given| down::<K>(any).write(kept::<K>(state)?, struct_of(given)?),
        };
        NodeEntry { graph: Entry::register::<K>(), run: Run::Register(run) }
    }
    pub const fn model<K: ModelKind>() -> NodeEntry {
        let run = Run::Model(|any, weights, call| run_model(down::<K>(any), weights, call));
        NodeEntry { graph: Entry::model::<K>(|any, inputs| sketch(down::<K>(any), inputs)), run }
    }
}
