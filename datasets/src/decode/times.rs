//! The times of the frames, on their way from a thread that reads them to the one that reads frames.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Longest line, in bytes: two numbers and their ratio have under 80.
const MAX_LINE: u64 = 256;

#[derive(Default)]
pub struct Times {
    state: Mutex<State>,
    grew: Condvar,
}

#[derive(Default)]
struct State {
    /// Microseconds, one a frame; `None`: the frame has none.
    times: VecDeque<Option<i64>>,
    ended: bool,
}

impl Times {
    pub fn push(&self, time: Option<i64>) {
        self.lock().times.push_back(time);
        self.grew.notify_all();
    }

    /// No more will come.
    pub fn end(&self) {
        self.lock().ended = true;
        self.grew.notify_all();
    }

    /// Reads lines `PTS NUMERATOR/DENOMINATOR`, a frame's time and its unit in seconds, to their end.
    pub fn read(&self, from: impl Read) {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        loop {
            line.clear();
            match from.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
                Ok(n) if n > 0 => self.push(parse(&String::from_utf8_lossy(&line))),
                _ => break,
            }
        }
        self.end();
    }

    /// The time of the next frame in microseconds, if it has one. ffmpeg gives a frame's time before the frame, so this waits no
    /// longer than the other thread needs to read on; `None`: the time did not come in `patience`, and to go on asking would
    /// give frames the times of others.
    pub fn next(&self, patience: Duration) -> Option<Option<i64>> {
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn parse(line: &str) -> Option<i64> {
    let (pts, unit) = line.trim().split_once(' ')?;
    micros(pts.parse().ok()?, ratio(unit)?)
}

/// A time in units of `unit` seconds as microseconds, rounded down, negative ones too. ffmpeg's least number stands for none.
pub fn micros(pts: i64, unit: (i64, i64)) -> Option<i64> {
    let micros = || (pts as i128 * unit.0 as i128 * 1_000_000).div_euclid(unit.1 as i128);
    (pts != i64::MIN).then(micros).and_then(|micros| i64::try_from(micros).ok())
}

/// A positive ratio such as `30000/1001`.
pub fn ratio(text: &str) -> Option<(i64, i64)> {
    let (n, d) = text.split_once('/')?;
    let (n, d) = (n.parse::<i64>().ok()?, d.parse::<i64>().ok()?);
    (n > 0 && d > 0).then_some((n, d))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_ffmpeg() {
        let long = "7".repeat(1000);
        let text = format!("0 1001/30000\n1 1001/30000\n-9223372036854775808 1/25\n-30 1001/30000\n512 1/12800\nx\n5 1/0\n{long}");
        let times = Times::default();
        times.read(text.as_bytes());
        let got: Vec<_> = std::iter::from_fn(|| times.next(Duration::ZERO)).take(7).collect();
        assert_eq!(got, [Some(0), Some(33_366), None, Some(-1_001_000), Some(40_000), None, None]);
    }

    #[test]
    fn waits_for_what_comes_late_and_not_for_ever() {
        let times = Times::default();
        assert_eq!(times.next(Duration::from_millis(20)), None);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(50));
                times.push(Some(5));
                times.end();
            });
            assert_eq!(times.next(Duration::from_secs(60)), Some(Some(5)));
            assert_eq!(times.next(Duration::from_secs(60)), None);
        });
    }
}
