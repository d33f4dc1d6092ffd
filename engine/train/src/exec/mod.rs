//! What computes a step: nodes on batches, their values, the way to the device.

pub mod batch;
pub mod caught;
pub mod executor;
pub mod shim;
pub mod transfer;
