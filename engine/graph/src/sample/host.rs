//! Host values and what a node of the sample plane sees: pure functions of one sample and its key.

pub use super::clip::{Clip, Clips, Paint, Region, Transform};
use crate::draw::{Key, Pass, Rng, Sample};
use crate::kind::{Kind, Seen};
use crate::ports::{slots, struct_of, Dice, Extent, Extents, Field, Held, Numbers, Plane, Ports, Row, Slot};
use anyhow::{anyhow, ensure, Result};
use dv_datasets::PackedSet;
use std::ops::Range;
use std::sync::Arc;

/// A kind that runs on the host, on one sample at a time.
pub trait SampleKind: Kind {
    fn run(&self, inputs: Self::In<Host>, draws: Self::Draws<Row>) -> Result<Self::Out<Host>>;
}

/// A kind that reads videos.
pub trait SourceKind: Kind {
    fn read(&self, sample: &SourceSample) -> Result<Self::Out<Host>>;
}

/// A kind that moves and resizes pixels: its first input are clips, and so is its first output. On the host the geometry is applied when the
/// clip is painted, on the device to a batch's rows.
pub trait ViewKind: Kind {
    /// What becomes of a clip of that time, height and width.
    fn transform(&self, draws: Self::Draws<Row>, size: [usize; 3]) -> Result<Transform>;
}

impl<K: ViewKind> SampleKind for K {
    fn run(&self, inputs: K::In<Host>, draws: K::Draws<Row>) -> Result<K::Out<Host>> {
        let Some(Slot::One(Value::Clips(clips))) = slots(inputs).into_iter().next() else { return Err(anyhow!("no clips came")) };
        let clip = clips.single()?;
        let transform = self.transform(draws, clip.size())?;
        Ok(struct_of(vec![Slot::One(Value::Clips(clip.transformed(&transform)?.into()))])?)
    }
}

/// Values of one sample.
pub enum Host {}

/// Nothing of this type is on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Never {}

/// A value of one sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Video(Video),
    Clips(Clips),
    Float(Array<f32>),
    Index(Array<i64>),
}

impl Plane for Host {
    type Cell = Value;
    type Video = Video;
    type Bytes = Clips;
    type Pixels = Clips;
    type Any = Value;
    type Float = Array<f32>;
    type Index = Array<i64>;
    type Scalar = Never;
    type Whole = Never;
    type Table = Never;
}

impl Held<Host> for Value {
    fn of(cell: Value) -> Option<Value> {
        Some(cell)
    }
    fn cell(self) -> Value {
        self
    }
}

macro_rules! held {
    ($ty:ty, $variant:ident) => {
        impl Held<Host> for $ty {
            fn of(cell: Value) -> Option<$ty> {
                match cell {
                    Value::$variant(value) => Some(value),
                    _ => None,
                }
            }
            fn cell(self) -> Value {
                Value::$variant(self)
            }
        }
    };
}
held!(Video, Video);
held!(Clips, Clips);
held!(Array<f32>, Float);
held!(Array<i64>, Index);

impl Held<Host> for Never {
    fn of(_: Value) -> Option<Never> {
        None
    }
    fn cell(self) -> Value {
        match self {}
    }
}

impl Value {
    /// Lengths in the order of the port: a clip's are `[3, T, H, W]`, a video's `[3, frames, H, W]`.
    pub fn extent(&self) -> Extent {
        let shape = match self {
            Value::Video(video) => [&[3, video.frames()], &video.size()[..]].concat(),
            Value::Clips(clips) => [&clips.axes[..], &[3], &clips.size()].concat(),
            Value::Float(array) => array.shape.clone(),
            Value::Index(array) => array.shape.clone(),
        };
        Extent { shape, range: None }
    }
}

/// A dense array, last axis fastest. A clip of pixels is stored `[T, H, W, 3]` whatever its port's `[3, T, H, W]` says:
/// that is how frames are decoded, and on the device it is channels-last for nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Array<T> {
    pub shape: Vec<usize>,
    pub data: Arc<Vec<T>>,
}

impl<T> Array<T> {
    pub fn new(shape: Vec<usize>, data: Vec<T>) -> Array<T> {
        assert_eq!(shape.iter().product::<usize>(), data.len(), "array of {shape:?}");
        Array { shape, data: Arc::new(data) }
    }
    /// One value for the sample.
    pub fn scalar(value: T) -> Array<T> {
        Array::new(Vec::new(), vec![value])
    }
}

