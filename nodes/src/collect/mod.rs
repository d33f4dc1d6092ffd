//! From batches to tables of a whole stage.

pub mod mean;

use dv_train::exec::batch::NodeEntry;

pub static NODES: &[NodeEntry] = &[NodeEntry::batch::<mean::Mean>()];
