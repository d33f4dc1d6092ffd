//! What a stage keeps from step to step, and files of it: models, registers, the optimiser, weights of others.

pub mod import;
pub mod optimise;
pub mod store;
pub mod tensors;
pub mod weights;
