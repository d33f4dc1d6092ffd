//! The engine process, started by `dv`.

use std::process::ExitCode;

use clap::Parser;
use dv_cli::args::Cli;
use dv_cli::exit;

fn main() -> ExitCode {
    let cli = Cli::parse();
    exit::guard(|| anyhow::bail!("not yet: {:?}", cli.verb))
}
