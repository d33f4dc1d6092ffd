//! What a kind of node or model declares about itself, and the library of kinds that a graph may name.
//!
//! A kind is one type: its settings (deserialised from the graph), its ports, its shape rule. How it computes is a
//! second trait: [`SampleKind`](crate::host::SampleKind), [`SourceKind`](crate::host::SourceKind) or
//! [`ViewKind`](crate::host::ViewKind) on the host, `BatchKind` and `ModelKind` in `dv-train`.

use crate::defect::ask;
use crate::fault::Faults;
pub use crate::given::{Inputs, Place, PortFault};
pub use crate::library::Library;
use crate::net::{Cost, Lengths, Shape, Sketch};
use crate::port::{Dim, Port, Rate, Type};
use crate::ports::{derived, joined, struct_of, Dice, Extents, Field, Late, Plane, Ports, Presence, Row, Shapes, Slot, States};
use crate::settings::{self, SettingFaults};
use crate::tree::Table;
use anyhow::{bail, Result};
use std::any::Any;
use std::marker::PhantomData;

/// What `#[kind]` says of a kind, from its attribute and the struct of its settings.
///
/// Settings are private fields and not serialised: rustc then warns about one that nobody reads. The doc comments of the type and of its
/// fields are the user's documentation.
pub trait Declaration: serde::de::DeserializeOwned + schemars::JsonSchema + Send + Sync + 'static {
    /// `family/name`, as a graph writes it.
    const NAME: &'static str;
    /// The paper and its equation or section, or `standard`.
    const SOURCE: &'static str;
    /// The least rate of the outputs: a loss is [`Rate::Batch`] whatever it reads.
    const RATE: Rate;
    /// What happens to item axes.
    const AXES: Axes;
    /// Whether gradients flow from the outputs to the inputs.
    const GRADIENT: bool;
    /// Whether it draws what no output shows (a bootstrap): its outcome depends on the seed.
    const SEEDED: bool;
    /// Whether each sample takes one of its inputs ([`Kind::pick`]). Inputs then count in the order of the file, else by their names.
    const CHOOSES: bool;
    type In<P: Plane>: Ports<P>;
    type Out<P: Plane>: Ports<P>;
    /// Random draws: outputs too, and optional inputs of the same names, which reuse one.
    type Draws<P: Plane>: Ports<P>;
    /// Of a register: what a step leaves in it (`write`).
    type Writes<P: Plane>: Ports<P>;
    /// Of a register: what it starts from in the first step (`initial`).
    type Initial<P: Plane>: Ports<P>;
    /// A setting that is a whole number, which the shapes of outputs may name.
    fn length(&self, setting: &str) -> Option<usize>;
}

/// What is known when draws are made.
pub struct Seen<K: Declaration> {
    /// The lengths of the inputs, of one sample; of a kind of rate batch with the batch before them.
    pub inputs: K::In<Extents>,
    /// Whether a model runs in training.
    pub training: bool,
}

/// What follows from the settings of a node, as far as its declaration does not say it.
pub trait Kind: Declaration {
    /// Faults of the settings beyond what their schema says: ranges are declared on the fields.
    fn check(&self, _faults: &mut SettingFaults) {}
    /// The shape rule. Rate and folded axes are the engine's. By default what the declared shapes say.
    fn ports(&self, inputs: Self::In<Shapes>) -> Result<Self::Out<Shapes>, PortFault> {
        derived(self, inputs)
    }
    /// The same for the draws.
    fn drawn(&self, inputs: Self::In<Shapes>) -> Result<Self::Draws<Shapes>, PortFault> {
        derived(self, inputs)
    }
    /// The draws of one sample (of one item, where item axes are folded), each from its own generator; of a kind of rate batch those of the
    /// batch. Not asked for where edges bring all of them.
    fn draw(&self, _dice: Self::Draws<Dice>, _seen: &Seen<Self>) -> Result<Self::Draws<Row>>
    where
        Self: Sized,
    {
        bail!("the kind `{}` declares draws, and does not make them", Self::NAME)
    }
    /// Inputs that the settings switch off with `false`.
    fn dropped(&self) -> Vec<String> {
        Vec::new()
    }
    /// For a node of which each sample takes one branch: the branch drawn, given the branches' names.
    fn pick(&self, _rng: &mut crate::draw::Rng, _branches: &[&str]) -> Option<usize> {
        None
    }
    /// For a source: what it reads.
    fn source(&self) -> Option<Source> {
        None
    }
    /// Of a register: the largest batch that can be written to it, and the setting that says so.
    fn batch_at_most(&self) -> Option<(&'static str, usize)> {
        None
    }
    /// The fewest rows that a table at an input must have, and the setting that asks for them.
    fn rows_needed(&self) -> Option<RowsNeeded> {
        None
    }
    /// How many frames are left of a video of so many; `None` where that does not depend on its length.
    fn frames_left(&self, _frames: usize) -> Option<usize> {
        None
    }
    /// From the first to the last frame of a clip, in frames of the video; `None` of what takes no clips.
    fn clip_span(&self) -> Option<usize> {
        None
    }
    /// Two inputs whose tables should be of different videos: what is searched, and what is searched for.
    fn apart(&self) -> Option<[&'static str; 2]> {
        None
    }
}

