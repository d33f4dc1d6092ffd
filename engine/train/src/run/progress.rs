//! What a person sees while a stage runs: a bar on a terminal, else one line an epoch.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::Instant;

/// A line that a person should see, on stderr.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "note: {text}");
}

pub struct Progress {
    bar: Option<ProgressBar>,
    stage: String,
    epochs: u64,
    steps: u64,
    start: Instant,
}

/// One step's news.
pub struct News {
    /// Epoch and step of the epoch, from 0.
    pub epoch: u64,
    pub step: u64,
    pub loss: Option<f64>,
    /// Clips read so far in this stage.
    pub clips: u64,
    /// Share of the time that the device has waited for data.
    pub waiting: f64,
}

impl Progress {
    /// `steps` an epoch; `epochs` is 1 for a stage that does not train.
    pub fn new(stage: &str, epochs: u64, steps: u64) -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{prefix} {wide_bar} {msg} {elapsed} ETA {eta}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(epochs * steps).with_style(style).with_prefix(stage.to_string())
        });
        Progress { bar, stage: stage.into(), epochs, steps, start: Instant::now() }
    }

    fn rate(&self, news: &News) -> f64 {
        news.clips as f64 / self.start.elapsed().as_secs_f64().max(1e-9)
    }

    pub fn step(&self, news: &News) {
        if let Some(bar) = &self.bar {
            let loss = news.loss.map_or(String::new(), |l| format!("loss {l:.4} "));
            bar.set_message(format!(
                "epoch {}/{} step {}/{} {loss}{:.0} clips/s, waiting for data {:.0} %",
                news.epoch + 1,
                self.epochs,
                news.step + 1,
                self.steps,
                self.rate(news),
                100.0 * news.waiting
            ));
            bar.set_position(news.epoch * self.steps + news.step + 1);
        }
    }

    /// The line of an epoch, where there is no bar.
    pub fn epoch(&self, news: &News, metrics: &[(String, f64)]) {
        if self.bar.is_none() {
            let metrics: Vec<String> = metrics.iter().map(|(n, v)| format!("{n} {v:.4}")).collect();
            let done = (news.epoch + 1) as f64 / self.epochs as f64;
            let eta = self.start.elapsed().as_secs_f64() * (1.0 / done - 1.0);
            eprintln!(
                "{}: epoch {}/{}  {}  {:.0} clips/s  waiting for data {:.0} %  ETA {eta:.0} s",
                self.stage,
                news.epoch + 1,
                self.epochs,
                metrics.join("  "),
                self.rate(news),
                100.0 * news.waiting
            );
        }
    }

    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
