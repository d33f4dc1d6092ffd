//! Where samples come from.

pub mod shards;

use dv_train::exec::batch::NodeEntry;

pub static NODES: &[NodeEntry] = &[NodeEntry::sample::<shards::Shards>()];
