//! One call of `dv probe`: files in, files out.

use crate::numbered;
use crate::tensor::{self, Raw, Tensor};
use anyhow::{bail, Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A piece that dv does not have yet.
#[derive(Debug)]
pub struct NotYet(pub String);

impl std::fmt::Display for NotYet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for NotYet {}

#[derive(Default)]
pub struct Probe {
    pub graph: PathBuf,
    pub stage: String,
    pub train: bool,
    pub steps: Option<usize>,
    /// Frames of the video of the set `numbered`, which the stage then reads.
    pub frames: Option<usize>,
    pub set: Vec<(String, String)>,
    pub feeds: Vec<(String, Tensor)>,
    pub fetches: BTreeSet<String>,
    pub gradients: BTreeSet<String>,
    pub weights: Option<Raw>,
}

impl Probe {
    /// What was asked for, by its name.
    pub fn run(&self, dv: &Path) -> Result<BTreeMap<String, Tensor>> {
        let dir = tempfile::tempdir()?;
        let at = |name: &str| dir.path().join(name);
        let mut command = Command::new(dv);
        command.arg("probe").arg(&self.graph).args(["--stage", &self.stage]);
        command.args(["--mode", if self.train { "train" } else { "eval" }]);
        if let Some(steps) = self.steps {
            command.args(["--steps", &steps.to_string()]);
        }
        for (path, value) in &self.set {
            command.args(["--set", &format!("{path}={value}")]);
        }
        if let Some(frames) = self.frames {
            numbered::write(&at("data").join("numbered"), frames)?;
        }
        command.arg("--data").arg(at("data"));
        let feeds: Raw = self
            .feeds
            .iter()
            .map(|(edge, t)| {
                let (dtype, bytes) = t.bytes();
                (edge.clone(), (dtype, t.shape.clone(), bytes))
            })
            .collect();
        tensor::write(&at("feeds"), &feeds)?;
        for edge in feeds.keys() {
            command.arg("--feed").arg(format!("{edge}={}#{edge}", at("feeds").display()));
        }
        if let Some(weights) = &self.weights {
            tensor::write(&at("weights"), weights)?;
            command.arg("--weights").arg(at("weights"));
        }
        for edge in &self.fetches {
            command.args(["--fetch", edge]);
        }
        for name in &self.gradients {
            command.args(["--grad", name]);
        }
        command.arg("--out").arg(at("out"));
        let output = command.output().with_context(|| format!("cannot start {}", dv.display()))?;
        if !output.status.success() {
            return Err(fault(&String::from_utf8_lossy(&output.stderr)).context(format!("dv probe of {}", self.graph.display())));
        }
        tensor::read(&at("out"))
    }
}

/// What dv said, as an error. A kind that does not exist, and what dv reports as unsupported, are not errors of the map.
fn fault(said: &str) -> anyhow::Error {
    let faults: Vec<&str> = said.lines().filter(|l| l.contains("error[")).collect();
    let mut missing = faults.iter().filter(|l| l.contains("[unknown-kind]") || l.contains("[unsupported]"));
    if let Some(line) = missing.next() {
        let message = line.split_once("]: ").map_or(*line, |(_, m)| m);
        return NotYet(message.to_string()).into();
    }
    let lines: Vec<&str> = if faults.is_empty() { said.lines().filter(|l| !l.is_empty()).collect() } else { faults };
    anyhow::anyhow!("{}", lines.into_iter().take(4).collect::<Vec<_>>().join("; "))
}

/// The program `dv` beside this one.
pub fn program() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    // a test's program lies one folder below
    let found = own.ancestors().skip(1).take(2).map(|d| d.join("dv")).find(|p| p.is_file());
    match found {
        Some(dv) => Ok(dv),
        None => bail!("there is no dv beside {}; build it: cargo build --release --workspace", own.display()),
    }
}
