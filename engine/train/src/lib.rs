//! The batch plane: execution, training, checkpoints. Knows no node by name.

pub mod batch;
pub mod weights;
