//! The training loop of one stage.

use crate::exec::caught::torch_text;
use crate::exec::executor::{Executor, Step, Values};
use crate::exec::transfer::{tensors, to_device, HostColumns};
use crate::run::checkpoint::{self, State};
use crate::run::log::memory;
use crate::run::metrics::{scalar, Mean};
use crate::run::not_finite;
use crate::run::progress::{note, News, Progress};
use crate::run::record::Metric;
use crate::run::stage::{lengths, run_during, to_json, Metrics, StageContext};
use crate::state::optimise::Running;
use crate::state::store::Store;
use anyhow::{anyhow, bail, ensure, Context, Result};
use dv_datasets::Interrupted;
use dv_graph::draw::Pass;
use dv_graph::plan::StagePlan;
use dv_graph::sample::epoch::{Batch, Rows};
use dv_graph::sample::loader::{HostBatch, Loader};
use dv_graph::sample::runner::HostPlan;
use dv_graph::schedule::{Best, Plateaued};
use dv_graph::stage::{Every, Schedule};
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// Trains a stage to its end, from its last checkpoint on where it is `resumable` and has one. The metrics are the means of the last epoch.
/// Where the run is to stop, the state is saved after the step under way.
pub(crate) fn train(
    cx: &mut StageContext,
    stage: &Arc<StagePlan>,
    store: &mut Store,
    rows: Arc<Rows>,
    data: &BTreeMap<String, String>,
    resumable: bool,
) -> Result<Metrics> {
    Trainer::new(cx, stage, store, rows, data, resumable)?.run()
}

/// A stage under way. What a checkpoint has of it is its whole state.
pub(super) struct Trainer<'t, 'a> {
    pub(super) cx: &'t mut StageContext<'a>,
    pub(super) stage: &'t Arc<StagePlan>,
    store: &'t mut Store,
    pub(super) rows: Arc<Rows>,
    data: &'t BTreeMap<String, String>,
    resumable: bool,
    executor: Executor<'a>,
    optimiser: Running,
    schedule: Schedule,
    pub(super) plateau: Plateaued,
    best: Option<Best>,
    /// Of the epoch under way.
    means: Vec<Mean>,
    /// Of the last whole epoch.
    last: Metrics,
    /// Completed epochs, and steps of the one under way; all of them when its end is still to come.
    epoch: u64,
    step_of_epoch: u64,
    /// Of the stage.
    pub(super) step: u64,
    videos: u64,
    /// Seconds of earlier calls.
    pub(super) before: f64,
    pub(super) start: Instant,
    saved: Instant,
    epochs: u64,
    /// An epoch.
    steps: u64,
    progress: Progress,
    machine: Value,
    /// What the last step's schedule made of the learning rate.
    pub(super) factor: f64,
}

impl<'t, 'a> Trainer<'t, 'a> {
    fn new(
        cx: &'t mut StageContext<'a>,
        stage: &'t Arc<StagePlan>,
        store: &'t mut Store,
        rows: Arc<Rows>,
        data: &'t BTreeMap<String, String>,
        resumable: bool,
    ) -> Result<Self> {
        let drive = &stage.drive;
        let (epochs, batch) = (drive.settings.epochs.unwrap_or(1), drive.settings.batch.unwrap_or(1));
        let n = rows.len();
        let steps = if drive.drops_last() { n / batch } else { n.div_ceil(batch) } as u64;
        epochs
            .checked_mul(steps)
            .with_context(|| format!("the stage `{}` has more steps than can be counted: {epochs} epochs of {steps}", stage.name))?;
        if steps == 0 {
            bail!("batch {batch}: the stage `{}` has {n} samples, less than one batch", stage.name);
        }
        let mut executor = Executor::new(Arc::clone(stage), cx.registry, cx.machine.device);
        executor.set_lengths(lengths(Some(rows.as_ref())));
        let trained: Vec<String> = stage.models.iter().filter(|(_, t)| *t).map(|(m, _)| m.clone()).collect();
        let optimiser = drive.optimiser.as_ref().context("a stage that trains has an optimiser")?;
        let schedule = drive.schedule.clone().context("a stage that trains has a schedule")?;
        let optimiser = Running::new(optimiser, &drive.parameters, store, &trained);
        let machine = cx.machine.describe()?;
        let mut trainer = Trainer {
            executor,
            optimiser,
            plateau: Plateaued::new(&schedule),
            schedule,
            best: drive.keep.as_ref().and_then(Best::new),
            means: vec![Mean::default(); stage.metrics.len()],
            last: Vec::new(),
            epoch: 0,
            step_of_epoch: 0,
            step: 0,
            videos: 0,
            before: 0.0,
            start: Instant::now(),
            saved: Instant::now(),
            epochs,
            steps,
            progress: Progress::new(&stage.name, epochs, steps),
            machine,
            factor: 1.0,
            cx,
            stage,
            store,
            rows,
            data,
            resumable,
        };
        trainer.resume()?;
        Ok(trainer)
    }

