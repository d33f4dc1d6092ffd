//! The training loop of one stage.

use crate::exec::caught::torch_text;
use crate::exec::executor::{Executor, Step, Values};
use crate::exec::transfer::to_device;
use crate::run::checkpoint::{self, State};
use crate::run::metrics::{scalar, Mean};
use crate::run::progress::{News, Progress};
use crate::run::stage::{lengths, run_during, to_json, Metrics, StageContext};
use crate::state::optimise::Running;
use crate::state::store::Store;
use anyhow::{bail, Context, Result};
use dv_graph::draw::Pass;
use dv_graph::plan::StagePlan;
use dv_graph::sample::epoch::{Batch, Rows};
use dv_graph::sample::loader::Loader;
use dv_graph::sample::runner::HostPlan;
use dv_graph::schedule::{Best, Plateaued};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// Trains a stage to its end. The metrics are the means of the last epoch.
pub(crate) fn train(
    cx: &mut StageContext,
    stage: &Arc<StagePlan>,
    store: &mut Store,
    rows: Arc<Rows>,
    data: &BTreeMap<String, String>,
) -> Result<Metrics> {
    let drive = &stage.drive;
    let (epochs, batch) = (drive.settings.epochs.unwrap_or(1), drive.settings.batch.unwrap_or(1));
    let (n, drop_last) = (rows.len(), drive.drops_last());
    let steps = if drop_last { n / batch } else { n.div_ceil(batch) } as u64;
    epochs
        .checked_mul(steps)
        .with_context(|| format!("the stage `{}` has more steps than can be counted: {epochs} epochs of {steps}", stage.name))?;
    if steps == 0 {
        bail!("batch {batch}: the stage `{}` has {n} samples, less than one batch", stage.name);
    }
    let mut executor = Executor::new(Arc::clone(stage), cx.registry, cx.machine.device);
    executor.lengths = lengths(Some(rows.as_ref()));
    let host = HostPlan::new(Arc::clone(stage), executor.places.clone(), &[]);
    let outputs = host.outputs.clone();
    let trained: Vec<String> = stage.models.iter().filter(|(_, t)| *t).map(|(m, _)| m.clone()).collect();
    let optimiser = drive.optimiser.as_ref().context("a stage that trains has an optimiser")?;
    let schedule = drive.schedule.clone().context("a stage that trains has a schedule")?;
    let mut optimiser = Running::new(optimiser, &drive.parameters, store, &trained);
    let mut plateau = Plateaued::new(&schedule);
    let mut best = drive.keep.as_ref().and_then(Best::new);
    let (seed, name, order) = (cx.plan.seed, stage.name.clone(), Arc::clone(&rows));
    let all: Box<dyn Iterator<Item = Batch> + Send> =
        Box::new((0..epochs).flat_map(move |epoch| order.training(&Pass { seed, stage: name.clone(), epoch }, batch, drop_last).0));
    let mut loader = Loader::start(host, Arc::clone(&rows), all, cx.machine.threads, 4);
    let clips = stage.clips_per_sample() as u64;
    let progress = Progress::new(&stage.name, epochs, steps);
    let start = Instant::now();
    let (loss_node, loss_port) = stage.minimise.context("a stage that trains minimises")?;
    let mut means = vec![Mean::default(); stage.metrics.len()];
    let mut last: Metrics = Vec::new();
    let (mut step_of_stage, mut videos) = (0u64, 0u64);
    while let Some(host) = loader.next_batch()? {
        let (epoch, step) = (host.batch.pass.epoch, host.batch.step);
        if step == 0 {
            log_dropped(cx, stage, &rows, &host.batch.pass, batch, drop_last)?;
        }
        let columns = to_device(&host, &outputs, cx.machine.device);
        store.average(&cx.plan.models, &stage.models, &drive.settings.frozen, step_of_stage, epochs * steps);
        let now_at = Step { pass: &host.batch.pass, step, samples: &host.samples };
        let values = executor.run(store, &now_at, Some(columns))?;
        let now = scalar(&values, loss_node, loss_port)?.context("the loss has no value: no sample of the batch reached it")?;
        if !now.is_finite() {
            bail!("{}", not_finite(stage, &values, now, epoch, step)?);
        }
        for (mean, m) in means.iter_mut().zip(&stage.metrics) {
            mean.add(scalar(&values, m.node, m.port)?, host.samples.len() as u64);
        }
        let loss = values.tensor(loss_node, loss_port).context("the loss was not computed")?;
        loss.f_backward().map_err(|e| anyhow::anyhow!("backward: {}", torch_text(&e.to_string())))?;
        let of_schedule = schedule.factor(epoch, step_of_stage, epochs * steps);
        optimiser.step(|lr| plateau.rate(lr) * of_schedule)?;
        executor.commit(store, &now_at, &values)?;
        // nothing of the step lives on while others run and checkpoints are written
        drop(values);
        step_of_stage += 1;
        videos += host.samples.len() as u64;
        let waiting = loader.waited().as_secs_f64() / start.elapsed().as_secs_f64().max(1e-9);
        let news = News { epoch, step, loss: Some(now), clips: videos * clips, waiting };
        progress.step(&news);
        if step + 1 < steps {
            continue;
        }
        let value = |mean: &Mean| mean.value().unwrap_or(f64::NAN);
        last = stage.metrics.iter().zip(&means).map(|(m, mean)| (m.name.clone(), value(mean))).collect();
        means.fill(Mean::default());
        let shown: Metrics = stage.metrics.iter().zip(&last).filter(|(m, _)| m.reported).map(|(_, v)| v.clone()).collect();
        cx.folder.log(
            &json!({"stage": stage.name, "epoch": epoch + 1, "step": step_of_stage, "lr_factor": of_schedule * plateau.factor(), "metrics": to_json(&last)}),
        )?;
        progress.epoch(&news, &shown);
        let done = epoch + 1;
        let mut known = last.clone();
        known.extend(run_during(cx, stage, store, done, done == epochs)?);
        plateau.epoch(&known);
        let is_best = best.as_mut().is_some_and(|b| b.epoch(done, &known));
        let named = cx.named_epochs(&stage.name);
        // between the ends, every tenth of the stage is enough
        if done == epochs || done % (epochs / 10).max(1) == 0 || named.contains(&done) || is_best {
            let state = State {
                dv: env!("CARGO_PKG_VERSION").into(),
                stage: stage.name.clone(),
                epoch: done,
                step: step_of_stage,
                seed: cx.plan.seed,
                compute_threads: cx.machine.compute_threads,
                device: format!("{:?}", cx.machine.device),
                data: data.clone(),
                plateau: plateau.state().clone(),
                best: best.as_ref().map(|b| b.state().clone()),
            };
            checkpoint::save(&cx.folder.path, &state, store, &optimiser, cx.folder.fsync)?;
            let best_epoch = best.as_ref().and_then(|b| b.state().at);
            let keep: Vec<u64> = named.into_iter().chain(best_epoch).collect();
            checkpoint::prune(&cx.folder.path, &stage.name, drive.keep.as_ref().and_then(|k| k.last).unwrap_or(1), &keep)?;
        }
    }
    progress.finish();
    if let Some(best) = best.filter(|b| b.state().at.is_none()) {
        bail!("`keep.best`: the metric `{}` was never a number in the stage `{}`", best.metric(), stage.name);
    }
    last.extend(rates(stage, videos, start.elapsed().as_secs_f64()));
    Ok(last)
}

