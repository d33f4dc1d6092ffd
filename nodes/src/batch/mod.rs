//! Putting tensors of a batch together.

pub mod stack;

use dv_train::batch::NodeEntry;

pub static NODES: &[NodeEntry] = &[NodeEntry::batch::<stack::Stack>()];
