//! From batches to tables of a whole stage.

pub mod mean;

use dv_train::batch::NodeEntry;

pub static NODES: &[NodeEntry] = &[NodeEntry::batch::<mean::Mean>()];
