//! Host values and what a node of the sample plane sees: pure functions of one sample and its key.

use crate::budget::product;
use crate::draw::{Key, Pass, Rng, Sample};
use crate::kind::Kind;
use anyhow::{anyhow, bail, ensure, Result};
use dv_datasets::PackedSet;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// A kind that runs on the host, on one sample at a time.
pub trait SampleKind: Kind {
    fn run(&self, io: &mut SampleIo) -> Result<()>;
}

/// A value of one sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Video(Video),
    Bytes(Array<u8>),
    Float(Array<f32>),
    Index(Array<i64>),
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

/// Bytes of a clip that may be more than the machine has.
const LARGE: usize = 1 << 28;

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
    /// The frames at these positions as one clip `[T, H, W, 3]`.
    pub fn clip(&self, positions: &[usize]) -> Result<Array<u8>> {
        let (h, w) = (self.set.height as usize, self.set.width as usize);
        if let Some(p) = positions.iter().find(|p| **p >= self.frames()) {
            bail!("frame {p} of a video of {} frames", self.frames());
        }
        let frames: Vec<u32> = positions.iter().map(|p| (self.range.start + p) as u32).collect();
        let bytes = usize::try_from(product([frames.len(), h, w, 3])).unwrap_or(usize::MAX);
        // pages of zeros cost nothing until they are written, but an allocation that fails ends the process: large ones are tried first
        if bytes > LARGE && Vec::<u8>::new().try_reserve_exact(bytes).is_err() {
            bail!("no memory for a clip of {} frames, {bytes} bytes: make it shorter", frames.len());
        }
        let mut data = vec![0; bytes];
        self.set.read_frames(self.index, &frames, &mut data)?;
        Ok(Array::new(vec![frames.len(), h, w, 3], data))
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

/// What a node of the sample plane reads and writes.
pub struct SampleIo<'a> {
    pub(crate) node: &'a str,
    pub(crate) pass: &'a Pass,
    pub(crate) sample: &'a Sample,
    pub(crate) item: usize,
    pub(crate) inputs: &'a HashMap<&'a str, Value>,
    pub(crate) source: Option<&'a SourceSample>,
    pub(crate) outputs: HashMap<&'static str, Value>,
}

impl<'a> SampleIo<'a> {
    /// For the sample plane's runner and for tests of single nodes.
    pub fn new(node: &'a str, pass: &'a Pass, sample: &'a Sample, inputs: &'a HashMap<&'a str, Value>) -> SampleIo<'a> {
        SampleIo { node, pass, sample, item: 0, inputs, source: None, outputs: HashMap::new() }
    }
    /// Of a source node: the sample that it stands for.
    pub fn with_source(self, source: &'a SourceSample) -> SampleIo<'a> {
        SampleIo { source: Some(source), ..self }
    }
    /// Which item of folded item axes this is.
    pub fn with_item(self, item: usize) -> SampleIo<'a> {
        SampleIo { item, ..self }
    }
    pub fn source(&self) -> Result<&'a SourceSample> {
        self.source.ok_or_else(|| anyhow!("{}: not a source", self.node))
    }
    pub fn sample(&self) -> &'a Sample {
        self.sample
    }
    pub fn input(&self, name: &str) -> Result<&'a Value> {
        self.inputs.get(name).ok_or_else(|| anyhow!("{}: no value at input `{name}`", self.node))
    }
    pub fn video(&self, name: &str) -> Result<&'a Video> {
        match self.input(name)? {
            Value::Video(v) => Ok(v),
            _ => bail!("{}: input `{name}` holds no video", self.node),
        }
    }
    /// Pixels `[T, H, W, 3]`.
    pub fn bytes(&self, name: &str) -> Result<&'a Array<u8>> {
        match self.input(name)? {
            Value::Bytes(a) => Ok(a),
            _ => bail!("{}: input `{name}` holds no bytes", self.node),
        }
    }
    pub fn put(&mut self, name: &'static str, value: Value) {
        self.outputs.insert(name, value);
    }
    /// A draw of integers: reused when an edge brings one, else drawn here; shown on the output of that name.
    pub fn draw_index(&mut self, name: &'static str, shape: &[usize], draw: impl FnOnce(&mut Rng) -> Vec<i64>) -> Result<Vec<i64>> {
        let value = match self.inputs.get(name) {
            Some(Value::Index(a)) => a.clone(),
            Some(_) => bail!("{}: input `{name}` must be an index", self.node),
            None => Array::new(shape.to_vec(), draw(&mut self.rng(name))),
        };
        let drawn = value.data.to_vec();
        self.put(name, Value::Index(value));
        Ok(drawn)
    }
    /// The same for floats.
    pub fn draw_float(&mut self, name: &'static str, shape: &[usize], draw: impl FnOnce(&mut Rng) -> Vec<f32>) -> Result<Vec<f32>> {
        let value = match self.inputs.get(name) {
            Some(Value::Float(a)) => a.clone(),
            Some(_) => bail!("{}: input `{name}` must be floats", self.node),
            None => Array::new(shape.to_vec(), draw(&mut self.rng(name))),
        };
        let drawn = value.data.to_vec();
        self.put(name, Value::Float(value));
        Ok(drawn)
    }
    fn rng(&self, draw: &str) -> Rng {
        Key::sample(self.pass, self.sample, self.item, self.node, draw).rng()
    }
    pub fn finish(self) -> HashMap<&'static str, Value> {
        self.outputs
    }
}
