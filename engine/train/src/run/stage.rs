//! One stage: its models and registers from their origins, then training, or one pass that extracts and evaluates;
//! and the stages that run while another trains.

use crate::exec::batch::Table;
use crate::exec::executor::Registry;
use crate::run::checkpoint;
use crate::run::evaluate::evaluate;
use crate::run::folder::Folder;
use crate::run::trainer::train;
use crate::state::import;
use crate::state::store::{Lengths, Model, RegisterState, Store};
use anyhow::{Context, Result};
use dv_datasets::Interrupted;
use dv_graph::plan::{Plan, StagePlan};
use dv_graph::sample::epoch::Rows;
use dv_graph::stage::{Checkpoint, Origin};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Instant;
use tch::Device;

/// How a run computes: what does not change its meaning.
#[derive(Clone, Debug)]
pub struct Machine {
    pub data: PathBuf,
    pub device: Device,
    /// Loader threads.
    pub threads: usize,
    pub compute_threads: i32,
    /// Once it is set, the stage that trains saves its state after the step under way and ends with [`Interrupted`].
    pub stop: Arc<AtomicBool>,
    /// Sets `stop` after so many training steps.
    pub stop_after: Option<Arc<AtomicU64>>,
}

impl Machine {
    /// An error of [`Interrupted`] once the run is to stop.
    pub(crate) fn go_on(&self) -> Result<()> {
        match self.stop.load(Ordering::Relaxed) {
            true => Err(Interrupted.into()),
            false => Ok(()),
        }
    }

    /// Counts a training step.
    pub(crate) fn stepped(&self) {
        if let Some(left) = &self.stop_after {
            if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                self.stop.store(true, Ordering::Relaxed);
            }
        }
    }

    /// What of the machine may change how a result rounds, for who compares results.
    pub fn describe(&self) -> Result<serde_json::Value> {
        Ok(json!({
            "device": format!("{:?}", self.device).to_lowercase(),
            "cpu_capability": crate::exec::shim::cpu_capability()?,
            "cores": std::thread::available_parallelism().map_or(1, |n| n.get()),
            "threads": self.threads,
            "compute_threads": self.compute_threads,
        }))
    }
}

/// Tables that stages of this call left, by stage, node and output.
pub type Tables = HashMap<(String, String, String), Table>;

/// What a stage is run with.
pub struct StageContext<'a> {
    pub plan: &'a Plan,
    /// All stages of the plan, in its order.
    pub stages: &'a [Arc<StagePlan>],
    pub registry: &'a Registry,
    pub machine: &'a Machine,
    pub folder: &'a mut Folder,
    pub tables: &'a mut Tables,
}

impl StageContext<'_> {
    /// Epochs of a stage's checkpoints that other stages name.
    pub(crate) fn named_epochs(&self, stage: &str) -> Vec<u64> {
        let origins = self.stages.iter().flat_map(|s| &s.drive.weights);
        origins
            .filter_map(|(_, o)| match o {
                Origin::Stage { stage: from, at: Checkpoint::Epoch(e) } if from == stage => Some(*e),
                _ => None,
            })
            .collect()
    }
}

/// Metrics of a finished stage, by name.
pub type Metrics = Vec<(String, f64)>;

/// A stage that trains at this moment, for those that run during it.
struct Outer<'a> {
    name: &'a str,
    store: &'a Store,
    /// Completed epochs.
    epoch: u64,
}

/// Runs one stage to its end, and with it those that run during it.
pub fn run_stage(cx: &mut StageContext, stage: &Arc<StagePlan>) -> Result<Metrics> {
    run(cx, stage, None)
}

/// Runs what runs during a stage, after one of its epochs. The metrics come under `stage/node.port`.
pub(crate) fn run_during(cx: &mut StageContext, stage: &StagePlan, store: &Store, epoch: u64, last: bool) -> Result<Metrics> {
    let mut out = Metrics::new();
    for inner in cx.stages {
        let Some(during) = inner.during.as_ref().filter(|d| d.stage == stage.name) else { continue };
        if epoch.is_multiple_of(during.every) || last {
            let outer = Outer { name: &stage.name, store, epoch };
            let metrics = run(cx, inner, Some(&outer)).with_context(|| format!("stage `{}`, during `{}`", inner.name, stage.name))?;
            out.extend(metrics.into_iter().map(|(n, v)| (format!("{}/{n}", inner.name), v)));
        }
    }
    Ok(out)
}

