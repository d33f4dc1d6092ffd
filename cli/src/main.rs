//! `dv`.

use std::process::ExitCode;

fn main() -> ExitCode {
    dv_cli::main()
}
