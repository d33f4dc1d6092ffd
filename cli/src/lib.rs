//! The small program: parses the command line, works on data sets itself, and starts the engine for everything that needs
//! torch. It shares with the engine process the command line, exit status, and how text reaches the terminal.

pub mod args;
mod checkpoint;
mod engine;
pub mod exit;
mod export;
mod generate;
mod import;
mod inspect;
pub mod interrupt;
mod libtorch;
pub mod out;
mod pack;
mod progress;
mod run;
pub mod value;
mod verify;
mod version;

use std::process::ExitCode;

use args::{Cli, Verb};
use clap::Parser;

/// The `main` of `dv`, and of a program that starts an engine with nodes of one's own: NAME starts NAME-engine beside it.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    exit::guard(|| match cli.verb {
        None => version::print(),
        Some(Verb::Generate(args)) => generate::run(&args),
        Some(Verb::Pack(args)) => pack::run(&args),
        Some(Verb::Inspect(args)) => inspect::run(&args),
        Some(Verb::Import(args)) => import::run(&args),
        Some(Verb::Export(args)) => export::run(&args),
        // a run holds tensors
        Some(Verb::Verify(args)) if !verify::is_run(&args) => verify::run(&args),
        Some(verb) => engine::exec(&verb),
    })
}
