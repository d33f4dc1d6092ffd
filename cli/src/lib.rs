//! What `dv` and the engine process share: the command line, exit status, and how text reaches the terminal.

pub mod args;
pub mod exit;
pub mod out;
pub mod value;
