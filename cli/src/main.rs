//! `dv`: parses the command line, works on data sets itself, and starts the engine for everything that needs torch.

mod engine;
mod generate;
mod inspect;
mod libtorch;
mod pack;
mod progress;
mod verify;
mod version;

use std::process::ExitCode;

use clap::Parser;
use dv_cli::args::{Cli, Verb};
use dv_cli::exit;

fn main() -> ExitCode {
    let cli = Cli::parse();
    exit::guard(|| match cli.verb {
        None => version::print(),
        Some(Verb::Generate(args)) => generate::run(&args),
        Some(Verb::Pack(args)) => pack::run(&args),
        Some(Verb::Inspect(args)) => inspect::run(&args),
        Some(Verb::Verify(args)) => verify::run(&args),
        Some(verb) => engine::exec(&verb),
    })
}
