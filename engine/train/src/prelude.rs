//! What a file with a kind of the device uses besides `dv_graph::prelude`.

pub use crate::exec::batch::{Batch, BatchKind, Cx, ModelKind, NodeEntry, RegisterKind, Table};
pub use crate::net::Custom;
pub use crate::state::weights::Weights;
pub use tch::{Device, Kind as Dtype, Reduction, Tensor};
