//! The engine process, started by `dv`: one file a verb.

mod bench;
mod check;
mod diff;
mod nodes;
mod probe;
mod run;
mod show;
mod smoke;
mod table;

use std::process::ExitCode;

use clap::Parser;
use dv_cli::args::{Bench, Cli, Verb};
use dv_cli::exit;

fn main() -> ExitCode {
    let cli = Cli::parse();
    exit::guard(|| {
        dv_train::caught::quiet_caught_panics();
        match cli.verb {
            Some(Verb::Check(a)) => check::verb(&a),
            Some(Verb::Show(a)) => show::verb(&a),
            Some(Verb::Diff(a)) => diff::verb(&a),
            Some(Verb::Nodes(a)) => nodes::verb(&a),
            Some(Verb::Run(a)) => run::verb(&a),
            Some(Verb::Probe(a)) => probe::verb(&a),
            Some(Verb::Bench(Bench::Data(a))) => bench::verb(&a),
            _ => anyhow::bail!("this verb belongs to `dv`, which starts this program: call dv"),
        }
    })
}
