//! A run's folder, as far as its weights are wanted: what `run.json` says of a stage, and the names that its graph gives models.

use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Context, Result};
use dv_datasets::file::{self, Limit};
use dv_datasets::{sealed, text};
use serde_json::Value;

const RECORD: Limit = Limit::new(256_000_000, "the record of a run");
const GRAPH: Limit = Limit::new(64_000_000, "a resolved graph");
/// The version of a run's folder that this build reads.
const VERSION: u64 = 1;

pub struct Run {
    dir: PathBuf,
    record: Value,
    graph: toml::Table,
}

/// The file of a checkpoint's models, and what it must be.
pub struct Checkpoint {
    pub path: PathBuf,
    /// BLAKE3 in hex.
    pub hash: String,
    pub epoch: u64,
    pub finished: bool,
}

impl Run {
    pub fn open(dir: &Path) -> Result<Run> {
        let path = dir.join("run.json");
        if !path.exists() {
            if dir.join(".shared").is_dir() {
                bail!("{} is the folder of a sweep: name the folder of one of its points", text::path(dir));
            }
            bail!("{} is not the folder of a run: it has no run.json", text::path(dir));
        }
        let content = file::read(&path, RECORD)?;
        let named = || text::path(&path);
        sealed::check(&content).with_context(named)?;
        let record: Value = serde_json::from_slice(&content).with_context(named)?;
        ensure!(record["format"] == "dv-run", "{} is not the record of a run", named());
        let version = record["version"].as_u64();
        ensure!(version == Some(VERSION), "{} has the version {}; this dv reads {VERSION}", named(), record["version"]);
        let path = dir.join("graph.toml");
        let graph = file::read_text(&path, GRAPH)?;
        let sum = blake3::hash(graph.as_bytes()).to_hex();
        ensure!(record["graph"] == sum.as_str(), "{} is not the graph of the run: it was changed or damaged", text::path(&path));
        let graph = graph.parse().with_context(|| text::path(&path))?;
        Ok(Run { dir: dir.to_owned(), record, graph })
    }

    /// The last checkpoint of a stage.
    pub fn checkpoint(&self, stage: &str) -> Result<Checkpoint> {
        let stages = self.record["stages"].as_object().context("run.json has no stages")?;
        let trained = || {
            let names: Vec<&str> = stages.iter().filter(|(_, s)| s["checkpoint"].is_string()).map(|(name, _)| name.as_str()).collect();
            if names.is_empty() {
                "none".to_string()
            } else {
                names.join(", ")
            }
        };
        let own = stages.get(stage).with_context(|| {
            format!("{} has no stage `{}`; stages with a checkpoint: {}", text::path(&self.dir), text::line(stage), trained())
        })?;
        let name = own["checkpoint"].as_str();
        let name = name.with_context(|| format!("the stage `{stage}` has no checkpoint; stages with one: {}", trained()))?;
        let folder = file::below(&file::below(Path::new("checkpoints"), stage)?, name)?;
        let relative = folder.join("models.safetensors").display().to_string();
        let hash = own["files"][&relative].as_str().with_context(|| format!("the stage `{stage}` left no {relative}"))?;
        Ok(Checkpoint {
            path: self.dir.join(&relative),
            hash: hash.to_string(),
            epoch: own["epoch"].as_u64().unwrap_or(0),
            finished: own["finished"] == true,
        })
    }

    /// The paths that the graph gives a model in the reference's state dict; none where it has no `names`.
    pub fn names(&self, model: &str) -> Result<Vec<String>> {
        let names = self.graph.get("models").and_then(|models| models.get(model)).and_then(|model| model.get("names"));
        match names {
            None => Ok(Vec::new()),
            Some(toml::Value::String(one)) => Ok(vec![one.clone()]),
            Some(toml::Value::Array(list)) => {
                let all: Option<Vec<String>> = list.iter().map(|n| n.as_str().map(String::from)).collect();
                all.with_context(|| format!("the `names` of `{model}` in graph.toml are not strings"))
            }
            Some(_) => bail!("the `names` of `{model}` in graph.toml are neither a string nor a list"),
        }
    }
}
