//! One stage: the training loop, or one pass over the rows that extracts and evaluates.

use crate::batch::{Table, Value};
use crate::checkpoint::{self, State};
use crate::executor::{Executor, Registry, Step, Values};
use crate::folder::Folder;
use crate::optimise::Running;
use crate::progress::{News, Progress};
use crate::store::{Model, Store};
use crate::transfer::to_device;
use anyhow::{bail, Context, Result};
use dv_graph::draw::Pass;
use dv_graph::plan::{Place, Plan, StagePlan};
use dv_graph::port::Type;
use dv_graph::sample::epoch::{Batch, Rows};
use dv_graph::sample::loader::Loader;
use dv_graph::sample::runner::HostPlan;
use dv_graph::stage::Origin;
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
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
}

/// Tables that stages of this call left, by stage, node and output.
pub type Tables = HashMap<(String, String, String), Table>;

/// What a stage is run with.
pub struct StageContext<'a> {
    pub plan: &'a Plan,
    /// Epochs of this stage's checkpoints that other stages name.
    pub named_epochs: &'a [u64],
    pub registry: &'a Registry,
    pub machine: &'a Machine,
    pub folder: &'a mut Folder,
    pub tables: &'a mut Tables,
}

/// Metrics of a finished stage, by name.
pub type Metrics = Vec<(String, f64)>;

/// Runs one stage to its end.
pub fn run_stage(cx: &mut StageContext, stage: &Arc<StagePlan>) -> Result<Metrics> {
    let start = Instant::now();
    let mut store = models(cx, stage)?;
    let rows = match stage.source() {
        Some(source) => Some(Rows::open(&cx.machine.data, &source, &stage.nodes[stage.source.unwrap_or(0)].path)?),
        None => None,
    };
    let data: BTreeMap<String, String> = rows.iter().zip(stage.source()).map(|(r, s)| (s.set, r.set.fingerprint.clone())).collect();
    let metrics = if stage.trains() {
        let rows = rows.context("a stage that trains has a source")?;
        train(cx, stage, &mut store, rows, &data)?
    } else {
        evaluate(cx, stage, &store, rows)?
    };
    let seconds = start.elapsed().as_secs_f64();
    cx.folder.log(&json!({"stage": stage.name, "seconds": seconds, "metrics": to_json(&metrics)}))?;
    cx.folder.finish_stage(&stage.name, &metrics, seconds, &data)?;
    Ok(metrics)
}

fn to_json(metrics: &[(String, f64)]) -> serde_json::Value {
    metrics.iter().map(|(n, v)| (n.clone(), json!(v))).collect::<serde_json::Map<_, _>>().into()
}

/// The stage's models from their origins.
fn models(cx: &StageContext, stage: &StagePlan) -> Result<Store> {
    let mut store = Store::default();
    for (name, trained) in &stage.models {
        let mut model = Model::initial(name, &cx.plan.models[name], cx.plan.seed, cx.machine.device);
        model.require_gradient(*trained);
        store.models.insert(name.clone(), model);
        if let Some(Origin::Stage { stage: from, epoch }) = stage.drive.origin(name) {
            checkpoint::load_model(&cx.folder.path, from, *epoch, name, &mut store)?;
        }
    }
    Ok(store)
}

/// Epochs of this stage's checkpoints that other stages name.
pub fn named_epochs(stages: &[Arc<StagePlan>], stage: &str) -> Vec<u64> {
    stages
        .iter()
        .flat_map(|s| &s.drive.weights)
        .filter_map(|(_, o)| match o {
            Origin::Stage { stage: from, epoch: Some(e) } if from == stage => Some(*e),
            _ => None,
        })
        .collect()
}

fn scalar(values: &Values, node: usize, port: usize) -> Option<f64> {
    values.tensor(node, port).and_then(|t| f64::try_from(t.detach().to_kind(tch::Kind::Double)).ok())
}

