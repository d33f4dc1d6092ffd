//! The sample plane: what runs on the host, one sample at a time, and the loader that makes batches of it.

pub mod clip;
pub mod epoch;
pub mod host;
pub mod loader;
pub mod memory;
pub mod runner;
