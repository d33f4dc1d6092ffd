//! Temporal order: permutations, and clips and features put in another order.

use crate::prelude::*;

mod among;

family! {
    draw permutation::Permutation,
    draw swap::Swap,
    both class::Class,
    batch permute_items::PermuteItems,
    both permute_segments::PermuteSegments,
    batch restore::Restore,
}

#[derive(Ports)]
pub struct Order<P: Plane> {
    /// `items` each of 0..items once
    #[range("items")]
    pub order: P::Index,
}
