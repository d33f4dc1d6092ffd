//! Ports: what flows along an edge. A type, a symbolic shape, a rate, and the item axes between the batch and the shape.

use crate::budget::product;
use std::borrow::Cow;
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
    /// With its settings the node has no such output.
    Absent,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Video => "video",
            Type::Bytes => "bytes",
            Type::Float => "float",
            Type::Index => "index",
            Type::Table => "table",
            Type::Absent => "absent",
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
    items: Items,
}

/// The items' names. Of counted ones there are none in memory, however many a graph asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Items {
    /// `0`, `1`, ...
    Counted(usize),
    Named(Arc<[String]>),
}

impl Axis {
    /// An axis whose items are numbers from 0. Any count is taken; the check of the graph compares it with what can be computed.
    pub fn counted(name: &str, count: usize) -> Axis {
        Axis { name: name.to_string(), items: Items::Counted(count) }
    }
    /// An axis whose items have names: `v0`, `v1`.
    pub fn named(name: &str, items: Vec<String>) -> Axis {
        let counted = items.iter().enumerate().all(|(i, item)| *item == i.to_string());
        let items = if counted { Items::Counted(items.len()) } else { Items::Named(items.into()) };
        Axis { name: name.to_string(), items }
    }
    pub fn len(&self) -> usize {
        match &self.items {
            Items::Counted(count) => *count,
            Items::Named(items) => items.len(),
        }
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The name of the item at a place.
    pub fn item(&self, place: usize) -> Option<Cow<'_, str>> {
        match &self.items {
            Items::Counted(count) => (place < *count).then(|| Cow::Owned(place.to_string())),
            Items::Named(items) => items.get(place).map(|i| Cow::Borrowed(i.as_str())),
        }
    }
    /// The place of the item of a name.
    pub fn position(&self, item: &str) -> Option<usize> {
        match &self.items {
            Items::Counted(count) => item.parse().ok().filter(|i: &usize| i < count && i.to_string() == item),
            Items::Named(items) => items.iter().position(|i| i == item),
        }
    }
    /// The items' names in order.
    pub fn items(&self) -> impl Iterator<Item = Cow<'_, str>> {
        (0..self.len()).filter_map(|i| self.item(i))
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
    /// In place of an output that the node does not have with its settings.
    pub fn absent() -> Port {
        Port::of(Type::Absent, false, Vec::new())
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
        usize::try_from(product(self.axes.iter().map(Axis::len))).unwrap_or(usize::MAX)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_of_any_length_costs_nothing_until_its_items_are_asked_for() {
        let axis = Axis::counted("clip", usize::MAX);
        assert_eq!((axis.len(), axis.position("9000000000"), axis.position("09")), (usize::MAX, Some(9_000_000_000), None));
        assert_eq!(axis.items().take(3).collect::<Vec<_>>(), ["0", "1", "2"]);
        assert_eq!(Port::float([]).with_axis(axis.clone()).with_axis(axis).items(), usize::MAX);
        let named = |items: &[&str]| Axis::named("view", items.iter().map(|i| i.to_string()).collect());
        assert_eq!(named(&["0", "1"]), Axis::counted("view", 2));
        assert_eq!((named(&["a", "b"]).position("b"), named(&["a", "b"]).item(2)), (Some(1), None));
    }
}
