//! The batch plane: execution, training, checkpoints. Knows no node by name.

pub mod batch;
pub mod caught;
pub mod checkpoint;
pub mod executor;
pub mod folder;
pub mod optimise;
pub mod probe;
pub mod progress;
pub mod shim;
pub mod store;
pub mod tensors;
pub mod train;
pub mod transfer;
pub mod weights;
