//! What a person sees while a stage runs: a bar on a terminal, else one line an epoch.

use indicatif::{ProgressBar, ProgressStyle};
use std::cell::RefCell;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

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
    /// When a line was written last.
    last: RefCell<Instant>,
}

/// Columns of a line that stays above a bar.
const COLUMNS: usize = 80;
/// How often a line is written where no bar can be.
const SELDOM: Duration = Duration::from_secs(30);

/// A line with as many of the parts as fit.
fn within(begin: &str, parts: &[String], columns: usize) -> String {
    let mut line = begin.to_owned();
    for part in parts {
        if line.chars().count() + 2 + part.chars().count() > columns {
            break;
        }
        line += &format!("  {part}");
    }
    line.chars().take(columns).collect()
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
        Progress { bar, stage: stage.into(), epochs, steps, start: Instant::now(), last: RefCell::new(Instant::now()) }
    }

    fn rate(&self, news: &News) -> f64 {
        news.clips as f64 / self.start.elapsed().as_secs_f64().max(1e-9)
    }

    pub fn step(&self, news: &News) {
        if self.bar.is_none() && news.loss.is_none() {
            self.evaluated(news);
        }
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

    /// A stage that does not train says now and then how far it is, where there is no bar.
    fn evaluated(&self, news: &News) {
        let mut last = self.last.borrow_mut();
        if last.elapsed() < SELDOM {
            return;
        }
        *last = Instant::now();
        let (done, rate) = (news.step + 1, self.rate(news));
        let _ = writeln!(std::io::stderr(), "{}: batch {done}/{}  {rate:.0} clips/s", self.stage, self.steps);
    }

    /// The line of an epoch: above the bar it stays, within 80 columns; where there is no bar it has all reported metrics.
    pub fn epoch(&self, news: &News, metrics: &[(String, f64)]) {
        let metrics: Vec<String> = metrics.iter().map(|(n, v)| format!("{n} {v:.4}")).collect();
        let begin = format!("{}: epoch {}/{}", self.stage, news.epoch + 1, self.epochs);
        if let Some(bar) = &self.bar {
            bar.println(within(&begin, &metrics, COLUMNS));
            return;
        }
        let done = (news.epoch + 1) as f64 / self.epochs as f64;
        let eta = self.start.elapsed().as_secs_f64() * (1.0 / done - 1.0);
        let line = format!(
            "{begin}  {}  {:.0} clips/s  waiting for data {:.0} %  ETA {eta:.0} s",
            metrics.join("  "),
            self.rate(news),
            100.0 * news.waiting
        );
        let _ = writeln!(std::io::stderr(), "{line}");
    }

    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_metrics_that_fit() {
        let parts = ["loss 1.2345", "contrast.top1 0.5000"].map(String::from);
        assert_eq!(within("learn: epoch 1/2", &parts, 80), "learn: epoch 1/2  loss 1.2345  contrast.top1 0.5000");
        assert_eq!(within("learn: epoch 1/2", &parts, 40), "learn: epoch 1/2  loss 1.2345");
        assert_eq!(within("learn: epoch 1/2", &parts, 8), "learn: e");
    }
}
