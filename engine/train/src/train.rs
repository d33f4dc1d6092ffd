//! The training loop of one stage.

use crate::checkpoint::{self, State};
use crate::executor::{Executor, Step, Values};
use crate::optimise::Running;
use crate::progress::{News, Progress};
use crate::stage::{lengths, run_during, to_json, Metrics, StageContext};
use crate::store::Store;
use crate::transfer::to_device;
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

pub(crate) fn scalar(values: &Values, node: usize, port: usize) -> Option<f64> {
    values.tensor(node, port).and_then(|t| f64::try_from(t.detach().to_kind(tch::Kind::Double)).ok())
}

/// Trains a stage to its end. The metrics are the means of the last epoch.
pub(crate) fn train(
    cx: &mut StageContext,
    stage: &Arc<StagePlan>,
    store: &mut Store,
    rows: Rows,
    data: &BTreeMap<String, String>,
) -> Result<Metrics> {
    let drive = &stage.drive;
    let (epochs, batch) = (drive.settings.epochs.unwrap_or(1), drive.settings.batch.unwrap_or(1));
    let n = rows.ids.len();
    let steps = (n / batch) as u64;
    epochs
        .checked_mul(steps)
        .with_context(|| format!("the stage `{}` has more steps than can be counted: {epochs} epochs of {steps}", stage.name))?;
    if steps == 0 {
        bail!("the stage `{}` has {n} samples and a batch of {batch}: not one whole batch", stage.name);
    }
    let mut executor = Executor::new(Arc::clone(stage), cx.registry, cx.machine.device);
    executor.lengths = lengths(Some(&rows));
    let host = HostPlan::new(Arc::clone(stage), executor.places.clone(), &[]);
    let outputs = host.outputs.clone();
    let trained: Vec<String> = stage.models.iter().filter(|(_, t)| *t).map(|(m, _)| m.clone()).collect();
    let optimiser = drive.optimiser.as_ref().context("a stage that trains has an optimiser")?;
    let schedule = drive.schedule.clone().context("a stage that trains has a schedule")?;
    let mut optimiser = Running::new(optimiser, &drive.parameters, store, &trained);
    let mut plateau = Plateaued::new(&schedule);
    let mut best = drive.keep.as_ref().and_then(Best::new);
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
        store.average(&cx.plan.models, &stage.models, &drive.settings.frozen, step_of_stage, epochs * steps);
        let now_at = Step { pass: &host.batch.pass, step, samples: &host.samples };
        let values = executor.run(store, &now_at, Some(columns))?;
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
        for (sum, m) in sums.iter_mut().zip(&stage.metrics) {
            *sum += scalar(&values, m.node, m.port).unwrap_or(f64::NAN);
        }
        loss.f_backward().map_err(|e| anyhow::anyhow!("libtorch, backward: {e}"))?;
        let of_schedule = schedule.factor(epoch, step_of_stage, epochs * steps);
        optimiser.step(|lr| plateau.rate(lr) * of_schedule)?;
        executor.commit(store, &now_at, &values)?;
        step_of_stage += 1;
        let waiting = loader.waited().as_secs_f64() / start.elapsed().as_secs_f64().max(1e-9);
        let news = News { epoch, step, loss: Some(now), clips: step_of_stage * (batch * clips) as u64, waiting };
        progress.step(&news);
        if step + 1 < steps {
            continue;
        }
        let means: Metrics = stage.metrics.iter().zip(&sums).map(|(m, s)| (m.name.clone(), s / steps as f64)).collect();
        let shown: Metrics = stage.metrics.iter().zip(&means).filter(|(m, _)| m.reported).map(|(_, v)| v.clone()).collect();
        cx.folder.log(
            &json!({"stage": stage.name, "epoch": epoch + 1, "step": step_of_stage, "lr_factor": of_schedule * plateau.factor(), "metrics": to_json(&means)}),
        )?;
        progress.epoch(&news, &shown);
        sums.iter_mut().for_each(|s| *s = 0.0);
        let done = epoch + 1;
        let mut known = means.clone();
        known.extend(run_during(cx, stage, store, done, done == epochs)?);
        plateau.epoch(&known);
        let is_best = best.as_mut().is_some_and(|b| b.epoch(done, &known));
        last = means;
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
                plateau: plateau.clone(),
                best: best.clone(),
            };
            checkpoint::save(&cx.folder.path, &state, store, &optimiser, cx.folder.fsync)?;
            let best_epoch = best.as_ref().and_then(|b| b.at);
            let keep: Vec<u64> = named.into_iter().chain(best_epoch).collect();
            checkpoint::prune(&cx.folder.path, &stage.name, drive.keep.as_ref().and_then(|k| k.last).unwrap_or(1), &keep)?;
        }
    }
    progress.finish();
    if let Some(best) = best.filter(|b| b.at.is_none()) {
        bail!("`keep.best`: the metric `{}` was never a number in the stage `{}`", best.metric, stage.name);
    }
    let mut metrics: Metrics = last;
    metrics.push(("clips_per_second".into(), (step_of_stage * (batch * clips) as u64) as f64 / start.elapsed().as_secs_f64()));
    Ok(metrics)
}
