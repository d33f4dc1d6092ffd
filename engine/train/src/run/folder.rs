//! The folder of a run: the resolved graph, the log of metrics, the result, and what stages leave for later ones.
//!
//! One process writes it at a time. `run.json` ([`Record`]) has the BLAKE3 of every file that a stage left; whatever is read again is
//! compared with it.

use super::record::{self, Metric, Record, Stage};
use super::tables;
use crate::exec::batch::Table;
use crate::state::tensors;
use anyhow::{bail, ensure, Context, Result};
use dv_datasets::file::{self, Limit};
use rustix::fs::{flock, FlockOperation};
use rustix::io::Errno;
use serde_json::{json, Map, Value};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// What a run writes of itself.
const RESOLVED: Limit = Limit::new(64_000_000, "the graph of a run");
pub(super) const GRAPH: &str = "graph.toml";
pub(super) const LOG: &str = "metrics.jsonl";
const LOCK: &str = ".lock";

/// What is to become of a folder that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// There must be none.
    New,
    /// Stages are added to what is there, if anything is.
    Stages,
    /// It must be a run, which goes on.
    Resume,
}

pub struct Folder {
    pub path: PathBuf,
    log: File,
    record: Record,
    /// Files that were compared with the record by this process.
    verified: RefCell<BTreeSet<String>>,
    /// Held while this lives; the system lets go of it however the process ends.
    _lock: File,
    pub fsync: bool,
    /// What a person should know of what was found.
    pub notes: Vec<String>,
}

impl Folder {
    /// Makes the folder, or takes over one that is there. Errors: it is there and should not be, or the other way round; it is no run's, or another
    /// graph's, or of another version; another process writes it.
    pub fn open(path: &Path, name: &str, resolved: &str, machine: Value, open: Open, fsync: bool) -> Result<Folder> {
        let say = || path.display().to_string();
        if path.is_file() {
            bail!("{} is a file, and a run has a folder: give another name (--out DIR)", say());
        }
        let there = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
        let run = path.join(record::FILE).exists();
        match open {
            Open::Resume if !run => bail!("there is no run in {} to resume: leave --resume out, or give its folder (--out DIR)", say()),
            Open::New if run => bail!("the run folder {} exists: go on with it (--resume), give another (--out DIR), or remove it", say()),
            // a process that was killed before it wrote anything leaves the lock alone
            _ if there && !run && !path.join(LOCK).exists() => {
                bail!("{} is a folder of something else (it has no {}): give another (--out DIR)", say(), record::FILE)
            }
            _ => {}
        }
        fs::create_dir_all(path).with_context(|| format!("cannot make the run folder {}", say()))?;
        let (lock, locked) = lock(path)?;
        let (mut notes, mut record) = (Vec::new(), Record::new(name, resolved));
        if !locked {
            notes.push(format!("the file system of {} has no locks: make sure that no other dv writes there", say()));
        }
        if path.join(record::FILE).exists() {
            let before = Record::load(path)?;
            let graph = path.join(GRAPH);
            if before.graph != record.graph {
                let text = file::read_text(&graph, RESOLVED).unwrap_or_default();
                let first = text.lines().zip(resolved.lines()).find(|(a, b)| a != b);
                let first = first.map_or(String::new(), |(a, b)| format!("; it has `{}`, and now `{}`", a.trim(), b.trim()));
                bail!("the run folder {} is of another graph ({}){first}: give another folder (--out DIR)", say(), graph.display());
            }
            notes.extend(other_machine(&before.machine, &machine));
            record = before;
        }
        remove_temporary(path);
        record.machine = machine;
        file::write(&path.join(GRAPH), resolved.as_bytes(), fsync)?;
        notes.extend(cut_log(&path.join(LOG), record.log)?);
        let log = OpenOptions::new().create(true).append(true).open(path.join(LOG));
        let log = log.with_context(|| format!("cannot open {}", path.join(LOG).display()))?;
        record.save(path, fsync)?;
        Ok(Folder { path: path.to_path_buf(), log, record, verified: RefCell::default(), _lock: lock, fsync, notes })
    }

    /// One line of the log.
    pub fn log(&mut self, line: &Value) -> Result<()> {
        writeln!(self.log, "{line}").with_context(|| format!("cannot write {}", self.path.join(LOG).display()))
    }

    pub fn stage(&self, stage: &str) -> Option<&Stage> {
        self.record.stages.get(stage)
    }

