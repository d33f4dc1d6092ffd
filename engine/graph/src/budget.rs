//! What a graph may ask for. Every limit lies far beyond any experiment; each is checked before anything is expanded, planned or
//! allocated, so that checking a graph takes moments and little memory, whatever the text asks for.

use crate::port::{Port, Type};
use crate::show::thousands;
use crate::source::At;
use crate::tree::{Item, Table, Value};
use dv_datasets::file::Limit;

/// One graph file.
pub const GRAPH_FILE: Limit = Limit::new(1_000_000, "a graph file");
/// Files that one graph reads: itself, what it extends, what its sweep's arms extend.
pub const FILES: usize = 100;
/// Faults that are reported in full; further ones are counted.
pub const FAULTS: usize = 100;
/// Keys and array elements of a graph, `extends`, `[values]` and groups expanded.
pub const VALUES: usize = 20_000;
/// Bytes of its keys and strings.
pub const TEXT: usize = 4_000_000;
/// What all files of a graph hold before they are merged, in keys and array elements.
pub const FILE_VALUES: usize = 5 * VALUES;
/// How deep values, `extends` and groups may lead into each other.
pub const DEPTH: usize = 50;
/// Paths of one `remove`.
pub const REMOVALS: usize = 1000;
pub const STAGES: usize = 200;
/// Nodes of all stages, groups expanded.
pub const NODES: usize = 2000;
/// Edges of all these nodes, and what they name under `after`.
pub const EDGES: usize = 20_000;
/// Items of one output: the product of its item axes.
pub const ITEMS: usize = 10_000;
/// Bytes of one output for a whole batch, or of one table's row: 64 GiB.
pub const EDGE_BYTES: u128 = 1 << 36;
/// Numbers in all parameters and buffers of all models.
pub const PARAMETERS: usize = 10_000_000_000;
/// Parameters and buffers, as tensors, of all models.
pub const TENSORS: usize = 5000;
/// Patterns of a stage's parameter groups, each of which is compared with all parameters.
pub const PATTERNS: usize = 500;
/// Axes of a sweep.
pub const SWEEP_AXES: usize = 20;
/// Points of a sweep, and so values of one of its axes.
pub const SWEEP_POINTS: usize = 1000;
/// Keys and array elements of all points together.
pub const SWEEP_VALUES: usize = 1_000_000;
/// Bytes of the keys and strings of all points together.
pub const SWEEP_TEXT: usize = 20_000_000;
/// Nodes of all points together.
pub const SWEEP_NODES: usize = 30_000;

/// Counts what a tree holds while it is put together, and says where it becomes too much.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    /// Keys and array elements, and how many there may be.
    values: usize,
    most_values: usize,
    /// Bytes of keys and strings.
    text: usize,
    most_text: usize,
}

impl Meter {
    pub(crate) fn new(most_values: usize, most_text: usize) -> Meter {
        Meter { values: 0, most_values, text: 0, most_text }
    }
    /// Of one graph.
    pub(crate) fn of_graph() -> Meter {
        Meter::new(VALUES, TEXT)
    }
    /// Counts a table. An error is the place at which it is too much.
    pub(crate) fn table(&mut self, table: &Table) -> Result<(), At> {
        table.iter().try_for_each(|(key, entry)| {
            self.count(1, key.len()).map_err(|()| entry.key)?;
            self.item(&entry.item)
        })
    }
    /// Counts a value.
    pub(crate) fn item(&mut self, item: &Item) -> Result<(), At> {
        match &item.value {
            Value::String(s) => self.count(0, s.len()).map_err(|()| item.at),
            Value::Array(list) => list.iter().try_for_each(|i| {
                self.count(1, 0).map_err(|()| i.at)?;
                self.item(i)
            }),
            Value::Table(table) => self.table(table),
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => Ok(()),
        }
    }
    fn count(&mut self, values: usize, text: usize) -> Result<(), ()> {
        self.values = self.values.saturating_add(values);
        self.text = self.text.saturating_add(text);
        if self.values > self.most_values || self.text > self.most_text {
            return Err(());
        }
        Ok(())
    }
    /// What there is too much of, in words.
    pub(crate) fn words(&self) -> String {
        match self.values > self.most_values {
            true => format!("more than {} keys and values", thousands(self.most_values)),
            false => format!("more than {} MB of text", self.most_text / 1_000_000),
        }
    }
}

/// `64.0 GiB`
pub(crate) fn gib(bytes: u128) -> String {
    match bytes {
        0x1000_0000_0000_0000.. => "more than a billion GiB".to_string(),
        _ => format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64),
    }
}

/// A product that stays at the largest number where it would be larger.
pub fn product(factors: impl IntoIterator<Item = usize>) -> u128 {
    // a zero anywhere makes nothing of it, also behind an overflow
    factors.into_iter().fold(1u128, |all, n| if n == 0 { 0 } else { all.saturating_mul(n as u128) })
}

/// Bytes of an output for a batch of so many samples; lengths that only the data knows count once. Of videos nothing is held.
pub(crate) fn bytes(port: &Port, batch: usize) -> u128 {
    let each = match port.ty {
        Type::Video | Type::Absent => return 0,
        Type::Bytes => 1,
        Type::Float | Type::Table => 4,
        Type::Index => 8,
    };
    let rows = if port.rows { batch.max(1) } else { 1 };
    let axes = port.axes.iter().map(|a| a.len());
    let shape = port.shape.iter().map(|d| d.known().unwrap_or(1));
    product([each, rows].into_iter().chain(axes).chain(shape))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::{Axis, Dim};

    #[test]
    fn sizes_are_multiplied_without_wrapping() {
        let clip = Port::float([3, 16, 112, 112].map(Dim::Known)).with_axis(Axis::counted("view", 2));
        assert_eq!(bytes(&clip, 64), 64 * 2 * 3 * 16 * 112 * 112 * 4);
        let huge = Port::bytes([usize::MAX; 5].map(Dim::Known));
        assert_eq!(bytes(&huge, usize::MAX), u128::MAX);
        assert_eq!(product([usize::MAX, usize::MAX, usize::MAX, 0]), 0);
        assert_eq!(bytes(&Port::video([3.into(), Dim::Symbol("frames".into())]), 8), 0);
    }
}
