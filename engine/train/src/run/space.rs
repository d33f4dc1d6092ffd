//! Whether the disk has room for the checkpoints that a run will keep.

use anyhow::{ensure, Result};
use dv_graph::budget::product;
use dv_graph::plan::{Plan, StagePlan};
use dv_graph::stage::{Checkpoint, Origin};
use std::path::Path;
use std::sync::Arc;

/// Bytes of a number in a checkpoint.
const NUMBER: u64 = 4;

/// An error where the stages that train need more room than the disk of `dir` has free. What is there of them already counts as needed still.
pub fn check(plan: &Plan, stages: &[Arc<StagePlan>], todo: &dyn Fn(&str) -> bool, dir: &Path) -> Result<()> {
    let training = stages.iter().filter(|stage| stage.trains() && todo(&stage.name));
    let need: u64 = training.map(|stage| one(plan, stage).saturating_mul(kept(stages, stage))).fold(0, u64::saturating_add);
    let Ok(disk) = rustix::fs::statvfs(dir) else { return Ok(()) };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    ensure!(
        need <= free,
        "the checkpoints of this run take about {:.1} GB, and the disk of {} has {:.1} GB free: make room, or give a folder on another disk (--out DIR)",
        need as f64 / 1e9,
        dir.display(),
        free as f64 / 1e9
    );
    Ok(())
}

/// Bytes of a checkpoint: every number of the models and registers, and one more for each that is trained, its momentum.
fn one(plan: &Plan, stage: &StagePlan) -> u64 {
    let numbers = |name: &str| -> u64 {
        let parameters = plan.models.get(name).into_iter().flat_map(|m| &m.parameters);
        parameters.map(|p| product(p.shape.iter().copied()) as u64).fold(0, u64::saturating_add)
    };
    let models = stage.models.iter().map(|(name, trained)| numbers(name).saturating_mul(if *trained { 2 } else { 1 }));
    let state = stage.nodes.iter().filter_map(|n| n.register.as_ref()).flat_map(|r| &r.state);
    // a length that only the data knows is small beside the others
    let registers = state.map(|s| product(s.shape.iter().filter_map(|d| d.known())) as u64);
    models.chain(registers).fold(0, u64::saturating_add).saturating_mul(NUMBER)
}

/// How many checkpoints of a stage lie side by side at most: those that are kept, and the one that is being written.
fn kept(stages: &[Arc<StagePlan>], stage: &StagePlan) -> u64 {
    let keep = stage.drive.keep.as_ref();
    let origins = stages.iter().flat_map(|s| &s.drive.weights);
    let named = origins.filter(|(_, o)| matches!(o, Origin::Stage { stage: from, at: Checkpoint::Epoch(_) } if *from == stage.name));
    keep.and_then(|k| k.last).unwrap_or(1) + u64::from(keep.is_some_and(|k| k.best.is_some())) + named.count() as u64 + 1
}
