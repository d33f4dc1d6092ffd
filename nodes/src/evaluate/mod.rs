//! From tables to numbers.

pub mod accuracy;
pub mod difference;
pub mod retrieval;

use dv_train::exec::batch::NodeEntry;

pub static NODES: &[NodeEntry] =
    &[NodeEntry::batch::<retrieval::Retrieval>(), NodeEntry::batch::<accuracy::Accuracy>(), NodeEntry::batch::<difference::Difference>()];