/// How many rows a table must have at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowsNeeded {
    pub input: &'static str,
    pub setting: &'static str,
    pub rows: usize,
}

/// What is known of a model before it runs.
pub struct Sketched {
    /// In PyTorch's names and order.
    pub parameters: Vec<Parameter>,
    /// What each row costs.
    pub cost: Cost,
    /// Outputs, then draws.
    pub outputs: Vec<Option<Port>>,
}

/// A model's network read for its inputs and draws: parameters, shapes, cost. Errors: a length that only the data knows, a layer that does
/// not fit.
pub fn sketched<K: Kind>(
    kind: &K,
    inputs: &Inputs,
    network: impl FnOnce(&mut Sketch, K::In<Lengths>, K::Draws<Lengths>) -> K::Out<Lengths>,
) -> Result<Sketched, PortFault> {
    let draws: Vec<Option<Port>> = given(kind.drawn(of_inputs::<K>(inputs)?)?).collect();
    let first = inputs.all().next().map_or(String::new(), |(name, _)| name.to_owned());
    let mut unknown = None;
    let (sketch, out) = Sketch::of(|sketch| {
        let mut value = |name: &str, port: &Port| {
            let axes = port.axes.iter().map(|axis| axis.len());
            let shape = port.shape.iter().map(|dim| {
                dim.known().unwrap_or_else(|| {
                    unknown.get_or_insert_with(|| PortFault::port(name, format!("the length `{dim}` is known with the data only")));
                    1
                })
            });
            sketch.value(axes.chain(shape).collect())
        };
        let slot = |field: &Field| inputs.get(field.name).map(|port| value(field.name, port)).into();
        let slots = <K::In<Lengths> as Ports<Lengths>>::FIELDS.iter().map(slot).collect();
        let drawn = draws.iter().flatten().map(|port| Slot::One(value(&first, port))).collect();
        match (struct_of(slots), struct_of(drawn)) {
            (Ok(inputs), Ok(draws)) => Ok(network(sketch, inputs, draws)),
            (Err(e), _) | (_, Err(e)) => Err(PortFault::node(e.to_string())),
        }
    })
    .map_err(|message| unknown.take().unwrap_or_else(|| PortFault::port(&first, message)))?;
    if let Some(fault) = unknown {
        return Err(fault);
    }
    let port = |slot: Slot<Shape>| slot.one().map(|shape| Port::float(shape.lengths().iter().map(|n| (*n).into())));
    let outputs = crate::ports::slots(out?).into_iter().map(port).chain(draws).collect();
    Ok(Sketched { parameters: sketch.parameters, cost: sketch.cost, outputs })
}

/// A register kind: state that is no parameter (a queue, a bank, a counter). Its outputs show the value from before the step.
pub trait RegisterDeclaration: Kind {
    /// The tensors that it keeps.
    type Kept<P: Plane>: Ports<P>;
    /// How they start, given what is written to it.
    fn state(&self, written: &Self::Writes<Late>) -> Result<Self::Kept<States>, PortFault>;
    /// The shape rule, given the same.
    fn outputs(&self, written: &Self::Writes<Late>) -> Result<Self::Out<Shapes>, PortFault>;
}

/// One tensor of a register.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Its field's, as is the type.
    pub name: &'static str,
    /// Lengths that only the data knows are bound when it is opened.
    pub shape: Vec<Dim>,
    /// [`Type::Float`] or [`Type::Index`].
    pub ty: Type,
    pub init: Init,
    /// How the reference's state dict holds it, if it does.
    pub reference: Reference,
}

