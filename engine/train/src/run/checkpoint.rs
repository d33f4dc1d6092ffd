//! Checkpoints: a folder `checkpoints/STAGE/EPOCH` with models, registers, the optimiser's state and the counters; within an epoch
//! `EPOCH+STEP`, from which the stage can go on and which no other stage can read. Together they are the whole state of a stage: what goes on from one ends in
//! the numbers of a run that was not disturbed.

use super::folder::Folder;
use crate::run::metrics::Mean;
use crate::state::optimise::Running;
use crate::state::store::Store;
use crate::state::tensors;
use anyhow::{bail, ensure, Context, Result};
use dv_datasets::file::{self, Limit};
use dv_datasets::sealed;
use dv_graph::schedule::{BestState, PlateauState};
use dv_graph::stage::Checkpoint;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

use super::record::Metric;

const STATE: Limit = Limit::new(64_000_000, "the state of a checkpoint");

/// Counters and what the run was, beside the tensors.
#[derive(Debug, Serialize, Deserialize)]
pub struct State {
    pub dv: String,
    pub stage: String,
    /// Completed epochs.
    pub epoch: u64,
    /// Steps of the epoch under way.
    pub step_of_epoch: u64,
    /// Steps of the stage so far.
    pub step: u64,
    pub seed: u64,
    /// Device, CPU capability, threads.
    pub machine: serde_json::Value,
    /// Fingerprints of the packed sets that were read.
    pub data: BTreeMap<String, String>,
    pub plateau: PlateauState,
    pub best: Option<BestState>,
    /// The sums behind the means of the epoch under way, a metric each.
    pub means: Vec<Mean>,
    /// The metrics of the last epoch.
    pub last: Vec<Metric>,
    /// Videos read so far, and seconds taken.
    pub videos: u64,
    pub seconds: f64,
}

/// `00012`, or `00012+00340` within an epoch.
pub fn name(epoch: u64, step_of_epoch: u64) -> String {
    match step_of_epoch {
        0 => format!("{epoch:05}"),
        step => format!("{epoch:05}+{step:05}"),
    }
}

fn folder(stage: &str, name: &str) -> Result<String> {
    Ok(file::below(&file::below(Path::new("checkpoints"), stage)?, name)?.display().to_string())
}

/// Writes a checkpoint and makes it the one that the stage goes on from. `best`: the epoch that `keep.best` chose; `log`: how much of the log
/// belongs to it, where that is not all.
pub fn save(run: &mut Folder, state: &State, store: &Store, optimiser: &Running, best: Option<u64>, log: Option<u64>) -> Result<()> {
    let name = name(state.epoch, state.step_of_epoch);
    let dir = folder(&state.stage, &name)?;
    let named = |registers: bool| -> BTreeMap<String, tch::Tensor> {
        let own = |n: &str| n.rsplit_once('/').is_some_and(|(owner, _)| store.models.contains_key(owner));
        store.named().filter(|(n, _)| own(n) != registers).map(|(n, t)| (n, t.shallow_clone())).collect()
    };
    run.put(&state.stage, &format!("{dir}/models.safetensors"), &tensors::serialise(&named(false), None)?)?;
    if !store.registers.is_empty() {
        run.put(&state.stage, &format!("{dir}/registers.safetensors"), &tensors::serialise(&named(true), None)?)?;
    }
    run.put(&state.stage, &format!("{dir}/optimiser.safetensors"), &tensors::serialise(&optimiser.state(), None)?)?;
    run.put(&state.stage, &format!("{dir}/state.json"), &sealed::seal(state)?)?;
    run.checkpointed(&state.stage, &name, state.epoch, state.step, best, log)
}

/// Names of a stage's checkpoints, oldest first.
fn names(run: &Folder, stage: &str) -> Vec<String> {
    let files = run.stage(stage).into_iter().flat_map(|own| own.files.keys());
    files.filter_map(|file| Some(file.strip_prefix("checkpoints/")?.split_once('/')?.1.strip_suffix("/state.json")?.to_owned())).collect()
}

/// The completed epochs of which a stage has a checkpoint, oldest first.
pub fn epochs(run: &Folder, stage: &str) -> Vec<u64> {
    let mut epochs: Vec<u64> = names(run, stage).iter().filter_map(|name| name.parse().ok()).collect();
    epochs.sort_unstable();
    epochs
}

/// Removes all but the newest `last` checkpoints of completed epochs, the ones that are named, and the one that the stage goes on from.
pub fn prune(run: &mut Folder, stage: &str, last: u64, named: &[u64]) -> Result<()> {
    let all = epochs(run, stage);
    let newest = &all[all.len().saturating_sub(last as usize)..];
    let current = run.stage(stage).and_then(|own| own.checkpoint.clone());
    for name in names(run, stage) {
        let kept = name.parse().is_ok_and(|epoch| newest.contains(&epoch) || named.contains(&epoch));
        if !kept && current.as_ref() != Some(&name) {
            let dir = folder(stage, &name)?;
            run.remove(stage, &dir)?;
        }
    }
    Ok(())
}

/// Reads the values of one model or register as a stage left them.
pub fn load(run: &Folder, stage: &str, at: Checkpoint, name: &str, store: &mut Store) -> Result<()> {
    let own = run.stage(stage).filter(|own| own.finished);
    let own = own.with_context(|| format!("the stage `{stage}` has not finished in {}", run.path.display()))?;
    let there = epochs(run, stage);
    let epoch = match at {
        Checkpoint::Last => own.epoch,
        Checkpoint::Epoch(e) => e,
        Checkpoint::Best => own.best.with_context(|| format!("the stage `{stage}` kept no best checkpoint in {}", run.path.display()))?,
    };
    if !there.contains(&epoch) {
        bail!("the stage `{stage}` left no checkpoint of epoch {epoch} in {}", run.path.display());
    }
    let file = if store.models.contains_key(name) { "models.safetensors" } else { "registers.safetensors" };
    let path = run.get(stage, &format!("{}/{file}", folder(stage, &self::name(epoch, 0))?))?;
    let values = tensors::read(&path)?;
    for tensor in store.names_of(name) {
        let value = values.get(&format!("{name}/{tensor}")).with_context(|| format!("{} has no `{name}/{tensor}`", path.display()))?;
        store.set(name, &tensor, value).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// Puts a stage back to its last checkpoint: its state, which `store` and `optimiser` then have too. `None`: it has none yet.
pub fn resume(run: &Folder, stage: &str, store: &mut Store, optimiser: &mut Running) -> Result<Option<State>> {
    let Some(name) = run.stage(stage).and_then(|own| own.checkpoint.clone()) else { return Ok(None) };
    let dir = folder(stage, &name)?;
    let path = run.get(stage, &format!("{dir}/state.json"))?;
    let text = file::read(&path, STATE)?;
    sealed::check(&text).with_context(|| path.display().to_string())?;
    let state: State = serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))?;
    ensure!(state.stage == stage && self::name(state.epoch, state.step_of_epoch) == name, "{} is of another checkpoint", path.display());
    let mut values = tensors::read(&run.get(stage, &format!("{dir}/models.safetensors"))?)?;
    if !store.registers.is_empty() {
        values.extend(tensors::read(&run.get(stage, &format!("{dir}/registers.safetensors"))?)?);
    }
    store.restore(values).with_context(|| run.path.join(&dir).display().to_string())?;
    optimiser.load(tensors::read(&run.get(stage, &format!("{dir}/optimiser.safetensors"))?)?)?;
    Ok(Some(state))
}
