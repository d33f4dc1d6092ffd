//! Runs: their folder, their stages, training and evaluation, checkpoints.

pub mod checkpoint;
mod evaluate;
pub mod folder;
mod metrics;
pub mod progress;
pub mod stage;
mod trainer;