fn train(cx: &mut StageContext, stage: &Arc<StagePlan>, store: &mut Store, rows: Rows, data: &BTreeMap<String, String>) -> Result<Metrics> {
    let drive = &stage.drive;
    let (epochs, batch) = (drive.settings.epochs.unwrap_or(1), drive.settings.batch.unwrap_or(1));
    let n = rows.ids.len();
    let steps = (n / batch) as u64;
    if steps == 0 {
        bail!("the stage `{}` has {n} samples and a batch of {batch}: not one whole batch", stage.name);
    }
    let executor = Executor::new(Arc::clone(stage), cx.registry, cx.machine.device);
    let host = HostPlan::new(Arc::clone(stage), executor.places.clone(), &[]);
    let outputs = host.outputs.clone();
    let trained: Vec<String> = stage.models.iter().filter(|(_, t)| *t).map(|(m, _)| m.clone()).collect();
    let optimiser = drive.optimiser.as_ref().context("a stage that trains has an optimiser")?;
    let schedule = drive.schedule.clone().context("a stage that trains has a schedule")?;
    let mut optimiser = Running::new(optimiser, store, &trained);
    let (seed, name, node) = (cx.plan.seed, stage.name.clone(), rows.node.clone());
    let order = Rows { set: Arc::clone(&rows.set), ids: rows.ids.clone(), node };
    for epoch in 0..epochs {
        let (_, dropped) = order.training(&Pass { seed, stage: name.clone(), epoch }, batch);
        if !dropped.is_empty() {
            let videos: Vec<&str> = dropped.iter().map(|p| order.set.videos[order.ids[*p]].path.as_str()).collect();
            cx.folder.log(&json!({"stage": stage.name, "epoch": epoch, "dropped": videos, "why": "the last partial batch"}))?;
        }
    }
    let all: Box<dyn Iterator<Item = Batch> + Send> =
        Box::new((0..epochs).flat_map(move |epoch| order.training(&Pass { seed, stage: name.clone(), epoch }, batch).0));
    let mut loader = Loader::start(host, rows, all, cx.machine.threads, 4);
    let clips = stage.clips_per_sample();
    let progress = Progress::new(&stage.name, epochs, steps);
    let start = Instant::now();
    let (loss_node, loss_port) = stage.minimise.context("a stage that trains minimises")?;
    let mut sums: Vec<f64> = vec![0.0; stage.metrics.len()];
    let mut last: Metrics = Vec::new();
    let mut step_of_stage = 0u64;
    while let Some(host) = loader.next_batch()? {
        let (epoch, step) = (host.batch.pass.epoch, host.batch.step);
        let columns = to_device(&host, &outputs, cx.machine.device);
        let values = executor.run(store, &Step { pass: &host.batch.pass, step, samples: &host.samples }, Some(columns))?;
        let loss = values.tensor(loss_node, loss_port).context("the loss was not computed")?;
        let now = scalar(&values, loss_node, loss_port).unwrap_or(f64::NAN);
        if !now.is_finite() {
            let parts: Vec<String> =
                stage.metrics.iter().filter_map(|m| Some(format!("{} {}", m.name, scalar(&values, m.node, m.port)?))).collect();
            bail!(
                "the loss is {now} at epoch {} step {} of `{}` ({}): the weights of the last checkpoint are kept; try a lower learning rate",
                epoch + 1,
                step + 1,
                stage.name,
                parts.join(", ")
            );
        }
        loss.f_backward().map_err(|e| anyhow::anyhow!("libtorch, backward: {e}"))?;
        optimiser.step(schedule.factor(epoch, step_of_stage, epochs * steps))?;
        step_of_stage += 1;
        for (sum, m) in sums.iter_mut().zip(&stage.metrics) {
            *sum += scalar(&values, m.node, m.port).unwrap_or(f64::NAN);
        }
        let waiting = loader.waited().as_secs_f64() / start.elapsed().as_secs_f64().max(1e-9);
        let news = News { epoch, step, loss: Some(now), clips: step_of_stage * (batch * clips) as u64, waiting };
        progress.step(&news);
        if step + 1 == steps {
            let means: Metrics = stage.metrics.iter().zip(&sums).map(|(m, s)| (m.name.clone(), s / steps as f64)).collect();
            let shown: Metrics = stage.metrics.iter().zip(&means).filter(|(m, _)| m.reported).map(|(_, v)| v.clone()).collect();
            let factor = schedule.factor(epoch, step_of_stage - 1, epochs * steps);
            cx.folder.log(
                &json!({"stage": stage.name, "epoch": epoch + 1, "step": step_of_stage, "lr_factor": factor, "metrics": to_json(&means)}),
            )?;
            progress.epoch(&news, &shown);
            sums.iter_mut().for_each(|s| *s = 0.0);
            last = means;
            let done = epoch + 1;
            let named = cx.named_epochs;
            // between the ends, every tenth of the stage is enough
            if done == epochs || done % (epochs / 10).max(1) == 0 || named.contains(&done) {
                let state = State {
                    dv: env!("CARGO_PKG_VERSION").into(),
                    stage: stage.name.clone(),
                    epoch: done,
                    step: step_of_stage,
                    seed: cx.plan.seed,
                    compute_threads: cx.machine.compute_threads,
                    device: format!("{:?}", cx.machine.device),
                    data: data.clone(),
                };
                checkpoint::save(&cx.folder.path, &state, store, &optimiser, cx.folder.fsync)?;
                checkpoint::prune(&cx.folder.path, &stage.name, drive.keep.as_ref().map_or(1, |k| k.last), named)?;
            }
        }
    }
    progress.finish();
    let mut metrics: Metrics = last;
    metrics.push(("clips_per_second".into(), (step_of_stage * (batch * clips) as u64) as f64 / start.elapsed().as_secs_f64()));
    Ok(metrics)
}

