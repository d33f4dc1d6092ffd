//! What a kind of node or model declares about itself, and the library of kinds that a graph may name.
//!
//! A kind is one type: its settings (deserialised from the graph), its ports, its shape rule. How it computes is a
//! second trait: [`SampleKind`](crate::host::SampleKind) on the host, `BatchKind` and `ModelKind` in `dv-train`.

use crate::defect::ask;
use crate::fault::Faults;
pub use crate::given::{Inputs, Place, PortFault};
pub use crate::library::Library;
use crate::port::{Dim, Port, Rate, Type};
use crate::settings::{self, SettingFaults};
use crate::tree::Table;
use std::any::Any;

/// The settings of one node, and what follows from them.
///
/// Private fields, `Deserialize` with `deny_unknown_fields`, no `Serialize`: rustc then warns about a setting that nobody reads.
/// The doc comments of the type and of its fields are the user's documentation.
pub trait Kind: serde::de::DeserializeOwned + schemars::JsonSchema + Send + Sync + 'static {
    /// `family/name`, as a graph writes it.
    const NAME: &'static str;
    const INPUTS: &'static [In];
    const OUTPUTS: &'static [Out];
    /// The least rate of the outputs: a loss is [`Rate::Batch`] whatever it reads.
    const RATE: Rate = Rate::Sample;
    /// What happens to item axes.
    const AXES: Axes = Axes::Fold;
    /// Whether gradients flow from the outputs to the inputs.
    const GRADIENT: bool = true;
    /// Whether each sample takes one of its inputs ([`Kind::pick`]). Inputs then count in the order of the file, else by their names.
    const CHOOSES: bool = false;
    /// Whether it draws what no output shows (a bootstrap): its outcome depends on the seed.
    const SEEDED: bool = false;
    /// Of a register: what a step leaves in it (`write`).
    const WRITES: &'static [In] = &[];
    /// Of a register: what it starts from in the first step (`initial`).
    const INITIAL: &'static [In] = &[];

    /// Faults of the settings beyond what their schema says: ranges are declared on the fields.
    fn check(&self, _faults: &mut SettingFaults) {}
    /// The shape rule: the outputs in the order of [`Kind::OUTPUTS`]. Rate and folded axes are the engine's.
    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault>;
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

/// A model kind: what owns parameters.
pub trait ModelDeclaration: Kind {
    /// Parameters and buffers in PyTorch's names and order.
    fn parameters(&self, inputs: &Inputs) -> Vec<Parameter>;
}

/// A register kind: state that is no parameter (a queue, a bank, a counter). Its outputs show the value from before the step.
pub trait RegisterDeclaration: Kind {
    /// The tensors that it keeps. [`Inputs::written`] says what is written to it.
    fn state(&self, inputs: &Inputs) -> Vec<State>;
}

/// One tensor of a register.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub name: &'static str,
    /// Lengths that only the data knows are bound when it is opened.
    pub shape: Vec<Dim>,
    /// [`Type::Float`] or [`Type::Index`].
    pub ty: Type,
    pub init: Init,
    /// How the reference's state dict holds it, if it does.
    pub reference: Reference,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    Same,
    /// The first axis last: a queue `[K, D]` is `[D, K]` there.
    FirstAxisLast,
    /// It has no such tensor.
    None,
}

/// One input as a kind declares it.
#[derive(Debug)]
pub struct In {
    pub name: &'static str,
    pub types: &'static [Type],
    /// Space-separated lengths, `3 T H W`; equal names are equal lengths; `...` at the beginning or the end is any number of lengths.
    pub shape: &'static str,
    pub doc: &'static str,
    pub optional: bool,
    /// Any number of inputs under names that the graph chooses.
    pub many: bool,
    /// Of an index, or of a table with labels: the length, by its name in the declared shapes, that it counts along. Labels count the classes: there must be as many.
    pub counts: Option<&'static str>,
}

