//! Ports as struct fields: one struct, generic in the [`Plane`], for what is declared, for values on the host and for tensors.

mod field;
mod planes;
mod rule;

pub use field::{joined, Field, Holds, Presence};
pub use planes::{Asked, Dice, Extent, Extents, Late, Numbers, Row, Shapes, States};
pub use rule::{derived, lengths};

/// A place where ports hold something, such as tensors on the device, and what they hold there.
pub trait Plane: Sized + 'static {
    /// What a port of any type holds.
    type Cell;
    /// A packed video, of which frames can be asked for.
    type Video: Held<Self>;
    /// Pixels as bytes.
    type Bytes: Held<Self>;
    /// Pixels as bytes or floats.
    type Pixels: Held<Self>;
    /// Bytes, floats or integers.
    type Any: Held<Self>;
    /// 32-bit floats, one row for each sample.
    type Float: Held<Self>;
    /// 64-bit integers, one row for each sample.
    type Index: Held<Self>;
    /// One float of the batch.
    type Scalar: Held<Self>;
    /// Floats of the batch as a whole, whose rows are not the samples.
    type Whole: Held<Self>;
    /// Rows keyed by sample, gathered over a whole stage.
    type Table: Held<Self>;
}

/// What a port of one type holds on a plane.
pub trait Held<P: Plane>: Sized {
    /// `None` where the cell holds another type.
    fn of(cell: P::Cell) -> Option<Self>;
    fn cell(self) -> P::Cell;
}

/// Everything is held as the cell itself.
#[macro_export]
macro_rules! plane {
    ($plane:ty, $cell:ty) => {
        impl $crate::ports::Plane for $plane {
            type Cell = $cell;
            type Video = $cell;
            type Bytes = $cell;
            type Pixels = $cell;
            type Any = $cell;
            type Float = $cell;
            type Index = $cell;
            type Scalar = $cell;
            type Whole = $cell;
            type Table = $cell;
        }
        impl $crate::ports::Held<$plane> for $cell {
            fn of(cell: $cell) -> Option<$cell> {
                Some(cell)
            }
            fn cell(self) -> $cell {
                self
            }
        }
    };
}
pub use crate::plane;

/// Ports under names that the graph chooses, in its order.
pub type Many<T> = Vec<(String, T)>;

/// A struct of ports on a plane: derived with `#[derive(Ports)]`.
pub trait Ports<P: Plane>: Sized {
    const FIELDS: &'static [Field];
    fn take(from: &mut Slots<P>) -> Taken<Self>;
    fn give(self, to: &mut Given<P>);
}

/// The ports of a kind that has none.
pub struct Nothing<P: Plane>(std::marker::PhantomData<P>);

impl<P: Plane> Default for Nothing<P> {
    fn default() -> Self {
        Nothing(std::marker::PhantomData)
    }
}

impl<P: Plane> Ports<P> for Nothing<P> {
    const FIELDS: &'static [Field] = &[];
    fn take(_: &mut Slots<P>) -> Taken<Self> {
        Ok(Nothing::default())
    }
    fn give(self, _: &mut Given<P>) {}
}

/// What comes at one port.
#[derive(Clone, Debug, PartialEq)]
pub enum Slot<C> {
    Empty,
    One(C),
    Many(Vec<(String, C)>),
}

impl<C> Slot<C> {
    pub fn one(self) -> Option<C> {
        match self {
            Slot::One(cell) => Some(cell),
            Slot::Empty | Slot::Many(_) => None,
        }
    }
}

impl<C> From<Option<C>> for Slot<C> {
    fn from(cell: Option<C>) -> Slot<C> {
        cell.map_or(Slot::Empty, Slot::One)
    }
}

/// A port that lacks its value, or has one of another type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    pub port: &'static str,
    pub wrong: bool,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.wrong {
            false => write!(f, "no value at `{}`", self.port),
            true => write!(f, "the value at `{}` is of another type", self.port),
        }
    }
}

impl std::error::Error for Missing {}

pub type Taken<T> = Result<T, Missing>;

/// The values of a struct of ports, in the order of its fields, on their way in.
pub struct Slots<P: Plane>(Vec<Slot<P::Cell>>);

impl<P: Plane> Slots<P> {
    /// One slot for each field.
    pub fn new(slots: Vec<Slot<P::Cell>>) -> Slots<P> {
        Slots(slots)
    }
    fn slot(&mut self, place: usize) -> Slot<P::Cell> {
        self.0.get_mut(place).map_or(Slot::Empty, |slot| std::mem::replace(slot, Slot::Empty))
    }
    pub fn required<T: Held<P>>(&mut self, place: usize, port: &'static str) -> Taken<T> {
        self.optional(place, port)?.ok_or(Missing { port, wrong: false })
    }
    pub fn optional<T: Held<P>>(&mut self, place: usize, port: &'static str) -> Taken<Option<T>> {
        match self.slot(place).one() {
            None => Ok(None),
            Some(cell) => T::of(cell).map(Some).ok_or(Missing { port, wrong: true }),
        }
    }
    pub fn many<T: Held<P>>(&mut self, place: usize, port: &'static str) -> Taken<Many<T>> {
        let Slot::Many(list) = self.slot(place) else { return Ok(Vec::new()) };
        list.into_iter().map(|(name, cell)| Ok((name, T::of(cell).ok_or(Missing { port, wrong: true })?))).collect()
    }
}

/// The same on their way out.
pub struct Given<P: Plane>(Vec<Slot<P::Cell>>);

impl<P: Plane> Given<P> {
    pub fn required<T: Held<P>>(&mut self, value: T) {
        self.0.push(Slot::One(value.cell()));
    }
    pub fn optional<T: Held<P>>(&mut self, value: Option<T>) {
        self.0.push(value.map(T::cell).into());
    }
    pub fn many<T: Held<P>>(&mut self, value: Many<T>) {
        self.0.push(Slot::Many(value.into_iter().map(|(name, value)| (name, value.cell())).collect()));
    }
}

/// The slots of a struct of ports.
pub fn slots<P: Plane, S: Ports<P>>(ports: S) -> Vec<Slot<P::Cell>> {
    let mut given = Given(Vec::with_capacity(S::FIELDS.len()));
    ports.give(&mut given);
    given.0
}

/// The struct of ports of these slots.
pub fn struct_of<P: Plane, S: Ports<P>>(slots: Vec<Slot<P::Cell>>) -> Taken<S> {
    S::take(&mut Slots(slots))
}