fn evaluate(cx: &mut StageContext, stage: &Arc<StagePlan>, store: &Store, rows: Option<Rows>) -> Result<Metrics> {
    let _off = tch::no_grad_guard();
    let executor = Executor::new(Arc::clone(stage), cx.registry, cx.machine.device);
    let pass = Pass { seed: cx.plan.seed, stage: stage.name.clone(), epoch: 0 };
    let mut parts: HashMap<(usize, usize), Vec<Table>> = HashMap::new();
    let mut sums: Vec<f64> = vec![0.0; stage.metrics.len()];
    let mut seen = 0u64;
    if let Some(rows) = rows {
        let host = HostPlan::new(Arc::clone(stage), executor.places.clone(), &[]);
        let outputs = host.outputs.clone();
        let batches = rows.evaluation(&pass, stage.drive.settings.batch.unwrap_or(1));
        let clips = stage.clips_per_sample() as u64;
        let progress = Progress::new(&stage.name, 1, batches.len() as u64);
        let start = Instant::now();
        let mut loader = Loader::start(host, rows, Box::new(batches.into_iter()), cx.machine.threads, 4);
        while let Some(host) = loader.next_batch()? {
            let columns = to_device(&host, &outputs, cx.machine.device);
            let mut values = executor.run(store, &Step { pass: &pass, step: host.batch.step, samples: &host.samples }, Some(columns))?;
            let count = host.samples.len() as u64;
            for (sum, m) in sums.iter_mut().zip(&stage.metrics) {
                // each sample counts once: a short last batch weighs less
                *sum += scalar(&values, m.node, m.port).unwrap_or(0.0) * count as f64;
            }
            seen += count;
            values.values.retain(|_, v| matches!(v, Value::Table(_)));
            for (at, value) in values.values {
                if let Value::Table(t) = value {
                    parts.entry(at).or_default().push(t);
                }
            }
            let waiting = loader.waited().as_secs_f64() / start.elapsed().as_secs_f64().max(1e-9);
            progress.step(&News { epoch: 0, step: host.batch.step, loss: None, clips: seen * clips, waiting });
        }
        progress.finish();
    }
    let mut own = HashMap::new();
    for (at, list) in parts {
        let table = Table::concatenate(&list)?;
        let node = &stage.nodes[at.0];
        let key = (stage.name.clone(), node.path.clone(), node.entry.outputs[at.1].name.to_string());
        cx.folder.save_table(&key.0, &key.1, &key.2, &table)?;
        cx.tables.insert(key, table.shallow_clone());
        own.insert(at, table);
    }
    let (tables, folder) = (&*cx.tables, &*cx.folder);
    let earlier = |s: &str, n: &str, p: &str| {
        let key = (s.to_string(), n.to_string(), p.to_string());
        tables.get(&key).map(Table::shallow_clone).or_else(|| folder.load_table(s, n, p).ok())
    };
    let end = executor.run_end(own, &earlier, &pass)?;
    for ((n, p), value) in &end.values {
        // tables that an end node made, for later stages
        if let (Place::End, Value::Table(table)) = (stage.nodes[*n].place, value) {
            let node = &stage.nodes[*n];
            let key = (stage.name.clone(), node.path.clone(), node.entry.outputs[*p].name.to_string());
            cx.folder.save_table(&key.0, &key.1, &key.2, table)?;
            cx.tables.insert(key, table.shallow_clone());
        }
    }
    let mut metrics = Vec::new();
    for (m, sum) in stage.metrics.iter().zip(&sums) {
        if stage.nodes[m.node].place == Place::End {
            // an output that the settings did not ask for has no value
            metrics.extend(scalar(&end, m.node, m.port).map(|v| (m.name.clone(), v)));
        } else if seen > 0 && stage.nodes[m.node].outputs[m.port].ty == Type::Float {
            metrics.push((m.name.clone(), sum / seen as f64));
        }
    }
    Ok(metrics)
}