/// How much went through a second: videos, the clips that were read of them, and the rows of each model that reads pixels.
fn rates(stage: &StagePlan, videos: u64, seconds: f64) -> Metrics {
    let rate = |count: usize| (videos * count as u64) as f64 / seconds.max(1e-9);
    let mut rates = vec![("videos_per_second".to_string(), rate(1)), ("clips_per_second".to_string(), rate(stage.clips_per_sample()))];
    rates.extend(stage.encoder_rows_per_sample().into_iter().map(|(model, rows)| (format!("{model}_rows_per_second"), rate(rows))));
    rates
}

/// Says which videos an epoch leaves out: those of its last partial batch.
fn log_dropped(cx: &mut StageContext, stage: &StagePlan, rows: &Rows, pass: &Pass, batch: usize, drop_last: bool) -> Result<()> {
    let (_, dropped) = rows.training(pass, batch, drop_last);
    if dropped.is_empty() {
        return Ok(());
    }
    let videos: Vec<&str> = dropped.iter().map(|p| &*rows.sample(*p).path).collect();
    cx.folder.log(&json!({"stage": stage.name, "epoch": pass.epoch, "dropped": videos, "why": "the last partial batch"}))
}

fn not_finite(stage: &StagePlan, values: &Values, loss: f64, epoch: u64, step: u64) -> Result<String> {
    let mut parts = Vec::new();
    for m in &stage.metrics {
        parts.extend(scalar(values, m.node, m.port)?.map(|v| format!("{} {v}", m.name)));
    }
    Ok(format!(
        "the loss is {loss} at epoch {} step {} of `{}` ({}); try a lower learning rate",
        epoch + 1,
        step + 1,
        stage.name,
        parts.join(", ")
    ))
}
