//! Putting tensors of a batch together, and in another order.

pub mod shuffle;
pub mod stack;
pub mod unshuffle;

use dv_train::exec::batch::NodeEntry;

pub static NODES: &[NodeEntry] =
    &[NodeEntry::batch::<stack::Stack>(), NodeEntry::batch::<shuffle::Shuffle>(), NodeEntry::batch::<unshuffle::Unshuffle>()];