/// One video of a packed set, or a part of one.
#[derive(Clone)]
pub struct Video {
    pub set: Arc<PackedSet>,
    pub index: usize,
    /// The packed frames that it has.
    range: Range<usize>,
}

impl std::fmt::Debug for Video {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "video {}", self.index)
    }
}
impl PartialEq for Video {
    fn eq(&self, other: &Video) -> bool {
        Arc::ptr_eq(&self.set, &other.set) && self.index == other.index && self.range == other.range
    }
}

impl Video {
    pub fn new(set: Arc<PackedSet>, index: usize) -> Result<Video> {
        let range = 0..set.frames(index)? as usize;
        Ok(Video { set, index, range })
    }
    /// Frames in the video, at least 1.
    pub fn frames(&self) -> usize {
        self.range.len()
    }
    /// So many frames from one on, as a video of its own.
    pub fn part(&self, first: usize, frames: usize) -> Result<Video> {
        ensure!(frames > 0 && first + frames <= self.frames(), "{frames} frames from {first} on, of a video of {}", self.frames());
        let start = self.range.start + first;
        Ok(Video { range: start..start + frames, ..self.clone() })
    }
    /// Height and width.
    pub fn size(&self) -> [usize; 2] {
        [self.set.height as usize, self.set.width as usize]
    }
    /// The packed frame that its first one is.
    pub(super) fn first(&self) -> u32 {
        self.range.start as u32
    }
    /// The frames at these positions. Error: there is no such frame.
    pub fn clip(&self, positions: &[usize]) -> Result<Clip> {
        Clip::of(self, positions)
    }
    /// Clips on an item axis: the frames at these positions, so many a clip.
    pub fn clips(&self, positions: &[usize], length: usize) -> Result<Clips> {
        Ok(Clips::on_axis(positions.chunks(length).map(|part| self.clip(part)).collect::<Result<_>>()?))
    }
}

/// What a source node is handed for one sample.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceSample {
    pub video: Video,
    /// Position among the rows of the split that the source reads, after `hold_out`.
    pub position: usize,
    /// Position of the video's group among the groups of those rows, by name.
    pub group: usize,
    /// Class, where the set has classes.
    pub label: Option<u32>,
}

/// What a node of the sample plane is run with.
pub struct SampleCall<'a> {
    pub node: &'a str,
    pub pass: &'a Pass,
    pub sample: &'a Sample,
    /// Which item of folded item axes this is.
    pub item: usize,
    /// Of a source: the sample that it stands for.
    pub source: Option<&'a SourceSample>,
    /// In the order of the kind's inputs.
    pub inputs: Vec<Slot<Value>>,
    /// In the order of its draws: those that edges bring.
    pub draws: Vec<Option<Value>>,
    /// Shapes of its draws; without them each is one row of numbers.
    pub shapes: &'a [Vec<usize>],
}

/// Outputs, then draws, in the order in which the kind declares them.
pub type SampleOutputs = Vec<Option<Value>>;

impl SampleCall<'_> {
    /// A draw's numbers, reused where an edge brings them, else drawn here.
    fn draw<K: Kind>(&self, kind: &K, fields: &'static [Field]) -> Result<Vec<Numbers>> {
        match fields {
            [] => Ok(Vec::new()),
            _ => self.untyped(fields, &|dice, seen| made(kind, dice, seen, false)),
        }
    }
    /// The same for all kinds; compiled once.
    fn untyped(&self, fields: &'static [Field], make: &Make) -> Result<Vec<Numbers>> {
        let given = |(i, field): (usize, &Field)| match self.draws.get(i).cloned().flatten() {
            None => Ok(None),
            Some(Value::Index(array)) => Ok(Some(Numbers::Index(array.data.to_vec()))),
            Some(Value::Float(array)) => Ok(Some(Numbers::Float(array.data.to_vec()))),
            Some(_) => Err(anyhow!("the draw `{}` is given as pixels", field.name)),
        };
        let given: Vec<Option<Numbers>> = fields.iter().enumerate().map(given).collect::<Result<_>>()?;
        let inputs = self.inputs.iter().map(|slot| match slot {
            Slot::One(value) => Slot::One(value.extent()),
            Slot::Many(list) => Slot::Many(list.iter().map(|(name, value)| (name.clone(), value.extent())).collect()),
            Slot::Empty => Slot::Empty,
        });
        let rng = |draw: &str| Key::sample(self.pass, self.sample, self.item, self.node, draw).rng();
        drawn(fields, given, inputs.collect(), &rng, make)
    }
    /// A draw as the output that shows it.
    fn shown(&self, place: usize, field: &Field, numbers: Numbers) -> Result<Value> {
        let shape = |length: usize| match self.shapes.get(place) {
            Some(shape) => shape.clone(),
            None if field.shape.is_empty() => Vec::new(),
            None => vec![length],
        };
        let fits = |shape: &[usize], length: usize| {
            ensure!(
                shape.iter().product::<usize>() == length,
                "the draw `{}` has {length} numbers, and its shape is {shape:?}",
                field.name
            );
            Ok(())
        };
        Ok(match numbers {
            Numbers::Float(list) => {
                let shape = shape(list.len());
                fits(&shape, list.len())?;
                Value::Float(Array::new(shape, list))
            }
            Numbers::Index(list) => {
                let shape = shape(list.len());
                fits(&shape, list.len())?;
                Value::Index(Array::new(shape, list))
            }
        })
    }
}

