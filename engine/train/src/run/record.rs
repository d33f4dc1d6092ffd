//! `run.json`: what a run is, how far each of its stages is, and the BLAKE3 of each file that they left. What is read of a run is
//! compared with it, so that no file of another run, and none that has changed, is taken for the run's own.

use anyhow::{ensure, Context, Result};
use dv_datasets::file::{self, Limit};
use dv_datasets::sealed;
use dv_graph::exact;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

pub const FILE: &str = "run.json";
const FORMAT: &str = "dv-run";
/// The version of a run's folder that this build writes and reads.
pub const VERSION: u32 = 1;
const LIMIT: Limit = Limit::new(256_000_000, "the record of a run");

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub format: String,
    pub version: u32,
    pub dv: String,
    /// The graph's.
    pub name: String,
    /// BLAKE3 of the resolved graph, `graph.toml`.
    pub graph: String,
    /// What computed last.
    pub machine: Value,
    /// Bytes of `metrics.jsonl` that belong to what is recorded here.
    pub log: u64,
    /// Fingerprints of the sets that were read: one a set for the whole run.
    pub data: BTreeMap<String, String>,
    pub stages: BTreeMap<String, Stage>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Whether it ended. One that did not goes on from its checkpoint.
    pub finished: bool,
    /// Completed epochs and steps of the stage at its last checkpoint.
    pub epoch: u64,
    pub step: u64,
    /// The name of that checkpoint.
    pub checkpoint: Option<String>,
    /// Bytes of `metrics.jsonl` when it was there, or when the stage began.
    pub log: u64,
    /// The epoch that its `keep.best` chose.
    pub best: Option<u64>,
    pub metrics: Vec<Metric>,
    pub seconds: f64,
    /// The point of the sweep that computed it, where it was another.
    pub point: Option<String>,
    /// Each file that it left, by its path in the run's folder, and its BLAKE3 in hex.
    pub files: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    pub name: String,
    #[serde(with = "exact")]
    pub value: f64,
}

#[derive(Deserialize)]
struct Stamp {
    format: String,
    version: u32,
    #[serde(default)]
    dv: String,
}

impl Record {
    pub fn new(name: &str, graph: &str) -> Record {
        Record {
            format: FORMAT.into(),
            version: VERSION,
            dv: env!("CARGO_PKG_VERSION").into(),
            name: name.into(),
            graph: blake3::hash(graph.as_bytes()).to_hex().to_string(),
            machine: Value::Null,
            log: 0,
            data: BTreeMap::new(),
            stages: BTreeMap::new(),
        }
    }

    /// Reads and checks `folder/run.json`.
    pub fn load(folder: &Path) -> Result<Record> {
        let path = folder.join(FILE);
        let text = file::read_text(&path, LIMIT)?;
        let damaged = || format!("{} is damaged: remove {} and run the graph again", path.display(), folder.display());
        let stamp: Stamp = serde_json::from_str(&text).with_context(damaged)?;
        ensure!(stamp.format == FORMAT, "{} is not the record of a run", path.display());
        ensure!(
            stamp.version == VERSION,
            "{} has version {}, made by dv {}; this dv ({}) reads version {VERSION}: run the graph again in another folder (--out DIR)",
            path.display(),
            stamp.version,
            stamp.dv,
            env!("CARGO_PKG_VERSION")
        );
        sealed::check(text.as_bytes()).with_context(damaged)?;
        serde_json::from_str(&text).with_context(damaged)
    }

    pub fn save(&self, folder: &Path, fsync: bool) -> Result<()> {
        file::write(&folder.join(FILE), &sealed::seal(self)?, fsync)
    }
}
