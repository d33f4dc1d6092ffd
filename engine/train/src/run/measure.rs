//! What a stage's steps take: on batches that lie on the device already, and with the loader.

use crate::exec::caught::torch_text;
use crate::exec::executor::{Executor, Registry, Step};
use crate::exec::transfer::{tensors, to_device, HostColumns};
use crate::run::stage::{initial, lengths, Machine};
use crate::state::optimise::Running;
use crate::state::store::Store;
use anyhow::{anyhow, Context, Result};
use dv_graph::draw::{Pass, Sample};
use dv_graph::plan::{Plan, StagePlan};
use dv_graph::sample::epoch::Rows;
use dv_graph::sample::loader::Loader;
use dv_graph::sample::runner::HostPlan;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Steps of one kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Steps {
    pub steps: u64,
    pub seconds: f64,
    /// User and system, of all threads.
    pub cpu_seconds: f64,
    pub clips: u64,
    /// Share of the time that the device waited for data.
    pub waiting: f64,
}

/// What was measured.
pub struct Measured {
    /// Whether a step is forward, backward and the optimiser's; else forward alone.
    pub trains: bool,
    pub batch: usize,
    /// Nodes of the device.
    pub nodes: usize,
    pub resident: Steps,
    pub loaded: Steps,
    /// Resident bytes of the process at most.
    pub memory_peak: u64,
}

/// Batches that are kept on the device.
const RESIDENT: usize = 4;
/// Steps that are not counted: caches fill, oneDNN chooses its kernels.
const WARM_UP: u64 = 2;

/// CPU seconds of this process so far (user and system, all threads), from /proc.
pub fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    // Linux counts in hundredths
    (ticks(11) + ticks(12)) / 100.0
}

fn memory_peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// A stage whose steps are made without a run: models as they start, no checkpoints, no metrics.
struct Stepper<'a> {
    plan: &'a Plan,
    stage: &'a Arc<StagePlan>,
    executor: Executor<'a>,
    store: Store,
    optimiser: Option<Running>,
    made: u64,
}

impl Stepper<'_> {
    fn step(&mut self, pass: &Pass, samples: &[Sample], columns: HostColumns) -> Result<()> {
        let now = Step { pass, step: self.made, samples };
        self.made += 1;
        let Some(optimiser) = &mut self.optimiser else {
            return tch::no_grad(|| self.executor.run(&self.store, &now, Some(columns)).map(drop));
        };
        // as far as a run whose end nobody knows can be
        let total = u64::MAX;
        self.store.average(&self.plan.models, &self.stage.models, &self.stage.drive.settings.frozen, now.step, total);
        let values = self.executor.run(&self.store, &now, Some(columns))?;
        let (node, port) = self.stage.minimise.context("a stage that trains minimises")?;
        let loss = values.tensor(node, port).context("the loss was not computed")?;
        loss.f_backward().map_err(|e| anyhow!("backward: {}", torch_text(&e.to_string())))?;
        let (length, _) = optimiser.gradient_norm()?;
        if let Some(most) = self.stage.drive.settings.clip_norm {
            optimiser.clip_gradients(length, most);
        }
        optimiser.step(|lr| lr)?;
        self.executor.commit(&self.store, &now, &values)
    }
}

/// Measures for about so long each. Errors: those of a run.
pub fn measure(plan: &Plan, stage: &Arc<StagePlan>, registry: &Registry, machine: &Machine, each: Duration) -> Result<Measured> {
    let source = stage.source().with_context(|| format!("the stage `{}` reads no videos: it has no steps", stage.name))?;
    let rows = Arc::new(Rows::open(&machine.data, &source, &stage.nodes[stage.source.unwrap_or(0)].path)?);
    let lengths = lengths(Some(rows.as_ref()));
    let store = initial(plan, stage, &lengths, machine.device)?;
    let trained: Vec<String> = stage.models.iter().filter(|(_, t)| *t).map(|(m, _)| m.clone()).collect();
    let optimiser = stage.drive.optimiser.as_ref().filter(|_| stage.trains());
    let optimiser = optimiser.map(|o| Running::new(o, &stage.drive.parameters, &store, &trained));
    let mut executor = Executor::new(Arc::clone(stage), registry, machine.device);
    executor.set_lengths(lengths);
    let places = executor.places.clone();
    let nodes = places.iter().filter(|place| **place == dv_graph::plan::Place::Device).count();
    let mut stepper = Stepper { plan, stage, executor, store, optimiser, made: 0 };
    let batch = stage.drive.settings.batch.unwrap_or(1).min(rows.len());
    let (seed, name, order) = (plan.seed, stage.name.clone(), Arc::clone(&rows));
    let endless = (0u64..).flat_map(move |epoch| order.training(&Pass { seed, stage: name.clone(), epoch }, batch, true).0);
    let host = HostPlan::new(Arc::clone(stage), places, &[])?;
    let outputs = host.outputs.clone();
    let mut loader = Loader::start(host, rows, Box::new(endless), machine.threads, 4);
    let clips = (batch * stage.clips_per_sample()) as u64;
    let mut kept = Vec::new();
    for _ in 0..RESIDENT {
        let batch = loader.next_batch()?.context("the source ended")?;
        let columns = tensors(batch.columns, &outputs)?;
        kept.push((batch.batch.pass, batch.samples, to_device(&columns, machine.device)));
    }
    let again = |columns: &HostColumns| columns.iter().map(|(at, t)| (*at, t.shallow_clone())).collect::<HostColumns>();
    let (mut resident, mut start, mut cpu) = (Steps::default(), Instant::now(), cpu_seconds());
    for turn in 0u64.. {
        if turn == WARM_UP {
            (start, cpu) = (Instant::now(), cpu_seconds());
        }
        if turn > WARM_UP && start.elapsed() >= each {
            resident = Steps { steps: turn - WARM_UP, clips: (turn - WARM_UP) * clips, waiting: 0.0, ..resident };
            break;
        }
        machine.go_on()?;
        let (pass, samples, columns) = &kept[turn as usize % kept.len()];
        stepper.step(pass, samples, again(columns))?;
    }
    (resident.seconds, resident.cpu_seconds) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let mut loaded = Steps::default();
    let (waited, start, cpu) = (loader.waited(), Instant::now(), cpu_seconds());
    while loaded.steps == 0 || start.elapsed() < each {
        machine.go_on()?;
        let Some(batch) = loader.next_batch()? else { break };
        let columns = to_device(&tensors(batch.columns, &outputs)?, machine.device);
        stepper.step(&batch.batch.pass, &batch.samples, columns)?;
        loaded.steps += 1;
    }
    loaded.clips = loaded.steps * clips;
    (loaded.seconds, loaded.cpu_seconds) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    loaded.waiting = (loader.waited() - waited).as_secs_f64() / loaded.seconds.max(1e-9);
    let trains = stepper.optimiser.is_some();
    Ok(Measured { trains, batch, nodes, resident, loaded, memory_peak: memory_peak() })
}