    pub fn has_result(&self, stage: &str) -> bool {
        self.stage(stage).is_some_and(|s| s.finished)
    }

    /// Whether the set is the one that the run has read before under this name.
    pub fn same_set(&mut self, set: &str, fingerprint: &str) -> Result<()> {
        let known = self.record.data.entry(set.to_owned()).or_insert_with(|| fingerprint.to_owned());
        ensure!(
            known == fingerprint,
            "the set `{set}` is another than the run in {} has read so far (fingerprint {fingerprint}, before {known}): put the former set back, \
             or run the graph in another folder (--out DIR)",
            self.path.display()
        );
        Ok(())
    }

    /// Forgets what a stage left, before it runs anew. An error where it has checkpoints that nobody has removed.
    pub fn begin_stage(&mut self, stage: &str) -> Result<()> {
        let checkpoints = file::below(&self.path.join("checkpoints"), stage)?;
        let before = self.record.stages.get(stage).cloned().unwrap_or_default();
        if before.files.is_empty() {
            let empty = fs::read_dir(&checkpoints).map_or(true, |mut entries| entries.next().is_none());
            ensure!(empty, "{} holds checkpoints that are not of this run: move it elsewhere", checkpoints.display());
        }
        if before.files.keys().any(|file| file.starts_with("checkpoints/")) && checkpoints.exists() {
            let how = if before.finished { "has finished" } else { "has a checkpoint (--resume goes on with it)" };
            bail!("the stage `{stage}` {how} in {}: remove {} to run it anew", self.path.display(), checkpoints.display());
        }
        let log = self.log_length()?;
        self.record.stages.insert(stage.to_owned(), Stage { log, ..Stage::default() });
        self.verified.borrow_mut().clear();
        self.save()
    }

    /// Goes on with a stage that was interrupted: at its checkpoint, else at its beginning. What was logged after that is cut off.
    pub fn resume_stage(&mut self, stage: &str) -> Result<()> {
        let Some(own) = self.stage(stage) else { return self.begin_stage(stage) };
        cut_log(&self.path.join(LOG), own.log)?;
        if own.checkpoint.is_none() {
            self.record.stages.insert(stage.to_owned(), Stage { log: self.log_length()?, ..Stage::default() });
        }
        self.remove_unfinished(stage)?;
        self.save()
    }

