//! What the batch plane computes with: tensors and tables, and the rows of a batch.

use anyhow::{bail, ensure, Result};
use dv_graph::draw::Sample;
use dv_graph::ports::{Held, Numbers, Plane};
use std::cell::OnceCell;
use tch::{Device, Kind, Tensor};

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
    /// For an error: `[4, 3, 8, 32, 32] Float`.
    pub(crate) fn text(&self) -> String {
        match self {
            Value::Tensor(t) => format!("{:?} {:?}", t.size(), t.kind()),
            Value::Table(t) => format!("a table of {} rows", t.len()),
        }
    }
}

/// Values of a batch on the device. What has a row for each sample is `[rows, ...]`; folded item axes are part of the rows.
pub enum Batch {}

/// Nothing of this type is on the device.
#[derive(Clone, Copy, Debug)]
pub enum Never {}

impl Plane for Batch {
    type Cell = Value;
    type Video = Never;
    type Bytes = Tensor;
    type Pixels = Tensor;
    type Any = Tensor;
    type Float = Tensor;
    type Index = Tensor;
    type Scalar = Tensor;
    type Whole = Tensor;
    type Table = Table;
}

impl Held<Batch> for Tensor {
    fn of(cell: Value) -> Option<Tensor> {
        match cell {
            Value::Tensor(t) => Some(t),
            Value::Table(_) => None,
        }
    }
    fn cell(self) -> Value {
        Value::Tensor(self)
    }
}

impl Held<Batch> for Table {
    fn of(cell: Value) -> Option<Table> {
        match cell {
            Value::Table(t) => Some(t),
            Value::Tensor(_) => None,
        }
    }
    fn cell(self) -> Value {
        Value::Table(self)
    }
}

impl Held<Batch> for Never {
    fn of(_: Value) -> Option<Never> {
        None
    }
    fn cell(self) -> Value {
        match self {}
    }
}

/// The draws of a batch's rows.
pub enum Drawn {}

/// One draw, `[rows, ...]`: int64 or float32. Numbers that were made here are at hand without asking the device.
#[derive(Debug)]
pub struct Draw {
    tensor: Tensor,
    numbers: OnceCell<Numbers>,
}

impl Draw {
    /// Brought by an edge or a feed.
    pub(crate) fn given(tensor: Tensor) -> Draw {
        Draw { tensor, numbers: OnceCell::new() }
    }
    /// Made here, `shape` a row.
    pub(crate) fn made(numbers: Numbers, rows: usize, shape: Option<&[usize]>, device: Device) -> Result<Draw> {
        let flat = match &numbers {
            Numbers::Float(list) => Tensor::from_slice(list),
            Numbers::Index(list) => Tensor::from_slice(list),
        };
        let length = flat.numel();
        let shape: Vec<usize> = match shape {
            Some(shape) => shape.to_vec(),
            None => vec![length / rows.max(1)],
        };
        let size: Vec<i64> = std::iter::once(rows).chain(shape.iter().copied()).map(|n| n as i64).collect();
        ensure!(size.iter().product::<i64>() == length as i64, "{length} numbers were drawn for {rows} rows of {shape:?}");
        Ok(Draw { tensor: flat.reshape(size).to_device(device), numbers: OnceCell::from(numbers) })
    }
    pub fn tensor(&self) -> Tensor {
        self.tensor.shallow_clone()
    }
    /// All numbers of a draw of integers, in order.
    pub fn index(&self) -> Result<&[i64]> {
        match self.numbers()? {
            Numbers::Index(list) => Ok(list),
            Numbers::Float(_) => bail!("a draw of floats was read as integers"),
        }
    }
    /// All numbers in order.
    fn numbers(&self) -> Result<&Numbers> {
        if self.numbers.get().is_none() {
            let flat = self.tensor.to_device(Device::Cpu).flatten(0, -1);
            let found = match flat.is_floating_point() {
                true => Numbers::Float(Vec::try_from(flat.to_kind(Kind::Float))?),
                false => Numbers::Index(Vec::try_from(flat.to_kind(Kind::Int64))?),
            };
            let _ = self.numbers.set(found);
        }
        self.numbers.get().ok_or_else(|| anyhow::anyhow!("a draw without numbers"))
    }
    /// The numbers of one of so many rows.
    pub(crate) fn row(&self, row: usize, rows: usize) -> Result<Numbers> {
        fn part<T: Clone>(list: &[T], row: usize, rows: usize) -> Result<Vec<T>> {
            ensure!(rows > 0 && list.len().is_multiple_of(rows), "a draw of {} numbers is given for {rows} rows", list.len());
            let width = list.len() / rows;
            Ok(list[row * width..(row + 1) * width].to_vec())
        }
        Ok(match self.numbers()? {
            Numbers::Float(list) => Numbers::Float(part(list, row, rows)?),
            Numbers::Index(list) => Numbers::Index(part(list, row, rows)?),
        })
    }
    pub(crate) fn shallow_clone(&self) -> Draw {
        Draw { tensor: self.tensor.shallow_clone(), numbers: self.numbers.clone() }
    }
}

dv_graph::ports::plane!(Drawn, Draw);

/// Names of the item axes that each input has between the batch and the shape, in order, of a kind that keeps them.
pub enum ItemAxes {}
dv_graph::ports::plane!(ItemAxes, Vec<String>);

/// The rows that a node runs on: samples of the batch, each as often as folded item axes have items.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    pub(crate) samples: &'a [Sample],
    /// Those of the batch that are there, where not all.
    pub(crate) positions: Option<&'a [usize]>,
    /// Rows of each sample.
    pub(crate) items: usize,
    /// Where one item of an axis is taken: the lengths of all folded axes, the axis, the item.
    pub(crate) taken: Option<(&'a [usize], usize, usize)>,
}

impl<'a> Rows<'a> {
    /// A row for each of these samples.
    pub fn of(samples: &'a [Sample]) -> Rows<'a> {
        Rows { samples, positions: None, items: 1, taken: None }
    }
    pub fn len(&self) -> usize {
        self.positions.map_or(self.samples.len(), <[usize]>::len) * self.items
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The samples of all rows.
    pub fn samples(&self) -> Vec<Sample> {
        (0..self.len()).map(|row| self.sample(row).clone()).collect()
    }
    /// The sample of a row.
    pub fn sample(&self, row: usize) -> &'a Sample {
        let place = row / self.items;
        &self.samples[self.positions.map_or(place, |positions| positions[place])]
    }
    /// The item of a row, among all items of the folded axes.
    pub fn item(&self, row: usize) -> usize {
        let item = row % self.items;
        let Some((fold, axis, index)) = self.taken else { return item };
        let inner: usize = fold[axis + 1..].iter().product();
        (item / inner * fold[axis] + index) * inner + item % inner
    }
}
