//! The folder of a run: the resolved graph, the log of metrics, the result, tables for later stages.

use crate::exec::batch::Table;
use crate::state::tensors;
use anyhow::{bail, ensure, Context, Result};
use dv_datasets::file::{self, Limit};
use dv_graph::draw::Sample;
use serde_json::{json, Map, Value};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use tch::Tensor;

/// What a run writes of itself.
const RESOLVED: Limit = Limit::new(64_000_000, "the graph of a run");
const RESULT: Limit = Limit::new(64_000_000, "the result of a run");

pub struct Folder {
    pub path: PathBuf,
    log: File,
    result: Map<String, Value>,
    pub fsync: bool,
}

impl Folder {
    /// Makes the folder. One that exists is a fault, unless it is to be gone on with (`--stage`).
    pub fn create(path: &Path, name: &str, resolved: &str, machine: Value, go_on: bool, fsync: bool) -> Result<Folder> {
        let exists = path.exists();
        if path.is_file() {
            bail!("{} is a file, and a run has a folder: take another name (--out DIR)", path.display());
        }
        if exists && !go_on {
            bail!("the run folder {} exists: go on with it (--resume), or take another (--out DIR), or remove it", path.display());
        }
        fs::create_dir_all(path).with_context(|| format!("cannot make the run folder {}", path.display()))?;
        let mut result = json!({"name": name, "stages": {}, "data": {}});
        if exists {
            let graph = path.join("graph.toml");
            if graph.exists() && file::read_text(&graph, RESOLVED)? != resolved {
                bail!("the run folder {} holds another graph ({}): take another folder (--out DIR)", path.display(), graph.display());
            }
            if let Ok(text) = file::read_text(&path.join("result.json"), RESULT) {
                result = serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.join("result.json").display()))?;
            }
        }
        tensors::write_atomically(&path.join("graph.toml"), resolved.as_bytes(), fsync)?;
        let log = OpenOptions::new().create(true).append(true).open(path.join("metrics.jsonl")).context("cannot open metrics.jsonl")?;
        let Value::Object(mut result) = result else { bail!("{} is damaged", path.join("result.json").display()) };
        result.insert("machine".into(), machine);
        Ok(Folder { path: path.to_path_buf(), log, result, fsync })
    }

    /// One line of the log.
    pub fn log(&mut self, line: &Value) -> Result<()> {
        writeln!(self.log, "{line}").with_context(|| format!("cannot write {}", self.path.join("metrics.jsonl").display()))
    }

    pub fn has_result(&self, stage: &str) -> bool {
        self.result["stages"].get(stage).is_some()
    }

    /// Notes what a stage came to, and writes `result.json`.
    pub fn finish_stage(&mut self, stage: &str, metrics: &[(String, f64)], seconds: f64, data: &BTreeMap<String, String>) -> Result<()> {
        let metrics: Map<String, Value> = metrics.iter().map(|(n, v)| (n.clone(), json!(v))).collect();
        self.result["stages"][stage] = json!({"metrics": metrics, "seconds": seconds});
        for (set, fingerprint) in data {
            self.result["data"][set] = json!(fingerprint);
        }
        let text = serde_json::to_string_pretty(&self.result)?;
        tensors::write_atomically(&self.path.join("result.json"), text.as_bytes(), self.fsync)
    }

    /// Writes a text file into the folder.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        tensors::write_atomically(&self.path.join(name), text.as_bytes(), self.fsync)
    }

    pub fn result(&self) -> &Map<String, Value> {
        &self.result
    }

    /// Leaves a table for the user: `files/STAGE/NODE.PORT.safetensors`, as `table_tensors` has it; the set and its fingerprint are
    /// in the header.
    pub fn save_file(&self, stage: &str, name: &str, table: &Table, set: Option<(&String, &String)>) -> Result<()> {
        let path = file::below(&file::below(&self.path.join("files"), stage)?, &format!("{}.safetensors", name.replace('/', "-")))?;
        let mut header = BTreeMap::from([("stage".to_string(), stage.to_string()), ("table".to_string(), name.to_string())]);
        if let Some((set, fingerprint)) = set {
            header.insert("set".into(), set.clone());
            header.insert("fingerprint".into(), fingerprint.clone());
        }
        save(&path, table, Some(header), self.fsync)
    }

    /// Takes over what another run left of a stage that is the same there: its result, checkpoints, tables and files.
    pub fn adopt(&mut self, stage: &str, other: &Path, point: &str) -> Result<()> {
        for part in ["checkpoints", "tables", "files"] {
            let (from, to) = (file::below(&other.join(part), stage)?, file::below(&self.path.join(part), stage)?);
            if from.is_dir() {
                link(&from, &to).with_context(|| format!("cannot take over {} as {}", from.display(), to.display()))?;
            }
        }
        let path = other.join("result.json");
        let text = file::read_text(&path, RESULT)?;
        let theirs: Value = serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))?;
        self.result["stages"][stage] = theirs["stages"][stage].clone();
        self.result["stages"][stage]["point"] = json!(point);
        if let Some(sets) = theirs["data"].as_object() {
            for (set, fingerprint) in sets {
                self.result["data"][set] = fingerprint.clone();
            }
        }
        let text = serde_json::to_string_pretty(&self.result)?;
        tensors::write_atomically(&self.path.join("result.json"), text.as_bytes(), self.fsync)
    }

    fn table_path(&self, stage: &str, node: &str, port: &str) -> Result<PathBuf> {
        let folder = file::below(&self.path.join("tables"), stage)?;
        file::below(&folder, &format!("{}.{port}.safetensors", node.replace('/', "-")))
    }

    /// Keeps a table for stages of a later call.
    pub fn save_table(&self, stage: &str, node: &str, port: &str, table: &Table) -> Result<()> {
        save(&self.table_path(stage, node, port)?, table, None, self.fsync)
    }

    pub fn load_table(&self, stage: &str, node: &str, port: &str) -> Result<Table> {
        let path = self.table_path(stage, node, port)?;
        table_of(tensors::read(&path)?).with_context(|| format!("{} is damaged", path.display()))
    }

    /// Whether a stage of an earlier call left the table.
    pub fn has_table(&self, stage: &str, node: &str, port: &str) -> bool {
        self.table_path(stage, node, port).is_ok_and(|path| path.exists())
    }
}

