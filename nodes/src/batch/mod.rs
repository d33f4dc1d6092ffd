//! Putting tensors of a batch together, and in another order.

use crate::prelude::*;

family! {
    batch stack::Stack,
    batch concatenate::Concatenate,
    batch shuffle::Shuffle,
    batch unshuffle::Unshuffle,
}

#[derive(Ports)]
pub struct Rows<P: Plane> {
    /// `...` a row a sample, with any item axes
    rows: P::Any,
}

/// The fault of a value that has no rows.
fn has_rows(rows: &Port) -> Result<(), PortFault> {
    match rows.rows {
        true => Ok(()),
        false => Err(PortFault::port("rows", format!("{rows} has no row for each sample"))),
    }
}
