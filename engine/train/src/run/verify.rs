//! Comparing a run's folder with its record.

use super::folder::{hash, GRAPH, LOG};
use super::record::{self, Record};
use anyhow::{ensure, Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Compares everything in a run's folder, or in those of a sweep's points, with what the run recorded: how many files were compared, and what
/// is wrong with each that differs, is lost or is not the run's.
pub fn verify(path: &Path) -> Result<(usize, Vec<String>)> {
    if path.join(record::FILE).exists() {
        return Ok(verify_one(path));
    }
    let entries = fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut points: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|p| p.join(record::FILE).exists()).collect();
    points.sort();
    ensure!(!points.is_empty(), "{} holds no run", path.display());
    let mut all = (0, Vec::new());
    for (files, faults) in points.iter().map(|point| verify_one(point)) {
        all.0 += files;
        all.1.extend(faults);
    }
    Ok(all)
}

fn verify_one(path: &Path) -> (usize, Vec<String>) {
    let record = match Record::load(path) {
        Ok(record) => record,
        Err(e) => return (1, vec![format!("{e:#}")]),
    };
    let mut faults = Vec::new();
    let mut compare = |file: &str, known: &str| match hash(&path.join(file)) {
        Ok(sum) if sum == known => {}
        Ok(_) => faults.push(format!("{}: it is not what the run left: changed or damaged", path.join(file).display())),
        Err(e) => faults.push(format!("{e:#}")),
    };
    compare(GRAPH, &record.graph);
    let own: BTreeMap<&str, &str> = record.stages.values().flat_map(|s| &s.files).map(|(f, sum)| (f.as_str(), sum.as_str())).collect();
    own.iter().for_each(|(file, sum)| compare(file, sum));
    let log = fs::metadata(path.join(LOG)).map_or(0, |meta| meta.len());
    if log < record.log {
        faults.push(format!("{}: it has {log} bytes, and the run wrote {}", path.join(LOG).display(), record.log));
    }
    let mut others = Vec::new();
    for part in ["checkpoints", "tables", "files"] {
        files_below(path, Path::new(part), &mut others);
    }
    let foreign = others.iter().filter(|file| !own.contains_key(file.as_str()));
    faults.extend(foreign.map(|file| format!("{}: no stage of the run left it", path.join(file).display())));
    (own.len() + 2, faults)
}

fn files_below(root: &Path, below: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(root.join(below)).into_iter().flatten().flatten() {
        let path = below.join(entry.file_name());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            files_below(root, &path, found);
        } else {
            found.push(path.display().to_string());
        }
    }
}