impl State {
    /// A tensor that the reference's state dict has in the same form.
    pub fn new(shape: impl IntoIterator<Item = Dim>, init: Init) -> State {
        State { name: "", shape: shape.into_iter().collect(), ty: Type::Float, init, reference: Reference::Same }
    }
    pub fn reference(self, reference: Reference) -> State {
        State { reference, ..self }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    Same,
    /// The first axis last: a queue `[K, D]` is `[D, K]` there.
    FirstAxisLast,
    /// It has no such tensor.
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axes {
    /// The engine folds item axes into the rows and unfolds them afterwards: the kind never sees them.
    Fold,
    /// The kind says itself what becomes of them.
    Keep,
    /// None may be left: an item must be chosen, `port[v0]`.
    None,
}

/// A parameter or buffer of a model.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// PyTorch's name below the model: `conv1.temporal_spatial_conv.weight`.
    pub name: String,
    pub shape: Vec<usize>,
    pub role: Role,
    pub init: Init,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Weight,
    Bias,
    /// Weight or bias of a normalisation layer.
    Norm,
    /// Running statistics.
    Buffer,
    /// `num_batches_tracked`: int64, 0-d.
    Counter,
}

impl Role {
    pub fn trained(self) -> bool {
        matches!(self, Role::Weight | Role::Bias | Role::Norm)
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    Constant(f64),
    /// Uniform in ±bound.
    Uniform(f64),
    Normal(f64),
    /// Normal, then scaled to length 1 along the last axis.
    UnitLength,
}

/// Rows of a split's list that are withheld from training, drawn as `numpy.random.RandomState(seed).permutation` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldOut {
    pub rows: usize,
    pub seed: u32,
    pub part: Part,
}

/// Which rows of a split a source reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Those that are not withheld.
    Rest,
    /// The withheld ones.
    Withheld,
}

impl Part {
    /// As a graph writes it.
    pub fn name(self) -> &'static str {
        match self {
            Part::Rest => "rest",
            Part::Withheld => "withheld",
        }
    }
}

impl std::fmt::Display for HoldOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.part {
            Part::Rest => write!(f, "all but {} rows (seed {})", self.rows, self.seed),
            Part::Withheld => write!(f, "{} rows (seed {})", self.rows, self.seed),
        }
    }
}

/// The video set that a source reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub set: String,
    pub split: String,
    /// Of a split of which some rows are withheld, which rows are read.
    pub held: Option<HoldOut>,
    pub height: usize,
    pub width: usize,
    pub streams: Vec<String>,
}

