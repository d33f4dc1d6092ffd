//! Temporal order: permutations, and clips and features put in another order.

pub mod permutation;
pub mod permute_segments;
pub mod restore;

use dv_train::batch::NodeEntry;

pub static NODES: &[NodeEntry] = &[
    NodeEntry::both::<permutation::Permutation>(),
    NodeEntry::both::<permute_segments::PermuteSegments>(),
    NodeEntry::batch::<restore::Restore>(),
];
