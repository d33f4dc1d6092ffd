//! What a file with a kind uses: `use dv_nodes::prelude::*;`. A crate with kinds of its own needs no other of dv's, nor serde or schemars.

pub use crate::limits;
pub use crate::pixels::{alike, device_size, length, unit_floats};
pub use crate::ports::{Features, Floats, Frames, Logits, Maps, Pixels, Same, Square};
pub use dv_graph::net as layer;
pub use dv_graph::net::{BatchNorm, Conv3d, Linear, MaxPool3d, Net};
pub use dv_graph::prelude::*;
pub use dv_train::prelude::*;

/// In single precision, whatever autocast left: losses are computed in full.
pub fn full(x: &Tensor) -> Tensor {
    Weights::full(x)
}