    /// Removes checkpoints that a process which was killed was just writing, or removing: those that the record does not know.
    fn remove_unfinished(&self, stage: &str) -> Result<()> {
        let checkpoints = file::below(&self.path.join("checkpoints"), stage)?;
        for entry in fs::read_dir(&checkpoints).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let ours = !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit() || b == b'+');
            let start = format!("checkpoints/{stage}/{name}/");
            let known = self.stage(stage).is_some_and(|own| own.files.keys().any(|file| file.starts_with(&start)));
            if ours && !known {
                fs::remove_dir_all(entry.path()).with_context(|| format!("cannot remove {}", entry.path().display()))?;
            }
        }
        Ok(())
    }

    /// Bytes of the log.
    pub fn log_length(&self) -> Result<u64> {
        Ok(self.log.metadata().with_context(|| self.path.join(LOG).display().to_string())?.len())
    }

    /// Writes a file that a stage leaves, by its path in the folder.
    pub fn put(&mut self, stage: &str, file: &str, content: &[u8]) -> Result<()> {
        let path = self.path.join(file);
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        file::write(&path, content, self.fsync)?;
        let sum = blake3::hash(content).to_hex().to_string();
        self.record.stages.entry(stage.to_owned()).or_default().files.insert(file.to_owned(), sum);
        self.verified.borrow_mut().remove(file);
        Ok(())
    }

    /// Removes files that a stage left: all whose paths begin so. The record forgets them first.
    pub fn remove(&mut self, stage: &str, folder: &str) -> Result<()> {
        if let Some(own) = self.record.stages.get_mut(stage) {
            own.files.retain(|file, _| !file.starts_with(&format!("{folder}/")));
        }
        self.save()?;
        let path = self.path.join(folder);
        match fs::remove_dir_all(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).with_context(|| format!("cannot remove {}", path.display())),
            _ => Ok(()),
        }
    }

    /// The path of a file that a stage left, once it is compared with the record.
    pub fn get(&self, stage: &str, file: &str) -> Result<PathBuf> {
        let path = self.path.join(file);
        let known = self.stage(stage).and_then(|own| own.files.get(file));
        let known = known.with_context(|| format!("{} was not left by the stage `{stage}` of this run", path.display()))?;
        if self.verified.borrow().contains(file) {
            return Ok(path);
        }
        let sum = hash(&path)?;
        ensure!(
            sum == *known,
            "{} is not what the stage `{stage}` left: it was changed or damaged. Put it back, or remove what the stage left and run it anew",
            path.display()
        );
        self.verified.borrow_mut().insert(file.to_owned());
        Ok(path)
    }

    /// Notes that a stage has a checkpoint of that name, from which it can go on.
    pub fn checkpointed(&mut self, stage: &str, name: &str, epoch: u64, step: u64, best: Option<u64>, log: Option<u64>) -> Result<()> {
        let log = log.map_or_else(|| self.log_length(), Ok)?;
        let own = self.record.stages.entry(stage.to_owned()).or_default();
        (own.checkpoint, own.epoch, own.step, own.best, own.log) = (Some(name.to_owned()), epoch, step, best, log);
        self.save()
    }

    /// Notes what a stage came to, and writes `result.json`.
    pub fn finish_stage(&mut self, stage: &str, metrics: &[(String, f64)], seconds: f64) -> Result<()> {
        let own = self.record.stages.entry(stage.to_owned()).or_default();
        own.finished = true;
        own.metrics = metrics.iter().map(|(name, value)| Metric { name: name.clone(), value: *value }).collect();
        own.seconds = seconds;
        self.save()?;
        self.write_result()
    }

    /// Writes the record, after what is in the log.
    fn save(&mut self) -> Result<()> {
        if self.fsync {
            self.log.sync_data().with_context(|| format!("cannot write {}", self.path.join(LOG).display()))?;
        }
        self.record.log = self.log_length()?;
        self.record.save(&self.path, self.fsync)
    }

    fn write_result(&self) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.result())?;
        file::write(&self.path.join("result.json"), text.as_bytes(), self.fsync)
    }

    /// Writes a text file into the folder.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        file::write(&self.path.join(name), text.as_bytes(), self.fsync)
    }

    /// What `result.json` holds: name, machine, the sets' fingerprints, and of each finished stage its metrics and seconds.
    pub fn result(&self) -> Map<String, Value> {
        let mut stages = Map::new();
        for (name, stage) in self.record.stages.iter().filter(|(_, stage)| stage.finished) {
            let metrics: Map<String, Value> = stage.metrics.iter().map(|m| (m.name.clone(), json!(m.value))).collect();
            let mut own = json!({"metrics": metrics, "seconds": stage.seconds});
            if let Some(point) = &stage.point {
                own["point"] = json!(point);
            }
            stages.insert(name.clone(), own);
        }
        let mut result = Map::new();
        result.insert("name".into(), json!(self.record.name));
        result.insert("stages".into(), Value::Object(stages));
        result.insert("data".into(), json!(self.record.data));
        result.insert("machine".into(), self.record.machine.clone());
        result
    }

    /// Leaves a table for the user: `files/STAGE/NODE.PORT.safetensors`; the set and its fingerprint are in the header.
    pub fn save_file(&mut self, stage: &str, name: &str, table: &Table, set: Option<(&String, &String)>) -> Result<()> {
        let file = below("files", stage, &format!("{}.safetensors", name.replace('/', "-")))?;
        let mut header = BTreeMap::from([("stage".to_string(), stage.to_string()), ("table".to_string(), name.to_string())]);
        if let Some((set, fingerprint)) = set {
            header.insert("set".into(), set.clone());
            header.insert("fingerprint".into(), fingerprint.clone());
        }
        self.put(stage, &file, &tensors::serialise(&tables::tensors_of(table), Some(header))?)
    }

    /// Leaves a table for later stages.
    pub fn save_table(&mut self, stage: &str, node: &str, port: &str, table: &Table) -> Result<()> {
        let file = table_file(stage, node, port)?;
        self.put(stage, &file, &tensors::serialise(&tables::tensors_of(table), None)?)
    }

    pub fn load_table(&self, stage: &str, node: &str, port: &str) -> Result<Table> {
        let path = self.get(stage, &table_file(stage, node, port)?)?;
        tables::table_of(tensors::read(&path)?).with_context(|| format!("{} is not a table", path.display()))
    }

    /// Whether a stage of an earlier call left the table.
    pub fn has_table(&self, stage: &str, node: &str, port: &str) -> bool {
        let file = table_file(stage, node, port);
        file.is_ok_and(|file| self.stage(stage).is_some_and(|own| own.finished && own.files.contains_key(&file)))
    }

    /// Takes over what another run left of a stage that is the same there: its result, checkpoints, tables and files.
    pub fn adopt(&mut self, stage: &str, other: &Path, point: &str) -> Result<()> {
        let theirs = Record::load(other)?;
        let mut own = theirs.stages.get(stage).filter(|s| s.finished).cloned();
        let own = own.as_mut().with_context(|| format!("the point `{point}` has not finished the stage `{stage}`"))?;
        for file in own.files.keys() {
            let (from, to) = (other.join(file), self.path.join(file));
            link(&from, &to).with_context(|| format!("cannot take over {} as {}", from.display(), to.display()))?;
        }
        for (set, fingerprint) in &theirs.data {
            self.same_set(set, fingerprint)?;
        }
        own.point = Some(own.point.take().unwrap_or_else(|| point.to_owned()));
        self.record.stages.insert(stage.to_owned(), own.clone());
        self.save()?;
        self.write_result()
    }
}

