//! Temporal order: permutations, and clips and features put in another order.

mod among;
pub mod class;
pub mod permutation;
pub mod permute_items;
pub mod permute_segments;
pub mod restore;
pub mod swap;

use dv_train::exec::batch::NodeEntry;

pub static NODES: &[NodeEntry] = &[
    NodeEntry::both::<permutation::Permutation>(),
    NodeEntry::both::<swap::Swap>(),
    NodeEntry::both::<class::Class>(),
    NodeEntry::batch::<permute_items::PermuteItems>(),
    NodeEntry::both::<permute_segments::PermuteSegments>(),
    NodeEntry::batch::<restore::Restore>(),
];
