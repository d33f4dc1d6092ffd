//! What ffmpeg writes to stderr: timestamps and rate (its `showinfo` filter), and complaints.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// Longest line kept, in bytes; the rest of a longer one is skipped.
const MAX_LINE: u64 = 4096;
/// Complaints kept; more are counted.
const MAX_COMPLAINTS: usize = 8;

/// The state of one process's log, filled by a thread that reads it, asked by the one that reads frames.
#[derive(Default)]
pub struct Log {
    state: Mutex<State>,
    grew: Condvar,
}

#[derive(Default)]
struct State {
    time_base: Option<(i64, i64)>,
    fps: Option<f64>,
    /// One a frame so far, as the filter saw them; `None`: the frame has none.
    times: std::collections::VecDeque<Option<i64>>,
    complaints: Vec<String>,
    complained: u64,
    interrupted: bool,
    ended: bool,
}

impl Log {
    /// Reads to the end of `stderr`, whatever it holds.
    pub fn read(&self, stderr: impl Read) {
        let mut stderr = BufReader::new(stderr);
        let mut line = Vec::new();
        loop {
            line.clear();
            let got = stderr.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
            if !matches!(got, Ok(n) if n > 0) {
                break;
            }
            if line.last() != Some(&b'\n') && line.len() as u64 == MAX_LINE && skip_line(&mut stderr).is_err() {
                break;
            }
            self.lock().take_line(&String::from_utf8_lossy(&line));
            self.grew.notify_all();
        }
        self.lock().ended = true;
        self.grew.notify_all();
    }

    /// The timestamp of the next frame in microseconds, if it has one. ffmpeg logs a frame before it delivers it, so this waits
    /// no longer than the other thread needs to read on; `None`: the line did not come in `patience`, and to go on asking
    /// would give frames the times of others.
    pub fn next_time(&self, patience: Duration) -> Option<Option<i64>> {
        let until = Instant::now() + patience;
        let mut state = self.lock();
        loop {
            if let Some(time) = state.times.pop_front() {
                return Some(time);
            }
            let left = until.saturating_duration_since(Instant::now());
            if state.ended || left.is_zero() {
                return None;
            }
            state = match self.grew.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// Waits, but not for ever, until all of the log has been read.
    pub fn wait_end(&self) {
        let state = self.lock();
        let _ = self.grew.wait_timeout_while(state, Duration::from_secs(5), |state| !state.ended);
    }

    /// Nominal frames a second.
    pub fn fps(&self) -> Option<f64> {
        self.lock().fps
    }

    /// Whether a signal asked ffmpeg to stop: then what came is not what the file holds.
    pub fn interrupted(&self) -> bool {
        self.lock().interrupted
    }

    /// The complaints in one line; `None`: there were none.
    pub fn complaints(&self) -> Option<String> {
        let state = self.lock();
        let first = state.complaints.join("; ");
        match state.complained.saturating_sub(state.complaints.len() as u64) {
            0 if first.is_empty() => None,
            0 => Some(first),
            more => Some(format!("{first}; and {more} more")),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl State {
    /// A line is `[source @ 0x...] [level] text`, the source missing for ffmpeg itself.
    fn take_line(&mut self, line: &str) {
        let line = line.trim();
        if let Some((source, text)) = line.split_once("] [info] ") {
            if source.starts_with("[Parsed_showinfo") {
                self.take_info(text);
            }
            return;
        }
        if line.contains("received signal") {
            self.interrupted = true;
        }
        let (Some((_, text)), false) = (
            ["[error] ", "[fatal] ", "[panic] ", "[warning] "].iter().find_map(|level| line.split_once(level)),
            line.contains("[warning] ") && !is_damage(line),
        ) else {
            return;
        };
        self.complained += 1;
        let text: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
        if self.complaints.len() < MAX_COMPLAINTS && !self.complaints.contains(&text) {
            self.complaints.push(text);
        }
    }

    fn take_info(&mut self, text: &str) {
        if let Some(text) = text.strip_prefix("config in time_base: ") {
            let mut parts = text.split(", frame_rate: ").map(ratio);
            self.time_base = parts.next().flatten();
            if let (None, Some((n, d))) = (self.fps, parts.next().flatten()) {
                self.fps = Some(n as f64 / d as f64);
            }
        } else if let Some((_, pts)) = text.split_once(" pts:").filter(|_| text.starts_with("n:")) {
            let pts = pts.split_whitespace().next().and_then(|p| p.parse::<i64>().ok());
            let time = pts.zip(self.time_base).and_then(|(pts, (n, d))| {
                let micros = pts as i128 * n as i128 * 1_000_000;
                // Rounded down, negative times too.
                i64::try_from(micros.div_euclid(d as i128)).ok()
            });
            self.times.push_back(time);
        }
    }
}

fn is_damage(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    ["corrupt", "truncat", "prematurely", "damaged", "invalid"].iter().any(|w| line.contains(w))
}

/// A positive ratio such as `30000/1001`.
fn ratio(text: &str) -> Option<(i64, i64)> {
    let (n, d) = text.trim().split_once('/')?;
    let (n, d) = (n.parse::<i64>().ok()?, d.parse::<i64>().ok()?);
    (n > 0 && d > 0).then_some((n, d))
}

fn skip_line(from: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let buffer = from.fill_buf()?;
        let (used, done) = match buffer.iter().position(|b| *b == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        from.consume(used);
        if done {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let long = format!("[x @ 0x1] [error] {}\n", "y".repeat(100_000));
        let text = format!(
            "[info] Input #0, avi\n{long}\
             [Parsed_showinfo_1 @ 0x55] [info] config in time_base: 1001/30000, frame_rate: 30000/1001\n\
             [Parsed_showinfo_1 @ 0x55] [info] config out time_base: 0/0, frame_rate: 0/0\n\
             [Parsed_showinfo_1 @ 0x55] [info] n:   0 pts:      0 pts_time:0  pos: 1\n\
             [Parsed_showinfo_1 @ 0x55] [info] n:   1 pts:NOPTS pts_time:NOPTS\n\
             [Parsed_showinfo_1 @ 0x55] [info] n:   2 pts:   -30 pts_time:-1.001\n\
             [avi @ 0x1] [warning] Packet corrupt (stream = 0, dts = 33).\n\
             [swscaler @ 0x2] [warning] deprecated pixel format used\n\
             [mpeg4 @ 0x1] [error] ac-tex damaged at 3 5\n\u{1}[mpeg4 @ 0x1] [error] ac-tex damaged at 3 5"
        );
        let log = Log::default();
        log.read(text.as_bytes());
        let now = Duration::ZERO;
        assert_eq!(log.fps(), Some(30000.0 / 1001.0));
        let times = [0; 4].map(|_| log.next_time(now));
        assert_eq!(times, [Some(Some(0)), Some(None), Some(Some(-1_001_000)), None]);
        let complaints = log.complaints().unwrap();
        assert!(complaints.ends_with("(stream = 0, dts = 33).; ac-tex damaged at 3 5; and 1 more"), "{complaints}");
        assert!(complaints.len() < 400 && !log.interrupted());
    }
}
