//! Ports: what flows along an edge. A type, a symbolic shape, a rate, and the item axes between the batch and the shape.

use std::fmt;
use std::sync::Arc;

/// What a port carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// A packed video, of which frames can be asked for (host only).
    Video,
    /// Pixels as bytes, 0..=255, RGB.
    Bytes,
    /// 32-bit floats.
    Float,
    /// 64-bit integers: labels, positions, permutations.
    Index,
    /// Rows keyed by sample id, gathered over a whole stage.
    Table,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Video => "video",
            Type::Bytes => "bytes",
            Type::Float => "float",
            Type::Index => "index",
            Type::Table => "table",
        })
    }
}

/// How often a value comes about; what it means, not where it is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rate {
    /// A register's value: the same in every process, from before the step.
    State,
    /// One for each video, independent of the others in the batch.
    Sample,
    /// Depends on the batch as a whole.
    Batch,
    /// Once a stage.
    Stage,
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rate::State => "state",
            Rate::Sample => "sample",
            Rate::Batch => "batch",
            Rate::Stage => "stage",
        })
    }
}

/// One length of a shape: a number, or a name where the number is known with the data only (class counts).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Dim {
    Known(usize),
    Symbol(Arc<str>),
}

impl Dim {
    pub fn known(&self) -> Option<usize> {
        match self {
            Dim::Known(n) => Some(*n),
            Dim::Symbol(_) => None,
        }
    }
}

impl From<usize> for Dim {
    fn from(n: usize) -> Dim {
        Dim::Known(n)
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dim::Known(n) => write!(f, "{n}"),
            Dim::Symbol(s) => write!(f, "{s}"),
        }
    }
}

/// A named axis of items between the batch and the shape (`view`, `clip`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axis {
    pub name: String,
    /// The items' names: `v0`, `v1`; numbered ones where the axis only counts.
    pub items: Vec<String>,
}

impl Axis {
    pub fn counted(name: &str, count: usize) -> Axis {
        Axis { name: name.to_string(), items: (0..count).map(|i| i.to_string()).collect() }
    }
    pub fn len(&self) -> usize {
        self.items.len()
    }
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

/// What is known of one output before anything runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    pub ty: Type,
    pub rate: Rate,
    /// Whether there is a row for each sample of the batch (a loss has none).
    pub rows: bool,
    pub axes: Vec<Axis>,
    pub shape: Vec<Dim>,
    /// Of an index: values lie in `0..range`.
    pub range: Option<Dim>,
}

impl Port {
    fn of(ty: Type, rows: bool, shape: Vec<Dim>) -> Port {
        Port { ty, rate: Rate::Sample, rows, axes: Vec::new(), shape, range: None }
    }
    /// One row of floats for each sample.
    pub fn float(shape: impl IntoIterator<Item = Dim>) -> Port {
        Port::of(Type::Float, true, shape.into_iter().collect())
    }
    pub fn bytes(shape: impl IntoIterator<Item = Dim>) -> Port {
        Port::of(Type::Bytes, true, shape.into_iter().collect())
    }
    pub fn index(shape: impl IntoIterator<Item = Dim>) -> Port {
        Port::of(Type::Index, true, shape.into_iter().collect())
    }
    pub fn video(shape: impl IntoIterator<Item = Dim>) -> Port {
        Port::of(Type::Video, true, shape.into_iter().collect())
    }
    /// A value of the batch or stage as a whole: a loss, a metric, logits whose rows are not the samples.
    pub fn whole(ty: Type, shape: impl IntoIterator<Item = Dim>) -> Port {
        Port::of(ty, false, shape.into_iter().collect())
    }
    pub fn scalar() -> Port {
        Port::whole(Type::Float, [])
    }
    pub fn table(shape: impl IntoIterator<Item = Dim>) -> Port {
        Port::of(Type::Table, false, shape.into_iter().collect())
    }
    pub fn with_axis(mut self, axis: Axis) -> Port {
        self.axes.push(axis);
        self
    }
    pub fn with_range(mut self, range: Dim) -> Port {
        self.range = Some(range);
        self
    }
    /// The product of the item axes' lengths.
    pub fn items(&self) -> usize {
        self.axes.iter().map(Axis::len).product()
    }
    pub fn is_scalar(&self) -> bool {
        self.ty == Type::Float && !self.rows && self.shape.is_empty()
    }
}

impl fmt::Display for Port {
    /// `float [B, view 3, 128]`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = Vec::new();
        if self.rows {
            parts.push("B".into());
        }
        parts.extend(self.axes.iter().map(|a| format!("{} {}", a.name, a.len())));
        parts.extend(self.shape.iter().map(Dim::to_string));
        write!(f, "{}", self.ty)?;
        if !parts.is_empty() {
            write!(f, " [{}]", parts.join(", "))?;
        }
        Ok(())
    }
}