/// A kind with its settings, without its type.
pub trait AnyKind: Any + Send + Sync {
    fn dropped(&self) -> Vec<String>;
    fn pick(&self, rng: &mut crate::draw::Rng, branches: &[&str]) -> Option<usize>;
    fn source(&self) -> Option<Source>;
    fn rows_needed(&self) -> Option<RowsNeeded>;
    fn frames_left(&self, frames: usize) -> Option<usize>;
    fn clip_span(&self) -> Option<usize>;
    fn apart(&self) -> Option<[&'static str; 2]>;
    fn batch_at_most(&self) -> Option<(&'static str, usize)>;
    fn as_any(&self) -> &dyn Any;
}

impl<K: Kind> AnyKind for K {
    fn dropped(&self) -> Vec<String> {
        Kind::dropped(self)
    }
    fn pick(&self, rng: &mut crate::draw::Rng, branches: &[&str]) -> Option<usize> {
        Kind::pick(self, rng, branches)
    }
    fn source(&self) -> Option<Source> {
        Kind::source(self)
    }
    fn rows_needed(&self) -> Option<RowsNeeded> {
        Kind::rows_needed(self)
    }
    fn frames_left(&self, frames: usize) -> Option<usize> {
        Kind::frames_left(self, frames)
    }
    fn clip_span(&self) -> Option<usize> {
        Kind::clip_span(self)
    }
    fn apart(&self) -> Option<[&'static str; 2]> {
        Kind::apart(self)
    }
    fn batch_at_most(&self) -> Option<(&'static str, usize)> {
        Kind::batch_at_most(self)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

type Build = fn(&Table, crate::source::At, &mut Faults) -> Option<Box<dyn AnyKind>>;
type Rule = fn(&dyn Any, &Inputs) -> Result<Vec<Option<Port>>, PortFault>;
pub type RunSample = fn(&dyn Any, crate::host::SampleCall) -> Result<crate::host::SampleOutputs>;
pub type Sketching = fn(&dyn Any, &Inputs) -> Result<Sketched, PortFault>;
type StateOf = fn(&dyn Any, &Inputs) -> Result<Vec<State>, PortFault>;

/// Where an input goes that a graph wires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// The input of that number.
    Field(usize),
    /// Among those under names that the graph chooses, which are the input of that number.
    Many(usize),
    /// The draw of that number, which is reused.
    Draw(usize),
}

/// A kind in the library's static list.
pub struct Entry {
    pub name: &'static str,
    pub source: &'static str,
    pub inputs: &'static [Field],
    /// Outputs, then draws.
    pub outputs: &'static [Field],
    pub rate: Rate,
    pub axes: Axes,
    pub gradient: bool,
    pub seeded: bool,
    pub chooses: bool,
    pub writes: &'static [Field],
    pub initial: &'static [Field],
    rule: Rule,
    /// Runs on the host, one sample at a time.
    pub sample: Option<RunSample>,
    /// Runs on the device, a batch at a time (or once a stage).
    pub batch: bool,
    /// Of a model, which owns parameters, is declared under `models` and used with `apply`: its network, read without computing it.
    pub sketch: Option<Sketching>,
    /// Keeps state from step to step.
    pub state: Option<StateOf>,
    pub schema: fn() -> schemars::Schema,
    pub build: Build,
}

fn build<K: Kind>(table: &Table, at: crate::source::At, faults: &mut Faults) -> Option<Box<dyn AnyKind>> {
    let before = faults.told();
    let kind: K = settings::deserialise(table, at, K::NAME, faults)?;
    let mut own = Faults::default();
    ask(K::NAME, "the check of its settings", at, faults, || kind.check(&mut SettingFaults::new(table, at, &mut own)))?;
    faults.append(own);
    (faults.told() == before).then(|| Box::new(kind) as Box<dyn AnyKind>)
}

fn schema<K: Kind>() -> schemars::Schema {
    schemars::SchemaGenerator::default().into_root_schema_for::<K>()
}

fn down<K: 'static>(any: &dyn Any) -> &K {
    any.downcast_ref().expect("an entry is used with the kind that it built")
}

/// The ports of a node in the order of its kind's inputs: those of the declared names, and under other names what goes to `Many`.
fn arranged(ports: &[(String, Port)], fields: &[Field], draws: &[Field]) -> Vec<Slot<Port>> {
    let is_named = |name: &str| fields.iter().any(|f| !f.many() && f.name == name) || draws.iter().any(|f| f.name == name);
    let slot = |field: &Field| match field.presence {
        Presence::Many => Slot::Many(ports.iter().filter(|(name, _)| !is_named(name)).cloned().collect()),
        _ => ports.iter().find(|(name, _)| name == field.name).map(|(_, port)| port.clone()).into(),
    };
    fields.iter().map(slot).collect()
}

fn missing(e: crate::ports::Missing) -> PortFault {
    PortFault::node(e.to_string())
}

fn of_inputs<K: Kind>(inputs: &Inputs) -> Result<K::In<Shapes>, PortFault> {
    let (fields, draws) = (<K::In<Shapes> as Ports<Shapes>>::FIELDS, <K::Draws<Shapes> as Ports<Shapes>>::FIELDS);
    struct_of(arranged(&inputs.ports, fields, draws)).map_err(missing)
}

/// What is written to a register. What depends on its own output is not known yet.
fn of_writes<K: Kind>(inputs: &Inputs) -> Result<K::Writes<Late>, PortFault> {
    let slot = |field: &Field| Slot::One(inputs.written(field.name).cloned());
    struct_of(<K::Writes<Late> as Ports<Late>>::FIELDS.iter().map(slot).collect()).map_err(missing)
}

fn given<S: Ports<Shapes>>(ports: S) -> impl Iterator<Item = Option<Port>> {
    crate::ports::slots(ports).into_iter().map(Slot::one)
}

fn rule<K: Kind>(any: &dyn Any, inputs: &Inputs) -> Result<Vec<Option<Port>>, PortFault> {
    let kind = down::<K>(any);
    let outputs = kind.ports(of_inputs::<K>(inputs)?)?;
    Ok(given(outputs).chain(given(kind.drawn(of_inputs::<K>(inputs)?)?)).collect())
}

fn state<K: RegisterDeclaration>(any: &dyn Any, inputs: &Inputs) -> Result<Vec<State>, PortFault> {
    let kept = down::<K>(any).state(&of_writes::<K>(inputs)?)?;
    let fields = <K::Kept<States> as Ports<States>>::FIELDS;
    let named = |(field, slot): (&Field, Slot<State>)| Some(State { name: field.name, ty: field.types()[0], ..slot.one()? });
    Ok(fields.iter().zip(crate::ports::slots(kept)).filter_map(named).collect())
}

/// The static lists of a kind.
struct Lists<K>(PhantomData<K>);

impl<K: Kind> Lists<K> {
    const JOINED: ([Field; 24], usize) = joined(<K::Out<Shapes> as Ports<Shapes>>::FIELDS, <K::Draws<Shapes> as Ports<Shapes>>::FIELDS);
    const OUTPUTS: &'static [Field] = Self::JOINED.0.split_at(Self::JOINED.1).0;
}

impl Entry {
    const fn of<K: Kind>() -> Entry {
        Entry {
            name: K::NAME,
            source: K::SOURCE,
            inputs: <K::In<Shapes> as Ports<Shapes>>::FIELDS,
            outputs: Lists::<K>::OUTPUTS,
            rate: K::RATE,
            axes: K::AXES,
            gradient: K::GRADIENT,
            seeded: K::SEEDED,
            chooses: K::CHOOSES,
            writes: <K::Writes<Shapes> as Ports<Shapes>>::FIELDS,
            initial: <K::Initial<Shapes> as Ports<Shapes>>::FIELDS,
            rule: rule::<K>,
            sample: None,
            batch: false,
            sketch: None,
            state: None,
            schema: schema::<K>,
            build: build::<K>,
        }
    }
    /// A node that runs on the host.
    pub const fn sample<K: crate::host::SampleKind>() -> Entry {
        Entry { sample: Some(|any, call| crate::host::run_sample(down::<K>(any), call)), ..Entry::of::<K>() }
    }
    /// A node that reads videos.
    pub const fn source<K: crate::host::SourceKind>() -> Entry {
        Entry { sample: Some(|any, call| crate::host::run_source(down::<K>(any), call)), ..Entry::of::<K>() }
    }
    /// A node that only draws, on the host or the device.
    pub const fn draw<K: Kind>() -> Entry {
        Entry { sample: Some(|any, call| crate::host::run_draw(down::<K>(any), call)), batch: true, ..Entry::of::<K>() }
    }
    /// A node that runs on the device.
    pub const fn batch<K: Kind>() -> Entry {
        Entry { batch: true, ..Entry::of::<K>() }
    }
    /// A node that runs on either.
    pub const fn both<K: crate::host::SampleKind>() -> Entry {
        Entry { batch: true, ..Entry::sample::<K>() }
    }
    /// A model: what is known of it before it runs.
    pub const fn model<K: Kind>(sketch: Sketching) -> Entry {
        Entry { batch: true, sketch: Some(sketch), ..Entry::of::<K>() }
    }
    /// The shape rule: a port for each of the outputs that there is with these settings.
    pub fn ports(&self, kind: &dyn Any, inputs: &Inputs) -> Result<Vec<Option<Port>>, PortFault> {
        match self.sketch {
            Some(sketch) => Ok(sketch(kind, inputs)?.outputs),
            None => (self.rule)(kind, inputs),
        }
    }
    pub const fn register<K: RegisterDeclaration>() -> Entry {
        let rule: Rule = |any, inputs| Ok(given(down::<K>(any).outputs(&of_writes::<K>(inputs)?)?).collect());
        Entry { batch: true, rule, state: Some(state::<K>), ..Entry::of::<K>() }
    }
    pub fn family(&self) -> &'static str {
        self.name.split('/').next().unwrap_or(self.name)
    }
    pub fn output(&self, name: &str) -> Option<usize> {
        self.outputs.iter().position(|o| o.name == name)
    }
    /// Where an input of that name goes.
    pub fn to(&self, name: &str) -> Option<To> {
        let field = self.inputs.iter().position(|f| !f.many() && f.name == name).map(To::Field);
        let draw = || self.outputs.iter().filter(|o| o.draw).position(|o| o.name == name).map(To::Draw);
        field.or_else(draw).or_else(|| self.inputs.iter().position(Field::many).map(To::Many))
    }
    /// The place of the first draw among the outputs.
    pub fn first_draw(&self) -> usize {
        self.outputs.iter().position(|o| o.draw).unwrap_or(self.outputs.len())
    }
}
