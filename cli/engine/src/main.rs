//! The engine process with the node library as it is.

use std::process::ExitCode;

fn main() -> ExitCode {
    dv_engine::main(&[])
}