    /// Goes back to the last checkpoint, if there is one.
    fn resume(&mut self) -> Result<()> {
        if !self.resumable {
            return Ok(());
        }
        let Some(state) = checkpoint::resume(self.cx.folder, &self.stage.name, self.store, &mut self.optimiser)? else { return Ok(()) };
        let (have, need) = (state.means.len(), self.means.len());
        ensure!(have == need, "the checkpoint of `{}` has {have} metrics, not {need}", self.stage.name);
        self.plateau = Plateaued::resumed(&self.schedule, state.plateau);
        self.best = self.stage.drive.keep.as_ref().and_then(|keep| Best::resumed(keep, state.best.unwrap_or_default()));
        (self.epoch, self.step_of_epoch, self.step) = (state.epoch, state.step_of_epoch, state.step);
        (self.means, self.videos, self.before) = (state.means, state.videos, state.seconds);
        self.last = state.last.into_iter().map(|metric| (metric.name, metric.value)).collect();
        let within = if self.step_of_epoch > 0 { format!(" and {} steps", self.step_of_epoch) } else { String::new() };
        note(&format!("stage {} goes on after {} of {} epochs{within}", self.stage.name, self.epoch, self.epochs));
        Ok(())
    }

    fn run(mut self) -> Result<Metrics> {
        if self.step_of_epoch == self.steps {
            self.end_epoch()?;
        }
        let host = HostPlan::new(Arc::clone(self.stage), self.executor.places.clone(), &[])?;
        let outputs = host.outputs.clone();
        let mut loader = Loader::start(host, Arc::clone(&self.rows), self.batches(), self.cx.machine.threads, 4);
        while let Some(mut host) = loader.next_batch()? {
            if host.batch.step == 0 {
                self.log_dropped(&host.batch.pass)?;
            }
            let columns = tensors(std::mem::take(&mut host.columns), &outputs)?;
            let (loss, norm) = self.step(&host, &columns)?;
            // before the next batch: its memory serves again
            drop(columns);
            match self.resumable {
                true => self.cx.machine.stepped(),
                // of a stage that runs during another, which is done again when that one goes on
                false => self.cx.machine.go_on()?,
            }
            let waiting = loader.waited().as_secs_f64() / self.start.elapsed().as_secs_f64().max(1e-9);
            let clips = self.videos * self.stage.clips_per_sample() as u64;
            let news = News { epoch: host.batch.pass.epoch, step: host.batch.step, loss: Some(loss), clips, waiting };
            self.progress.step(&news);
            if let Some(norm) = norm {
                self.log_step(&news, norm)?;
            }
            if self.step_of_epoch == self.steps {
                self.progress_of_epoch(&news);
                self.end_epoch()?;
            } else if self.between_updates() {
                let stops = self.stops();
                if stops || self.due(false) {
                    self.save(None)?;
                }
                if stops {
                    return self.interrupted();
                }
            }
        }
        self.progress.finish();
        if let Some(best) = self.best.filter(|b| b.state().at.is_none()) {
            bail!("`keep.best`: the metric `{}` was never a number in the stage `{}`", best.metric(), self.stage.name);
        }
        let mut last = self.last;
        last.extend(rates(self.stage, self.videos, self.before + self.start.elapsed().as_secs_f64()));
        Ok(last)
    }

    /// The batches that are left. Draws depend on epoch, step and sample alone, so the loader has no state but where it begins.
    fn batches(&self) -> Box<dyn Iterator<Item = Batch> + Send> {
        let drive = &self.stage.drive;
        let (batch, drop_last) = (drive.settings.batch.unwrap_or(1), drive.drops_last());
        let (seed, name, order) = (self.cx.plan.seed, self.stage.name.clone(), Arc::clone(&self.rows));
        let (first, skipped) = (self.epoch, self.step_of_epoch as usize);
        Box::new((first..self.epochs).flat_map(move |epoch| {
            let (batches, _) = order.training(&Pass { seed, stage: name.clone(), epoch }, batch, drop_last);
            batches.into_iter().skip(if epoch == first { skipped } else { 0 })
        }))
    }

