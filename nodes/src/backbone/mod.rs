//! Networks from clips to feature maps.

pub mod r3d;

use dv_train::batch::NodeEntry;

pub static NODES: &[NodeEntry] = &[NodeEntry::model::<r3d::R3d>()];
