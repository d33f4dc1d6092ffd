//! Runs: their folder, their stages, training and evaluation, checkpoints.

pub mod checkpoint;
mod evaluate;
pub mod folder;
mod log;
pub mod measure;
mod metrics;
mod not_finite;
pub mod progress;
pub mod record;
pub mod runner;
mod shared;
mod space;
pub mod stage;
mod table;
mod tables;
mod trainer;
pub mod verify;
