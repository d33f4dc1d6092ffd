//! Progress on stderr: a bar where that is a terminal, else, for long work, a line now and then.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::out;
use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressStyle};

/// A bar over counted things, with the time left.
pub struct Bar(ProgressBar);

impl Bar {
    /// `what` stands before the bar, as in "packing".
    pub fn new(what: &'static str) -> Self {
        let bar = ProgressBar::new(0);
        let form = "{msg} [{bar:30}] {human_pos}/{human_len}, {elapsed} so far, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(form) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(500));
        Self(bar)
    }

    pub fn set(&self, done: u64, total: u64) {
        self.0.set_length(total);
        // Threads may tell out of order.
        if done > self.0.position() {
            self.0.set_position(done);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// How often the words beside a bar change.
const FAST: Duration = Duration::from_millis(200);
/// How often a line is written where no bar can be.
const SLOW: Duration = Duration::from_secs(30);

/// The progress of a pack: videos, the rate, bytes written, the time left.
pub struct Packing {
    bar: Bar,
    terminal: bool,
    start: Instant,
    told: Mutex<Instant>,
}

impl Packing {
    pub fn new() -> Self {
        let start = Instant::now();
        let terminal = std::io::stderr().is_terminal();
        Self { bar: Bar::new("packing"), terminal, start, told: Mutex::new(start) }
    }

    /// Files done and in all, bytes written.
    pub fn set(&self, done: usize, total: usize, bytes: u64) {
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if now - *told < if self.terminal { FAST } else { SLOW } {
            return;
        }
        *told = now;
        let text = rate(done, bytes, now - self.start);
        if self.terminal {
            self.bar.set(done as u64, total as u64);
            self.bar.0.set_message(format!("packing, {text}"));
            return;
        }
        let left = left(done, total, now - self.start).map_or(String::new(), |left| format!(", {} left", HumanDuration(left)));
        out::note(format_args!("packing: {done} of {total} files, {text}{left}"));
    }
}

/// `12.3 videos/s, 1.20 GiB written`.
fn rate(done: usize, bytes: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(1e-3);
    format!("{:.1} videos/s, {} written", done as f64 / seconds, HumanBytes(bytes))
}

/// The time left if the rest goes as fast; `None` before anything is done.
fn left(done: usize, total: usize, elapsed: Duration) -> Option<Duration> {
    (done > 0).then(|| elapsed.mul_f64(total.saturating_sub(done) as f64 / done as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_and_time_left() {
        let seconds = Duration::from_secs;
        assert_eq!(rate(30, 3 << 20, seconds(60)), "0.5 videos/s, 3.00 MiB written");
        assert_eq!(left(30, 120, seconds(60)), Some(seconds(180)));
        assert_eq!((left(0, 9, seconds(1)), left(9, 9, seconds(1))), (None, Some(seconds(0))));
    }
}