/// Makes draws of generators and of what is seen.
pub type Make<'a> = dyn Fn(Vec<Slot<Rng>>, Vec<Slot<Extent>>) -> Result<Vec<Slot<Numbers>>> + 'a;

/// The draws that a kind makes.
pub fn made<K: Kind>(kind: &K, dice: Vec<Slot<Rng>>, inputs: Vec<Slot<Extent>>, training: bool) -> Result<Vec<Slot<Numbers>>> {
    let seen = Seen { inputs: struct_of::<Extents, K::In<Extents>>(inputs)?, training };
    Ok(slots(kind.draw(struct_of::<Dice, K::Draws<Dice>>(dice)?, &seen)?))
}

/// The draws of one row: those that are given, and the others from their own generators.
pub fn drawn(
    fields: &'static [Field],
    given: Vec<Option<Numbers>>,
    inputs: Vec<Slot<Extent>>,
    rng: &dyn Fn(&str) -> Rng,
    make: &Make,
) -> Result<Vec<Numbers>> {
    if given.iter().all(Option::is_some) {
        return Ok(given.into_iter().flatten().collect());
    }
    let made = make(fields.iter().map(|field| Slot::One(rng(field.name))).collect(), inputs)?;
    let one = |((field, given), made): ((&Field, Option<Numbers>), Slot<Numbers>)| {
        given.or(made.one()).ok_or_else(|| anyhow!("no draw `{}` was made", field.name))
    };
    fields.iter().zip(given).zip(made).map(one).collect()
}

fn outputs(call: &SampleCall, mut list: SampleOutputs, fields: &[Field], draws: Vec<Numbers>) -> Result<SampleOutputs> {
    for (place, (field, numbers)) in fields.iter().zip(draws).enumerate() {
        list.push(Some(call.shown(place, field, numbers)?));
    }
    Ok(list)
}

fn row<K: Kind>(draws: &[Numbers]) -> Result<K::Draws<Row>> {
    Ok(struct_of(draws.iter().cloned().map(Slot::One).collect())?)
}

/// Runs a node of the host.
pub fn run_sample<K: SampleKind>(kind: &K, mut call: SampleCall) -> Result<SampleOutputs> {
    let fields = <K::Draws<Row> as Ports<Row>>::FIELDS;
    let draws = call.draw(kind, fields)?;
    let inputs = struct_of::<Host, K::In<Host>>(std::mem::take(&mut call.inputs))?;
    let given = slots(kind.run(inputs, row::<K>(&draws)?)?);
    outputs(&call, given.into_iter().map(Slot::one).collect(), fields, draws)
}

/// Runs a node that only draws.
pub fn run_draw<K: Kind>(kind: &K, call: SampleCall) -> Result<SampleOutputs> {
    let fields = <K::Draws<Row> as Ports<Row>>::FIELDS;
    let draws = call.draw(kind, fields)?;
    outputs(&call, Vec::new(), fields, draws)
}

/// Runs a source.
pub fn run_source<K: SourceKind>(kind: &K, call: SampleCall) -> Result<SampleOutputs> {
    let source = call.source.ok_or_else(|| anyhow!("{}: not a source", call.node))?;
    Ok(slots(kind.read(source)?).into_iter().map(Slot::one).collect())
}
