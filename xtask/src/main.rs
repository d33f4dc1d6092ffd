//! `cargo xtask VERB`: what this repository does to itself.

mod clean;
mod docs;
mod fmt;
mod libtorch;
mod python;
mod quickstart;
mod setup;
mod sh;
mod soak;
mod test;
mod wheel;

use std::path::PathBuf;
use std::process::ExitCode;

/// Every fault is a sentence for the person at the terminal.
type Result<T> = std::result::Result<T, String>;

const USAGE: &str = "\
cargo xtask VERB

  wheels DIR                 fetch what setup needs into a folder, for a machine without a network
  setup [--wheels DIR]       put libtorch and, where there is none, ffmpeg into .deps/
  quickstart [--wheels DIR]  set up, build, generate and pack the motion set, run graphs/quickstart.toml
  test [--wheels DIR]        set up, then format, lints, build, tests and documentation
  clean [--all]              remove what quickstart made; with --all also .deps/ and target/
  fmt                        format everything, the node library too
  docs                       write docs/nodes.md and schema/graph.json from the node library, docs/faults.md from the bad graphs
  soak SUBJECT [--seconds N] [--seed N]
                             try dv on random input for so long (60 s); SUBJECT is graphs or sets

--wheels DIR takes the wheels from a folder instead of the network; `setup` names the files it wants.";

enum Verb {
    Wheels(PathBuf),
    Setup(Option<PathBuf>),
    Quickstart(Option<PathBuf>),
    Test(Option<PathBuf>),
    Clean { all: bool },
    Docs,
    Fmt,
    Soak(Vec<String>),
    Help,
}

fn parse(args: &[String]) -> Result<Verb> {
    let usage = |what: String| format!("{what}\n\n{USAGE}");
    let (verb, rest) = match args.split_first() {
        Some((verb, rest)) => (verb.as_str(), rest),
        None => return Err(usage("a verb is missing".into())),
    };
    // the program that soaks reads these itself
    if verb == "soak" && !rest.iter().any(|arg| arg == "--help" || arg == "-h") {
        return Ok(Verb::Soak(rest.to_vec()));
    }
    let mut wheels = None;
    let mut all = false;
    let mut rest = rest.iter();
    while let Some(arg) = rest.next() {
        match (verb, arg.as_str()) {
            ("setup" | "quickstart" | "test", "--wheels") => {
                let dir = rest.next().ok_or_else(|| usage("--wheels needs a folder".into()))?;
                wheels = Some(PathBuf::from(dir));
            }
            ("clean", "--all") => all = true,
            ("wheels", dir) if !dir.starts_with('-') && wheels.is_none() => wheels = Some(PathBuf::from(dir)),
            (_, "--help" | "-h") => return Ok(Verb::Help),
            _ => return Err(usage(format!("`{verb}` does not take `{arg}`"))),
        }
    }
    Ok(match verb {
        "wheels" => Verb::Wheels(wheels.ok_or_else(|| usage("`wheels` needs a folder".into()))?),
        "setup" => Verb::Setup(wheels),
        "quickstart" => Verb::Quickstart(wheels),
        "test" => Verb::Test(wheels),
        "clean" => Verb::Clean { all },
        "docs" => Verb::Docs,
        "fmt" => Verb::Fmt,
        "help" | "--help" | "-h" => Verb::Help,
        _ => return Err(usage(format!("there is no verb `{verb}`"))),
    })
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let verb = match parse(&args) {
        Ok(verb) => verb,
        Err(fault) => {
            eprintln!("error: {fault}");
            return ExitCode::from(2);
        }
    };
    let done = match verb {
        Verb::Wheels(dir) => setup::wheels(&dir),
        Verb::Setup(wheels) => setup::run(wheels.as_deref()),
        Verb::Quickstart(wheels) => quickstart::run(wheels.as_deref()),
        Verb::Test(wheels) => test::run(wheels.as_deref()),
        Verb::Clean { all } => clean::run(all),
        Verb::Docs => docs::run(),
        Verb::Fmt => fmt::run(),
        Verb::Soak(args) => soak::run(&args),
        Verb::Help => {
            println!("{USAGE}");
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("error: {fault}");
            ExitCode::FAILURE
        }
    }
}
