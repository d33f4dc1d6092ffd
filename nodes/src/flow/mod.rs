//! What becomes of gradients on their way.

pub mod stop_gradient;

use dv_train::exec::batch::NodeEntry;

pub static NODES: &[NodeEntry] = &[NodeEntry::batch::<stop_gradient::StopGradient>()];