    /// Batches whose gradients one update takes the mean of, at this place of the epoch: fewer at its end.
    fn accumulated(&self) -> u64 {
        let wanted = self.stage.drive.settings.accumulate.unwrap_or(1) as u64;
        let begun = self.step_of_epoch / wanted * wanted;
        wanted.min(self.steps - begun)
    }

    /// Whether no gradient waits for others: the state is whole.
    fn between_updates(&self) -> bool {
        let wanted = self.stage.drive.settings.accumulate.unwrap_or(1) as u64;
        self.step_of_epoch.is_multiple_of(wanted) || self.step_of_epoch == self.steps
    }

    /// One batch: forward, backward, and where it completes an update the optimiser's step. The loss, and the norm of the gradients of an update.
    fn step(&mut self, host: &HostBatch, columns: &HostColumns) -> Result<(f64, Option<f64>)> {
        let stage = self.stage;
        let settings = &stage.drive.settings;
        let total = self.epochs * self.steps;
        let now_at = Step { pass: &host.batch.pass, step: host.batch.step, samples: &host.samples };
        let (loss_node, loss_port) = stage.minimise.context("a stage that trains minimises")?;
        if self.between_updates() {
            self.store.average(&self.cx.plan.models, &stage.models, &settings.frozen, self.step, total);
        }
        let of_update = self.accumulated();
        let values = self.executor.run(self.store, &now_at, Some(to_device(columns, self.cx.machine.device)))?;
        let now = scalar(&values, loss_node, loss_port)?.context("the loss has no value: no sample of the batch reached it")?;
        if !now.is_finite() {
            return Err(self.not_finite(host, columns, &values, &format!("the loss is {now}")));
        }
        for (mean, m) in self.means.iter_mut().zip(&stage.metrics) {
            mean.add(scalar(&values, m.node, m.port)?, host.samples.len() as u64);
        }
        let loss = values.tensor(loss_node, loss_port).context("the loss was not computed")?;
        let share = if of_update > 1 { loss / of_update as f64 } else { loss.shallow_clone() };
        share.f_backward().map_err(|e| anyhow!("backward: {}", torch_text(&e.to_string())))?;
        self.factor = self.schedule.factor(host.batch.pass.epoch, self.step, total);
        self.step_of_epoch += 1;
        let mut norm = None;
        if self.between_updates() {
            let (length, first) = self.optimiser.gradient_norm()?;
            if let Some(parameter) = first {
                self.step_of_epoch -= 1;
                return Err(self.not_finite(host, columns, &values, &format!("the gradient of `{parameter}` is not finite (loss {now})")));
            }
            if let Some(most) = settings.clip_norm {
                self.optimiser.clip_gradients(length, most);
            }
            let (factor, plateau) = (self.factor, &self.plateau);
            self.optimiser.step(|lr| plateau.rate(lr) * factor)?;
            norm = Some(length);
        }
        self.executor.commit(self.store, &now_at, &values)?;
        self.step += 1;
        self.videos += host.samples.len() as u64;
        Ok((now, norm))
    }

    fn not_finite(&mut self, host: &HostBatch, columns: &HostColumns, values: &Values, what: &str) -> anyhow::Error {
        let columns = to_device(columns, self.cx.machine.device);
        not_finite::explain(&mut self.executor, self.store, self.stage, host, columns, values, what)
    }

    /// What comes after an epoch's last step. Interrupted, it comes again when the run goes on.
    fn end_epoch(&mut self) -> Result<()> {
        let stage = self.stage;
        let log = self.cx.folder.log_length()?;
        let value = |mean: &Mean| mean.value().unwrap_or(f64::NAN);
        let metrics: Metrics = stage.metrics.iter().zip(&self.means).map(|(m, mean)| (m.name.clone(), value(mean))).collect();
        let done = self.epoch + 1;
        let line = json!({
            "stage": stage.name, "epoch": done, "step": self.step, "lr": self.learning_rate(), "metrics": to_json(&metrics),
            "seconds": self.seconds(), "memory": memory(),
        });
        self.cx.folder.log(&line)?;
        let mut known = metrics.clone();
        match run_during(self.cx, stage, self.store, done, done == self.epochs) {
            Ok(during) => known.extend(during),
            Err(e) if self.resumable && e.downcast_ref::<Interrupted>().is_some() => {
                self.save(Some(log))?;
                return self.interrupted().map(drop);
            }
            Err(e) => return Err(e),
        }
        self.last = metrics;
        self.plateau.epoch(&known);
        let is_best = self.best.as_mut().is_some_and(|b| b.epoch(done, &known));
        self.means.fill(Mean::default());
        (self.epoch, self.step_of_epoch) = (done, 0);
        let needed = done == self.epochs || is_best || self.cx.named_epochs(&stage.name).contains(&done);
        let stops = self.stops();
        if needed || stops || self.due(true) {
            self.save(None)?;
        }
        // at the end of the stage nothing of it is left to interrupt
        if stops && done < self.epochs {
            return self.interrupted().map(drop);
        }
        Ok(())
    }

