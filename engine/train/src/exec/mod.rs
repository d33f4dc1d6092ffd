//! What computes a step: nodes on batches, their values, the way to the device.

pub mod batch;
pub mod caught;
pub mod executor;
mod program;
pub mod shim;
pub mod transfer;
mod value;
pub mod view;
