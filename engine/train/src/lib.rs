//! The batch plane: execution, training, checkpoints.
