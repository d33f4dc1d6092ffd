//! The batch plane: execution, training, runs and what they keep. Knows no node by name.

pub mod exec;
pub mod net;
pub mod prelude;
pub mod probe;
pub mod run;
pub mod state;
