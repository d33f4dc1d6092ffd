//! Registers: what is kept from step to step and is no parameter; and draws from them.

pub mod bank;
pub mod constant;
pub mod draw;
pub mod queue;

use dv_train::exec::batch::NodeEntry;

pub static NODES: &[NodeEntry] = &[
    NodeEntry::register::<queue::Queue>(),
    NodeEntry::register::<bank::Bank>(),
    NodeEntry::register::<constant::Constant>(),
    NodeEntry::batch::<draw::Draw>(),
];