/// `PART/STAGE/NAME`, as a path in the folder.
fn below(part: &str, stage: &str, name: &str) -> Result<String> {
    file::below(&file::below(Path::new(part), stage)?, name).map(|path| path.display().to_string())
}

fn table_file(stage: &str, node: &str, port: &str) -> Result<String> {
    below("tables", stage, &format!("{}.{port}.safetensors", node.replace('/', "-")))
}

/// Keeps other processes out; `false` where the file system has no locks, and two runs in one folder are not told apart.
fn lock(path: &Path) -> Result<(File, bool)> {
    let file = path.join(LOCK);
    let say = || format!("cannot lock {}", path.display());
    let mut lock = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&file).with_context(say)?;
    let held = flock(&lock, FlockOperation::NonBlockingLockExclusive);
    if let Err(Errno::WOULDBLOCK) = held {
        let mut who = String::new();
        let _ = Read::by_ref(&mut lock).take(100).read_to_string(&mut who);
        let who = who.trim();
        let who = if who.is_empty() { String::new() } else { format!(" (process {})", dv_datasets::text::line(who)) };
        bail!("another dv{who} runs in {}: wait for it, or give another folder (--out DIR)", path.display());
    }
    lock.set_len(0).with_context(say)?;
    write!(lock, "{}", std::process::id()).with_context(say)?;
    Ok((lock, held.is_ok()))
}

/// Says what of the machine is another than before, and may round otherwise.
fn other_machine(before: &Value, now: &Value) -> Vec<String> {
    let keys = ["device", "cpu_capability", "compute_threads"];
    let differing = keys.into_iter().filter(|key| !before[key].is_null() && before[key] != now[key]);
    differing.map(|key| format!("{key} was {}, and is {}: numbers may round otherwise", before[key], now[key])).collect()
}

/// Files that a process which was killed was just writing.
fn remove_temporary(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => remove_temporary(&entry.path()),
            Ok(kind) if kind.is_file() && entry.file_name().to_string_lossy().starts_with(file::TEMPORARY) => {
                let _ = fs::remove_file(entry.path());
            }
            _ => {}
        }
    }
}

/// Cuts the log back to what the record knows, so that what is computed again stands in it once. A note where it is shorter.
fn cut_log(path: &Path, length: u64) -> Result<Option<String>> {
    let now = fs::metadata(path).map_or(0, |meta| meta.len());
    if now > length {
        let file = OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(length));
        file.with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok((now < length).then(|| format!("{} lacks {} of its {length} bytes: lines of it are lost", path.display(), length - now)))
}

pub(super) fn hash(path: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut file = file::open(path)?;
    std::io::copy(&mut file, &mut hasher).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// The same file at another place, without its bytes twice where the disk allows it.
fn link(from: &Path, to: &Path) -> std::io::Result<()> {
    if let Some(dir) = to.parent() {
        fs::create_dir_all(dir)?;
    }
    let _ = fs::remove_file(to);
    if fs::hard_link(from, to).is_err() {
        let mut from = file::open(from).map_err(std::io::Error::other)?;
        std::io::copy(&mut from, &mut File::create(to)?)?;
    }
    Ok(())
}