fn run(cx: &mut StageContext, stage: &Arc<StagePlan>, outer: Option<&Outer>) -> Result<Metrics> {
    let start = Instant::now();
    let rows = match stage.source() {
        Some(source) => Some(Arc::new(Rows::open(&cx.machine.data, &source, &stage.nodes[stage.source.unwrap_or(0)].path)?)),
        None => None,
    };
    for (rows, source) in rows.iter().zip(stage.source()) {
        cx.folder.same_set(&source.set, &rows.set.fingerprint)?;
    }
    if let Some(rows) = rows.as_ref().filter(|r| !r.missing.is_empty()) {
        let (stage, missing) = (&stage.name, &rows.missing);
        cx.folder.log(&json!({"stage": stage, "missing": missing, "why": "listed in the split and not in the packed set"}))?;
    }
    cx.machine.go_on()?;
    let mut store = store(cx, stage, &lengths(rows.as_deref()), outer)?;
    let data: BTreeMap<String, String> = rows.iter().zip(stage.source()).map(|(r, s)| (s.set, r.set.fingerprint.clone())).collect();
    let metrics = if stage.trains() {
        let rows = rows.context("a stage that trains has a source")?;
        train(cx, stage, &mut store, rows, &data, outer.is_none())?
    } else {
        evaluate(cx, stage, &store, rows, &data, outer.map_or(0, |o| o.epoch))?
    };
    let seconds = start.elapsed().as_secs_f64();
    let mut line = json!({"stage": stage.name, "seconds": seconds, "metrics": to_json(&metrics)});
    if let Some(outer) = outer {
        line["during"] = json!({"stage": outer.name, "epoch": outer.epoch});
    }
    cx.folder.log(&line)?;
    cx.folder.finish_stage(&stage.name, &metrics, seconds)?;
    Ok(metrics)
}

pub(crate) fn to_json(metrics: &[(String, f64)]) -> serde_json::Value {
    metrics.iter().map(|(n, v)| (n.clone(), json!(v))).collect::<serde_json::Map<_, _>>().into()
}

/// The lengths that a stage's data knows: `videos` (the rows that its source reads), `classes`, and `groups`.
pub fn lengths(rows: Option<&Rows>) -> Lengths {
    let Some(rows) = rows else { return Lengths::new() };
    let known = [("videos", rows.len()), ("classes", rows.set.classes.len()), ("groups", rows.group_count)];
    known.into_iter().map(|(name, n)| (name.to_string(), n)).collect()
}

/// The stage's models and registers from their origins.
fn store(cx: &StageContext, stage: &StagePlan, lengths: &Lengths, outer: Option<&Outer>) -> Result<Store> {
    let (plan, device) = (cx.plan, cx.machine.device);
    let mut store = initial(plan, stage, lengths, device)?;
    let names: Vec<String> = store.models.keys().chain(store.registers.keys()).cloned().collect();
    let mut averages = Vec::new();
    for name in &names {
        match stage.drive.origin(name) {
            Some(Origin::Stage { stage: from, .. }) if outer.is_some_and(|o| o.name == from) => {
                let outer = outer.context("checked")?.store;
                for tensor in store.names_of(name) {
                    let value = outer.get(&format!("{name}/{tensor}")).with_context(|| format!("`{from}` has no `{name}/{tensor}`"))?;
                    store.set(name, &tensor, &value.detach())?;
                }
            }
            Some(Origin::Stage { stage: from, at }) => checkpoint::load(cx.folder, from, *at, name, &mut store)?,
            Some(Origin::File { file, names }) => import::load(file, names.as_deref(), plan, stage, name, &mut store)?,
            Some(Origin::Initial) => {}
            None => averages.extend(plan.models.get(name).and_then(|m| m.ema.as_ref()).map(|e| (e.of.clone(), name.clone()))),
        }
    }
    // a model that averages another begins as that one does
    for (of, name) in averages {
        store.copy_model(&of, &name)?;
    }
    Ok(store)
}

/// All from the seed.
pub(crate) fn initial(plan: &Plan, stage: &StagePlan, lengths: &Lengths, device: Device) -> Result<Store> {
    let mut store = Store::default();
    for (name, trained) in &stage.models {
        let mut model = Model::initial(name, &plan.models[name], plan.seed, device);
        model.require_gradient(*trained);
        store.models.insert(name.clone(), model);
    }
    for node in &stage.nodes {
        if let Some(register) = &node.register {
            let state = RegisterState::initial(&node.path, register, plan.seed, lengths, device)?;
            store.registers.insert(node.path.clone(), state);
        }
    }
    Ok(store)
}