    fn stops(&self) -> bool {
        self.resumable && self.cx.machine.go_on().is_err()
    }

    fn interrupted(&self) -> Result<Metrics> {
        self.progress.finish();
        let within = if self.step_of_epoch > 0 { format!(" and {} steps", self.step_of_epoch) } else { String::new() };
        let at = format!("the stage `{}` is saved after {} of {} epochs{within}", self.stage.name, self.epoch, self.epochs);
        Err(anyhow::Error::new(Interrupted).context(at))
    }

    /// Whether a checkpoint is due: as `keep.every` says; without it every tenth of the stage.
    fn due(&self, ends: bool) -> bool {
        match self.stage.drive.keep.as_ref().and_then(|keep| keep.every.as_ref()) {
            None => ends && self.epoch.is_multiple_of((self.epochs / 10).max(1)),
            Some(Every::Epochs(n)) => ends && self.epoch.is_multiple_of(*n),
            Some(Every::Steps(n)) => self.step.is_multiple_of(*n),
            Some(Every::Minutes(n)) => self.saved.elapsed().as_secs_f64() >= n * 60.0,
        }
    }

    /// Writes a checkpoint. `log`: how much of the log belongs to it, where that is not all.
    fn save(&mut self, log: Option<u64>) -> Result<()> {
        let stage = self.stage;
        let best = self.best.as_ref().and_then(|b| b.state().at);
        let state = State {
            dv: env!("CARGO_PKG_VERSION").into(),
            stage: stage.name.clone(),
            epoch: self.epoch,
            step_of_epoch: self.step_of_epoch,
            step: self.step,
            seed: self.cx.plan.seed,
            machine: self.machine.clone(),
            data: self.data.clone(),
            plateau: self.plateau.state().clone(),
            best: self.best.as_ref().map(|b| b.state().clone()),
            means: self.means.clone(),
            last: self.last.iter().map(|(name, value)| Metric { name: name.clone(), value: *value }).collect(),
            videos: self.videos,
            seconds: self.seconds(),
        };
        checkpoint::save(self.cx.folder, &state, self.store, &self.optimiser, best, log)?;
        let keep: Vec<u64> = self.cx.named_epochs(&stage.name).into_iter().chain(best).collect();
        let last = stage.drive.keep.as_ref().and_then(|k| k.last).unwrap_or(1);
        checkpoint::prune(self.cx.folder, &stage.name, last, &keep)?;
        self.saved = Instant::now();
        Ok(())
    }

    pub(super) fn seconds(&self) -> f64 {
        self.before + self.start.elapsed().as_secs_f64()
    }

    fn progress_of_epoch(&self, news: &News) {
        let of = |mean: &Mean| mean.value().unwrap_or(f64::NAN);
        let shown = self.stage.metrics.iter().zip(&self.means).filter(|(m, _)| m.reported);
        let shown: Metrics = shown.map(|(m, mean)| (m.name.clone(), of(mean))).collect();
        self.progress.epoch(news, &shown);
    }
}

/// How much went through a second: videos, the clips that were read of them, and the rows of each model that reads pixels.
fn rates(stage: &StagePlan, videos: u64, seconds: f64) -> Metrics {
    let rate = |count: usize| (videos * count as u64) as f64 / seconds.max(1e-9);
    let mut rates = vec![("videos_per_second".to_string(), rate(1)), ("clips_per_second".to_string(), rate(stage.clips_per_sample()))];
    rates.extend(stage.encoder_rows_per_sample().into_iter().map(|(model, rows)| (format!("{model}_rows_per_second"), rate(rows))));
    rates
}
