//! Checkpoints: a folder `checkpoints/<stage>/<epoch>` with the models, the optimiser's state and the counters,
//! each file whole or not there; `state.json` is written last and makes the folder count.

use crate::state::optimise::Running;
use crate::state::store::Store;
use crate::state::tensors;
use anyhow::{bail, Context, Result};
use dv_datasets::file::{self, Limit};
use dv_graph::schedule::{BestState, PlateauState};
use dv_graph::stage::Checkpoint;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const STATE: Limit = Limit::new(16_000_000, "the state of a checkpoint");

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
    pub plateau: PlateauState,
    pub best: Option<BestState>,
}

fn folder(run: &Path, stage: &str, epoch: u64) -> Result<PathBuf> {
    Ok(file::below(&run.join("checkpoints"), stage)?.join(format!("{epoch:05}")))
}

/// Writes a checkpoint after a completed epoch.
pub fn save(run: &Path, state: &State, store: &Store, optimiser: &Running, fsync: bool) -> Result<()> {
    let dir = folder(run, &state.stage, state.epoch)?;
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    // of a stage that runs again and again: what is written anew does not count until it is whole
    match fs::remove_file(dir.join("state.json")) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e).with_context(|| format!("cannot replace {}", dir.display())),
        _ => {}
    }
    let named = |registers: bool| -> BTreeMap<String, tch::Tensor> {
        let own = |n: &str| n.rsplit_once('/').is_some_and(|(owner, _)| store.models.contains_key(owner));
        store.named().filter(|(n, _)| own(n) != registers).map(|(n, t)| (n, t.shallow_clone())).collect()
    };
    tensors::write_with(&dir.join("models.safetensors"), &named(false), fsync)?;
    if !store.registers.is_empty() {
        tensors::write_with(&dir.join("registers.safetensors"), &named(true), fsync)?;
    }
    tensors::write_with(&dir.join("optimiser.safetensors"), &optimiser.state(), fsync)?;
    tensors::write_atomically(&dir.join("state.json"), serde_json::to_string_pretty(state)?.as_bytes(), fsync)
}

/// The finished checkpoints of a stage, oldest first.
pub fn epochs(run: &Path, stage: &str) -> Vec<u64> {
    let Ok(folder) = file::below(&run.join("checkpoints"), stage) else { return Vec::new() };
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
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
            let dir = folder(run, stage, *epoch)?;
            // first what makes it count
            fs::remove_file(dir.join("state.json")).with_context(|| format!("cannot remove {}", dir.display()))?;
            fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
        }
    }
    Ok(())
}

/// Reads the values of one model or register as the stage left them.
pub fn load(run: &Path, stage: &str, at: Checkpoint, name: &str, store: &mut Store) -> Result<()> {
    let there = epochs(run, stage);
    let Some(last) = there.last() else { bail!("the stage `{stage}` left no checkpoint in {}", run.display()) };
    let epoch = match at {
        Checkpoint::Last => *last,
        Checkpoint::Epoch(e) if there.contains(&e) => e,
        Checkpoint::Epoch(e) => bail!("the stage `{stage}` left no checkpoint of epoch {e} in {}", run.display()),
        Checkpoint::Best => {
            let best = read_state(run, stage, *last)?.best.and_then(|b| b.at).filter(|e| there.contains(e));
            best.with_context(|| format!("the stage `{stage}` kept no best checkpoint in {}", run.display()))?
        }
    };
    let file = if store.models.contains_key(name) { "models.safetensors" } else { "registers.safetensors" };
    let path = folder(run, stage, epoch)?.join(file);
    let values = tensors::read(&path)?;
    for tensor in store.names_of(name) {
        let value = values.get(&format!("{name}/{tensor}")).with_context(|| format!("{} has no `{name}/{tensor}`", path.display()))?;
        store.set(name, &tensor, value).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn read_state(run: &Path, stage: &str, epoch: u64) -> Result<State> {
    let path = folder(run, stage, epoch)?.join("state.json");
    let text = file::read_text(&path, STATE)?;
    serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
}
