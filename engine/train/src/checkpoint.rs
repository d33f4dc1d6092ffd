//! Checkpoints: a folder `checkpoints/<stage>/<epoch>` with the models, the optimiser's state and the counters,
//! each file whole or not there; `state.json` is written last and makes the folder count.

use crate::optimise::Running;
use crate::store::Store;
use crate::tensors;
use anyhow::{bail, Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Counters and what the run was, beside the tensors.
#[derive(Debug, Serialize, Deserialize)]
pub struct State {
    pub dv: String,
    pub stage: String,
    /// Completed epochs.
    pub epoch: u64,
    /// Optimiser steps of the stage so far.
    pub step: u64,
    pub seed: u64,
    pub compute_threads: i32,
    pub device: String,
    /// Fingerprints of the packed sets that were read.
    pub data: BTreeMap<String, String>,
}

fn folder(run: &Path, stage: &str, epoch: u64) -> PathBuf {
    run.join("checkpoints").join(stage).join(format!("{epoch:05}"))
}

/// Writes a checkpoint after a completed epoch.
pub fn save(run: &Path, state: &State, store: &Store, optimiser: &Running, fsync: bool) -> Result<()> {
    let dir = folder(run, &state.stage, state.epoch);
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let models = store.named().map(|(n, t)| (n, t.shallow_clone())).collect();
    tensors::write_with(&dir.join("models.safetensors"), &models, fsync)?;
    tensors::write_with(&dir.join("optimiser.safetensors"), &optimiser.state(), fsync)?;
    tensors::write_atomically(&dir.join("state.json"), serde_json::to_string_pretty(state)?.as_bytes(), fsync)
}

/// The finished checkpoints of a stage, oldest first.
pub fn epochs(run: &Path, stage: &str) -> Vec<u64> {
    let Ok(entries) = fs::read_dir(run.join("checkpoints").join(stage)) else { return Vec::new() };
    let mut list: Vec<u64> =
        entries.flatten().filter(|e| e.path().join("state.json").exists()).filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    list.sort_unstable();
    list
}

/// Removes all but the newest `last` checkpoints and the ones that are named.
pub fn prune(run: &Path, stage: &str, last: u64, named: &[u64]) -> Result<()> {
    let all = epochs(run, stage);
    let keep_from = all.len().saturating_sub(last as usize);
    for epoch in &all[..keep_from] {
        if !named.contains(epoch) {
            let dir = folder(run, stage, *epoch);
            // first what makes it count
            fs::remove_file(dir.join("state.json")).with_context(|| format!("cannot remove {}", dir.display()))?;
            fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
        }
    }
    Ok(())
}

/// Reads one model's values as the stage left them after `epoch` epochs, or at its end.
pub fn load_model(run: &Path, stage: &str, epoch: Option<u64>, model: &str, store: &mut Store) -> Result<()> {
    let there = epochs(run, stage);
    let epoch = match epoch.or(there.last().copied()) {
        Some(e) if there.contains(&e) => e,
        Some(e) => bail!("the stage `{stage}` left no checkpoint of epoch {e} in {}", run.display()),
        None => bail!("the stage `{stage}` left no checkpoint in {}", run.display()),
    };
    let path = folder(run, stage, epoch).join("models.safetensors");
    let values = tensors::read(&path)?;
    let target = store.models.get_mut(model).with_context(|| format!("no model `{model}`"))?;
    let names: Vec<String> = target.order.iter().map(|(n, _)| n.clone()).collect();
    for name in names {
        let value = values.get(&format!("{model}/{name}")).with_context(|| format!("{} has no `{model}/{name}`", path.display()))?;
        target.set(&name, value).with_context(|| path.display().to_string())?;
    }
    Ok(())
}
