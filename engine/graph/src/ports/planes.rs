//! The planes on which ports hold what is known of them, and draws.

use super::{plane, Held, Plane};
use crate::draw::Rng;
use crate::given::PortFault;
use crate::kind::State;
use crate::port::Port;
use anyhow::{anyhow, Result};

/// What is declared of each port: type, shape, item axes.
pub enum Shapes {}
plane!(Shapes, Port);

/// What is written to a register: known later, where it depends on the register's own output.
pub enum Late {}
plane!(Late, Result<Port, PortFault>);

/// The tensors that a register keeps.
pub enum States {}
plane!(States, State);

/// Which outputs something reads.
pub enum Asked {}
plane!(Asked, bool);

/// The lengths of what came in, of one sample.
pub enum Extents {}
plane!(Extents, Extent);

/// A generator of random numbers for each draw.
pub enum Dice {}
plane!(Dice, Rng);

/// What is known of an input when draws are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// In the order of the port: a clip's is `[3, T, H, W]`, a video's `[3, frames, H, W]`.
    pub shape: Vec<usize>,
    /// Of an index, how many values it can have, where that is known.
    pub range: Option<usize>,
}

impl Extent {
    /// `[3, T, H, W]` of a clip.
    pub fn clip(&self) -> Result<[usize; 4]> {
        <[usize; 4]>::try_from(&self.shape[..]).map_err(|_| anyhow!("a clip must be [3, T, H, W], not {:?}", self.shape))
    }
}

/// The draws of one row, as numbers.
pub enum Row {}

/// One draw of one row.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    Float(Vec<f32>),
    Index(Vec<i64>),
}

/// A plane that has no such port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Never {}

impl Plane for Row {
    type Cell = Numbers;
    type Video = Never;
    type Bytes = Never;
    type Pixels = Never;
    type Any = Numbers;
    type Float = Vec<f32>;
    type Index = Vec<i64>;
    type Scalar = Never;
    type Whole = Never;
    type Table = Never;
}

impl Held<Row> for Never {
    fn of(_: Numbers) -> Option<Never> {
        None
    }
    fn cell(self) -> Numbers {
        match self {}
    }
}

impl Held<Row> for Numbers {
    fn of(cell: Numbers) -> Option<Numbers> {
        Some(cell)
    }
    fn cell(self) -> Numbers {
        self
    }
}

impl Held<Row> for Vec<f32> {
    fn of(cell: Numbers) -> Option<Vec<f32>> {
        match cell {
            Numbers::Float(list) => Some(list),
            Numbers::Index(_) => None,
        }
    }
    fn cell(self) -> Numbers {
        Numbers::Float(self)
    }
}

impl Held<Row> for Vec<i64> {
    fn of(cell: Numbers) -> Option<Vec<i64>> {
        match cell {
            Numbers::Index(list) => Some(list),
            Numbers::Float(_) => None,
        }
    }
    fn cell(self) -> Numbers {
        Numbers::Index(self)
    }
}