/// A table as tensors: `rows` `[N, ...]`; where there are labels `label` `[N]`; `samples` and `groups`, the videos' paths and groups as UTF-8 bytes with
/// a zero byte between them, and `occurrences` `[N]` where a video comes more than once; of a table whose rows are positions in another table `of`, the
/// paths there.
fn table_tensors(table: &Table) -> BTreeMap<String, Tensor> {
    let names = |names: Vec<&str>| Tensor::from_slice(names.join("\0").as_bytes());
    let paths = |samples: &[Sample]| names(samples.iter().map(|s| &*s.path).collect());
    let mut all = BTreeMap::from([
        ("samples".to_string(), paths(&table.samples)),
        ("groups".to_string(), names(table.samples.iter().map(|s| &*s.group).collect())),
        ("rows".to_string(), table.rows.shallow_clone()),
    ]);
    if table.samples.iter().any(|s| s.occurrence > 0) {
        let occurrences: Vec<i64> = table.samples.iter().map(|s| s.occurrence as i64).collect();
        all.insert("occurrences".into(), Tensor::from_slice(&occurrences));
    }
    if let Some(label) = &table.label {
        all.insert("label".into(), label.shallow_clone());
    }
    if let Some(of) = &table.of {
        all.insert("of".into(), paths(of));
    }
    all
}

fn table_of(mut all: BTreeMap<String, Tensor>) -> Result<Table> {
    let mut names = |key: &str| -> Result<Vec<String>> {
        let bytes = Vec::<u8>::try_from(all.remove(key).with_context(|| format!("it has no `{key}`"))?)?;
        Ok(String::from_utf8(bytes).with_context(|| format!("`{key}` is not UTF-8"))?.split('\0').map(String::from).collect())
    };
    let (paths, groups) = (names("samples")?, names("groups")?);
    let of = names("of").ok().map(|of| of.iter().map(|path| Sample::new(path)).collect());
    let occurrences = match all.remove("occurrences") {
        Some(list) => Vec::<i64>::try_from(list)?,
        None => vec![0; paths.len()],
    };
    let rows = all.remove("rows").context("it has no `rows`")?;
    let n = rows.size().first().copied().unwrap_or(0) as usize;
    ensure!(paths.len() == n && groups.len() == n && occurrences.len() == n, "{n} rows, and {} samples", paths.len());
    let samples = paths.iter().zip(&groups).zip(occurrences);
    let samples =
        samples.map(|((path, group), o)| Sample { path: path.as_str().into(), group: group.as_str().into(), occurrence: o as u64 });
    Ok(Table { samples: samples.collect(), rows, label: all.remove("label"), of })
}

fn save(path: &Path, table: &Table, header: Option<BTreeMap<String, String>>, fsync: bool) -> Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    tensors::write_headed(path, &table_tensors(table), header, fsync)
}

/// The same files at another place, without their bytes twice where the disk allows it.
fn link(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            link(&entry.path(), &target)?;
        } else if fs::hard_link(entry.path(), &target).is_err() {
            let mut from = file::open(&entry.path()).map_err(std::io::Error::other)?;
            std::io::copy(&mut from, &mut File::create(&target)?)?;
        }
    }
    Ok(())
}