impl In {
    pub const fn new(name: &'static str, types: &'static [Type], shape: &'static str, doc: &'static str) -> In {
        In { name, types, shape, doc, optional: false, many: false, counts: None }
    }
    pub const fn optional(self) -> In {
        In { optional: true, ..self }
    }
    /// Where a length of that name stands in a shape of `rank` lengths.
    pub(crate) fn place(&self, length: &str, rank: usize) -> Option<usize> {
        let words: Vec<&str> = self.shape.split_whitespace().collect();
        let at = words.iter().position(|w| *w == length)?;
        // of an open beginning, from the end
        let place = if words[0] == "..." { (rank + at).checked_sub(words.len())? } else { at };
        (place < rank).then_some(place)
    }
    pub const fn counts(self, length: &'static str) -> In {
        In { counts: Some(length), ..self }
    }
    pub const fn many(self) -> In {
        In { many: true, ..self }
    }
}

/// One output as a kind declares it; the shape here is documentation, [`Kind::ports`] is the rule.
#[derive(Debug)]
pub struct Out {
    pub name: &'static str,
    pub shape: &'static str,
    pub doc: &'static str,
    /// A random draw of this node: shown here, and an optional input of the same name reuses one.
    pub draw: bool,
}

impl Out {
    pub const fn new(name: &'static str, shape: &'static str, doc: &'static str) -> Out {
        Out { name, shape, doc, draw: false }
    }
    pub const fn draw(name: &'static str, shape: &'static str, doc: &'static str) -> Out {
        Out { name, shape, doc, draw: true }
    }
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
    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault>;
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
    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        Kind::ports(self, inputs)
    }
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
type RunSample = fn(&dyn Any, &mut crate::host::SampleIo) -> anyhow::Result<()>;
type Parameters = fn(&dyn Any, &Inputs) -> Vec<Parameter>;
type States = fn(&dyn Any, &Inputs) -> Vec<State>;

/// A kind in the library's static list.
pub struct Entry {
    pub name: &'static str,
    pub inputs: &'static [In],
    pub outputs: &'static [Out],
    pub rate: Rate,
    pub axes: Axes,
    pub gradient: bool,
    pub seeded: bool,
    pub chooses: bool,
    pub writes: &'static [In],
    pub initial: &'static [In],
    /// Runs on the host, one sample at a time.
    pub sample: Option<RunSample>,
    /// Runs on the device, a batch at a time (or once a stage).
    pub batch: bool,
    /// Owns parameters: declared under `models`, used with `apply`.
    pub parameters: Option<Parameters>,
    /// Keeps state from step to step.
    pub state: Option<States>,
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

impl Entry {
    const fn of<K: Kind>() -> Entry {
        Entry {
            name: K::NAME,
            inputs: K::INPUTS,
            outputs: K::OUTPUTS,
            rate: K::RATE,
            axes: K::AXES,
            gradient: K::GRADIENT,
            seeded: K::SEEDED,
            chooses: K::CHOOSES,
            writes: K::WRITES,
            initial: K::INITIAL,
            sample: None,
            batch: false,
            parameters: None,
            state: None,
            schema: schema::<K>,
            build: build::<K>,
        }
    }
    /// A node that runs on the host.
    pub const fn sample<K: crate::host::SampleKind>() -> Entry {
        Entry { sample: Some(|any, io| down::<K>(any).run(io)), ..Entry::of::<K>() }
    }
    /// A node that runs on the device.
    pub const fn batch<K: Kind>() -> Entry {
        Entry { batch: true, ..Entry::of::<K>() }
    }
    /// A node that runs on either.
    pub const fn both<K: crate::host::SampleKind>() -> Entry {
        Entry { batch: true, ..Entry::sample::<K>() }
    }
    pub const fn model<K: ModelDeclaration>() -> Entry {
        Entry { batch: true, parameters: Some(|any, inputs| down::<K>(any).parameters(inputs)), ..Entry::of::<K>() }
    }
    pub const fn register<K: RegisterDeclaration>() -> Entry {
        Entry { batch: true, state: Some(|any, inputs| down::<K>(any).state(inputs)), ..Entry::of::<K>() }
    }
    pub fn family(&self) -> &'static str {
        self.name.split('/').next().unwrap_or(self.name)
    }
    pub fn output(&self, name: &str) -> Option<usize> {
        self.outputs.iter().position(|o| o.name == name)
    }
}
