//! The lines of `metrics.jsonl` that training writes. docs/runs.md describes them.

use super::trainer::Trainer;
use crate::run::progress::News;
use anyhow::Result;
use dv_graph::draw::Pass;
use serde_json::json;

impl Trainer<'_, '_> {
    /// Of the stage's optimiser; parameter groups have their own.
    pub(super) fn learning_rate(&self) -> Option<f64> {
        self.stage.drive.optimiser.as_ref().map(|optimiser| self.plateau.rate(optimiser.lr()) * self.factor)
    }

    /// The line of a step, where `log_every` asks for it.
    pub(super) fn log_step(&mut self, news: &News, norm: f64) -> Result<()> {
        let Some(every) = self.stage.drive.settings.log_every else { return Ok(()) };
        if !self.step.is_multiple_of(every) {
            return Ok(());
        }
        let seconds = self.start.elapsed().as_secs_f64().max(1e-9);
        let line = json!({
            "stage": self.stage.name, "epoch": news.epoch + 1, "step": self.step, "lr": self.learning_rate(), "loss": news.loss,
            "gradient_norm": norm, "clips_per_second": news.clips as f64 / (self.before + seconds), "waiting": news.waiting,
            "seconds": self.seconds(), "memory": memory(),
        });
        self.cx.folder.log(&line)
    }

    /// Says which videos an epoch leaves out: those of its last partial batch.
    pub(super) fn log_dropped(&mut self, pass: &Pass) -> Result<()> {
        let drive = &self.stage.drive;
        let (_, dropped) = self.rows.training(pass, drive.settings.batch.unwrap_or(1), drive.drops_last());
        if dropped.is_empty() {
            return Ok(());
        }
        let videos: Vec<&str> = dropped.iter().map(|p| &*self.rows.sample(*p).path).collect();
        let line = json!({"stage": self.stage.name, "epoch": pass.epoch + 1, "dropped": videos, "why": "the last partial batch"});
        self.cx.folder.log(&line)
    }
}

/// Bytes of memory that the process has at most had resident; nothing where the system does not say.
pub(super) fn memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    peak.split_whitespace().next()?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}
