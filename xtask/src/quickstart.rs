//! `quickstart`: from a fresh checkout to a number in a table.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::{setup, sh, Result};

/// The release build of the whole workspace.
const BUILD_SPACE: u64 = 2_500_000_000;

/// Fractions of test videos whose nearest neighbour has their class: what README states, over seeds and CPUs.
const PRETRAINED: (f64, f64) = (0.63, 0.81);
const UNTRAINED: (f64, f64) = (0.11, 0.16);

/// Does whatever is not done yet.
pub fn run(offline: Option<&Path>) -> Result<()> {
    let start = Instant::now();
    let root = sh::root();
    setup::run(offline)?;
    build()?;

    let videos = root.join("videos/motion");
    if videos.exists() && !videos.join("splits/groups.txt").exists() {
        eprintln!("videos/motion is an older dv's and has no groups.txt: it is generated again");
        sh::remove(&videos)?;
    }
    step("the motion videos", "videos/motion", videos.exists(), || dv(&["generate", "motion", "--out", "videos/motion"]))?;
    let data = root.join("data/motion");
    if data.exists() && !dv_says(&["inspect", "data/motion"], "") {
        eprintln!("data/motion is not one that this dv reads: it is packed again");
        sh::remove(&data)?;
    }
    step("the packed set", "data/motion", data.exists(), || {
        dv(&[
            "pack",
            "folder",
            "--size",
            "64x64",
            "--filter",
            "bilinear",
            "--videos",
            "videos/motion/videos",
            "--splits",
            "videos/motion/splits",
            "--out",
            "data/motion",
        ])
    })?;

    let out = root.join("runs/quickstart");
    let result = out.join("result.json");
    // the comparison is the run's last stage
    let done = std::fs::read_to_string(&result).is_ok_and(|text| text.contains("\"comparison\""));
    if out.exists() && !done {
        eprintln!("runs/quickstart was cut short: it starts afresh");
        sh::remove(&out)?;
    }
    // a run's graph.toml is its graph resolved: a graph like another
    if done && !dv_says(&["diff", "runs/quickstart/graph.toml", "graphs/quickstart.toml"], "are the same after resolving") {
        return Err("runs/quickstart is a run of another graph than graphs/quickstart.toml now is. To start afresh: cargo xtask clean; \
                    to keep it: dv run graphs/quickstart.toml --out runs/OTHER"
            .into());
    }
    step("the run", "runs/quickstart", done, || dv(&["run", "graphs/quickstart.toml", "--out", "runs/quickstart", "--data", "data"]))?;
    if done {
        let table = out.join("table.txt");
        print!("{}", std::fs::read_to_string(&table).map_err(|fault| format!("{}: {fault}", table.display()))?);
        eprintln!("nothing was run again; to start afresh: cargo xtask clean && cargo xtask quickstart");
    }
    compare(&result)?;
    eprintln!("quickstart took {}", sh::time(start.elapsed().as_secs_f64()));
    Ok(())
}

/// Compares the run's result with the range that README states.
fn compare(result: &Path) -> Result<()> {
    let text = std::fs::read_to_string(result).map_err(|fault| format!("{}: {fault}", result.display()))?;
    for (stage, (low, high)) in [("retrieval", PRETRAINED), ("retrieval_untrained", UNTRAINED)] {
        let top1 = metric(&text, stage, "score.top1").ok_or_else(|| format!("{} has no top-1 of `{stage}`", result.display()))?;
        let place = match top1 {
            top1 if (low..=high).contains(&top1) => "within",
            _ => "OUTSIDE",
        };
        eprintln!("{stage}: top-1 {top1:.4}, {place} README's range for all seeds and CPUs, {low} to {high}");
        if place == "OUTSIDE" {
            eprintln!("warning: CPUs round differently, but not by that much: something is wrong with this build or machine; please report it with {}", result.display());
        }
    }
    Ok(())
}

/// A number of a stage in `result.json`. The file is dv's own, in which a stage's metrics follow its name.
fn metric(text: &str, stage: &str, name: &str) -> Option<f64> {
    let (_, rest) = text.split_once(&format!("\"{stage}\": {{"))?;
    let (_, rest) = rest.split_once(&format!("\"{name}\":"))?;
    rest.split([',', '}', '\n']).next()?.trim().parse().ok()
}

/// Builds the release binaries.
pub fn build() -> Result<()> {
    if !sh::target().join("release/dv").exists() {
        sh::need_space(&sh::target(), BUILD_SPACE, "the build")?;
    }
    sh::run("the build", &mut sh::cargo(&["build", "--release"]))
}

fn step(what: &str, place: &str, done: bool, work: impl FnOnce() -> Result<()>) -> Result<()> {
    if done {
        eprintln!("kept {what} in {place}");
        return Ok(());
    }
    work()
}

/// Whether the release `dv` ends with status 0 and says these words, which are not shown.
fn dv_says(args: &[&str], words: &str) -> bool {
    let mut command = Command::new(sh::target().join("release/dv"));
    let said = command.args(args).current_dir(sh::root()).output();
    said.is_ok_and(|said| said.status.success() && String::from_utf8_lossy(&said.stdout).contains(words))
}

/// Runs the release `dv` in the repository's root, as a user would.
fn dv(args: &[&str]) -> Result<()> {
    eprintln!("$ target/release/dv {}", args.join(" "));
    let mut command = Command::new(sh::target().join("release/dv"));
    sh::run(&format!("dv {}", args[0]), command.args(args).current_dir(sh::root()))
}
