//! The engine process, started by `dv`: one file a verb. A crate with nodes of its own calls [`main`] with them; [`prelude`] and
//! [`testing`] are what it writes and tests them with.

mod bench;
mod bench_step;
mod check;
mod device;
mod diff;
mod kinds;
mod nodes;
mod probe;
mod run;
mod show;
mod smoke;
mod verify;

pub use dv_nodes::{prelude, testing};

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use dv_cli::args::{Bench, Cli, Verb};
use dv_cli::exit;
use dv_train::exec::batch::NodeEntry;
use kinds::Kinds;

/// The engine with the node library and these kinds.
pub fn main(own: &'static [NodeEntry]) -> ExitCode {
    let cli = Cli::parse();
    exit::guard(|| {
        dv_train::exec::caught::quiet_caught_panics();
        dv_train::exec::caught::memory_told(|| run(cli.verb, &Kinds::with(own)?))
    })
}

fn run(verb: Option<Verb>, kinds: &Kinds) -> Result<()> {
    match verb {
        Some(Verb::Check(a)) => check::verb(&a, kinds),
        Some(Verb::Show(a)) => show::verb(&a, kinds),
        Some(Verb::Diff(a)) => diff::verb(&a, kinds),
        Some(Verb::Nodes(a)) => nodes::verb(&a, kinds),
        Some(Verb::Run(a)) => run::verb(&a, kinds),
        Some(Verb::Verify(a)) => verify::verb(&a),
        Some(Verb::Probe(a)) => probe::verb(&a, kinds),
        Some(Verb::Bench(Bench::Data(a))) => bench::verb(&a, kinds),
        Some(Verb::Bench(Bench::Step(a))) => bench_step::verb(&a, kinds),
        _ => anyhow::bail!("this verb belongs to `dv`, which starts this program: run dv instead"),
    }
}
