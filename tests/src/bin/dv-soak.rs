//! `dv-soak SUBJECT --seconds N [--seed N] [--cases N] [--jobs N]`: the long tests; `cargo xtask soak` builds dv and starts this.
//! `dv-soak read SET REPORT`: what a reader gets from a set, in a process of its own.

use dv_datasets::Ffmpeg;
use dv_tests::soak::graphs::{Corpus, Graphs};
use dv_tests::soak::pack::Packs;
use dv_tests::soak::runs::Runs;
use dv_tests::soak::sets::{self, Sets};
use dv_tests::soak::{self, Plan, Tally};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(usage) => {
            eprintln!("error: {usage}");
            ExitCode::from(2)
        }
    }
}

/// Whether all cases passed.
fn run(args: &[String]) -> Result<bool, String> {
    if let [verb, set, report] = args {
        if verb == "read" {
            let lines = sets::report(Path::new(set)).iter().map(|line| line.replace('\n', " ")).collect::<Vec<_>>().join("\n");
            return std::fs::write(report, lines + "\n").map(|()| true).map_err(|e| format!("{report}: {e}"));
        }
    }
    let (subject, rest) = args.split_first().ok_or("name what to soak: graphs, sets, pack or runs")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs());
    let jobs = std::thread::available_parallelism().map_or(1, |n| n.get());
    let mut plan = Plan { seed: now * 1_000_000, cases: u64::MAX, time: Duration::from_secs(60), jobs };
    for pair in rest.chunks(2) {
        let [name, value] = pair else { return Err(format!("`{}` needs a value", pair[0])) };
        let number: u64 = value.parse().map_err(|_| format!("{name}: `{value}` is not a number"))?;
        match name.as_str() {
            "--seconds" => plan.time = Duration::from_secs(number),
            "--seed" => plan.seed = number,
            "--cases" => plan.cases = number,
            "--jobs" => plan.jobs = number as usize,
            _ => return Err(format!("there is no option `{name}`")),
        }
    }
    let reader = std::env::current_exe().map_err(|e| e.to_string())?;
    let program = reader.with_file_name("dv");
    let kept = dv_tests::root().join("target/soak");
    eprintln!("soaking {subject} from seed {} on, for {:?}, {} at once", plan.seed, plan.time, plan.jobs);
    let progress = |tally: &Tally| eprintln!("{} cases, {} failed", tally.cases, tally.failures.len());
    let tally = match subject.as_str() {
        "graphs" => soak::run(&Graphs { corpus: Corpus::of(&dv_tests::root()), program, kept }, plan, &progress),
        "sets" => soak::run(&Sets { program, reader, kept }, plan, &progress),
        "runs" => soak::run(&Runs { program, kept }, plan, &progress),
        "pack" => {
            let ffmpeg = Ffmpeg::find().map_err(|e| format!("{e:#}"))?;
            soak::run(&Packs { program, ffmpeg, kept }, plan, &progress)
        }
        other => return Err(format!("`{other}` cannot be soaked; there are: graphs, sets, pack, runs")),
    };
    print!("{tally}");
    for (seed, failure) in &tally.failures {
        println!("FAILED, seed {seed}: {}", failure.what);
        println!("    kept as {}", failure.kept.display());
        println!("    again: cargo xtask soak {subject} --seed {seed} --cases 1");
    }
    Ok(tally.failures.is_empty())
}
