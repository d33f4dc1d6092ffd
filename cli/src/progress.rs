//! Progress on stderr: a bar where that is a terminal, else, for long work, a line now and then.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

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
