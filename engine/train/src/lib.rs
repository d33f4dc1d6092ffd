//! The batch plane: execution, training, checkpoints. Knows no node by name.

pub mod batch;
pub mod caught;
pub mod checkpoint;
mod evaluate;
pub mod executor;
pub mod folder;
pub mod import;
mod metrics;
mod mismatch;
pub mod optimise;
pub mod probe;
pub mod progress;
pub mod shim;
pub mod stage;
pub mod store;
pub mod tensors;
mod train;
pub mod transfer;
pub mod weights;
