//! What ffmpeg writes to stderr: timestamps and rate (its `showinfo` filter), and complaints.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use super::line::{gist, Complaint, Line};
use super::showinfo::{self, Said};
use super::unnamed::Unnamed;

/// Longest line kept, in bytes; the rest of a longer one is skipped.
const MAX_LINE: u64 = 4096;
/// Complaints kept of those that differ in more than numbers; the others are counted.
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
    causes: Complaints,
    consequences: Complaints,
    interrupted: bool,
    no_stream: bool,
    foreign_format: bool,
    ended: bool,
}

#[derive(Default)]
struct Complaints {
    /// The first sentence of each gist, and the gist.
    kept: Vec<(String, String)>,
    count: usize,
}

impl Complaints {
    fn push(&mut self, text: String) {
        self.count += 1;
        if self.kept.len() < MAX_COMPLAINTS {
            let gist = gist(&text);
            if self.kept.iter().all(|kept| kept.1 != gist) {
                self.kept.push((text, gist));
            }
        }
    }
}

impl Log {
    /// Reads to the end of `stderr`, whatever it holds. `input` is the file's name as ffmpeg was given it.
    pub fn read(&self, stderr: impl Read, input: &OsStr) {
        let mut stderr = BufReader::new(Unnamed::new(stderr, input.as_encoded_bytes()));
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

    /// Whether ffmpeg found no video stream in the file.
    pub fn no_stream(&self) -> bool {
        self.lock().no_stream
    }

    /// Whether the file's format is none of those that ffmpeg was allowed to open.
    pub fn foreign_format(&self) -> bool {
        self.lock().foreign_format
    }

    /// The complaints in one line; `None`: there were none.
    pub fn complaints(&self) -> Option<String> {
        let state = self.lock();
        let complaints = if state.causes.count > 0 { &state.causes } else { &state.consequences };
        let kept: Vec<&str> = complaints.kept.iter().map(|kept| kept.0.as_str()).collect();
        let text = kept.join("; ");
        match complaints.count - complaints.kept.len() {
            0 if text.is_empty() => None,
            0 => Some(text),
            more => Some(format!("{text}; and {more} more")),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl State {
    fn take_line(&mut self, raw: &str) {
        const INTERRUPTED: &str = "Exiting normally, received signal";
        let raw = raw.trim_end();
        let parsed = Line::parse(raw);
        let line = parsed.unwrap_or(Line { source: None, level: "", text: raw });
        // ffmpeg's description of the file, which repeats its titles, some of several lines.
        let description = match parsed {
            Some(line) => line.source.is_none() && line.level == "info",
            None => raw.starts_with(char::is_whitespace),
        };
        self.interrupted |= line.source.is_none() && line.text.starts_with(INTERRUPTED);
        if description {
            return;
        }
        self.no_stream |= line.source.is_none() && line.text.starts_with("Stream map '") && line.text.ends_with("' matches no streams.");
        self.foreign_format |= line.text.starts_with("Format not on whitelist");
        let Some(found) = showinfo::find(&line) else { return self.complain(line) };
        match found.said {
            Said::Frame(pts) => self.times.push_back(self.micros(pts)),
            Said::Config(base, rate) => {
                self.time_base = base;
                self.fps = self.fps.or(rate.map(|(n, d)| n as f64 / d as f64));
            }
            Said::Other => {}
        }
        self.complain(Line { text: found.before, ..line });
        self.complain(Line { source: None, level: "", text: found.after });
    }

    fn complain(&mut self, line: Line) {
        match line.complaint() {
            Some(Complaint::Cause(text)) => self.causes.push(text),
            Some(Complaint::Consequence(text)) => self.consequences.push(text),
            None => {}
        }
    }

    /// A time in units of the time base as microseconds, rounded down, negative ones too.
    fn micros(&self, pts: Option<i64>) -> Option<i64> {
        let (pts, (n, d)) = pts.zip(self.time_base)?;
        i64::try_from((pts as i128 * n as i128 * 1_000_000).div_euclid(d as i128)).ok()
    }
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

    fn log(text: &str, input: &str) -> Log {
        let log = Log::default();
        log.read(text.as_bytes(), OsStr::new(input));
        log
    }

    #[test]
    fn times_rates_and_complaints() {
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
             [error] Error while decoding stream #0:0: Invalid data found when processing input\n\
             [mpeg4 @ 0x1] [error] ac-tex damaged at 3 5\n[mpeg4 @ 0x1] [error] ac-tex damaged at 4 5"
        );
        let log = log(&text, "file:x");
        let now = Duration::ZERO;
        assert_eq!(log.fps(), Some(30000.0 / 1001.0));
        let times = [0; 4].map(|_| log.next_time(now));
        assert_eq!(times, [Some(Some(0)), Some(None), Some(Some(-1_001_000)), None]);
        let complaints = log.complaints().unwrap();
        assert!(complaints.ends_with("y; Packet corrupt (stream = 0, dts = 33); ac-tex damaged at 3 5; and 1 more"), "{complaints}");
        assert!(complaints.len() < 400 && !log.interrupted());
    }

    /// Messages of several threads: what one says stands inside what another says, without its name and level.
    #[test]
    fn messages_inside_messages() {
        let frame = |n: i64| format!("n:   {n} pts:      {n} pts_time:0 i:P iskey:0 type:P ");
        let own = "[Parsed_showinfo_1 @ 0x55] [info] ";
        let text = [
            "[warning] Odd rotation angle.",
            "send it to ffmpeg-devel@ffmpeg.orgconfig in time_base: 1/25, frame_rate: 25/1",
            &format!("{own}{}File ended prematurely", frame(0)),
            own,
            &format!("{own}color_range:pcstream 0, offset 0x12: partial file"),
            &format!("{own} color_space:gbr color_primaries:unknown color_trc:unknown"),
            &format!("[ffv1 @ 0x5] [error] slice CRC mismatch 59A15B4D!{}", frame(1)),
            "[ffv1 @ 0x5] [error] at 0.040000 seconds",
            &format!("{own}{}Reinit context to 64x48", frame(2)),
        ];
        let log = log(&text.join("\n"), "file:x");
        let times = [0; 4].map(|_| log.next_time(Duration::ZERO));
        assert_eq!((log.fps(), times), (Some(25.0), [Some(Some(0)), Some(Some(40_000)), Some(Some(80_000)), None]));
        let want = "File ended prematurely; 0, offset 0x12: partial file; slice CRC mismatch 59A15B4D!; at 0.040000 seconds";
        assert_eq!(log.complaints().as_deref(), Some(want));
    }

    /// The log of a file that does not open, of versions 5.1 and 9.0: the same reason, without the file's name.
    #[test]
    fn two_versions_one_reason() {
        let input = "file:/a folder/[error] x\n[fatal] received signal.avi";
        let reason = |text: &str| log(&text.replace("INPUT", input), input).complaints();
        for cause in ["", "moov atom not found"] {
            let line = |source: &str| if cause.is_empty() { String::new() } else { format!("[{source} @ 0x55d0] [error] {cause}\n") };
            let old = line("mov,mp4,m4a,3gp,3g2,mj2") + "[error] INPUT: Invalid data found when processing input\n";
            let new = line("in#0")
                + "[in#0 @ 0x55d0] [error] Error opening input: Invalid data found when processing input\n\
                   [error] Error opening input file INPUT.\n\
                   [fatal] Error opening input files: Invalid data found when processing input\n";
            let want = if cause.is_empty() { "Invalid data found when processing input" } else { cause };
            assert_eq!([reason(&old), reason(&new)].map(Option::unwrap), [want; 2]);
        }
        // An early end, where the rest of ffmpeg complains of having got nothing.
        let old = "[matroska,webm @ 0x55] [error] File ended prematurely\n\
                   [error] Cannot determine format of input stream 0:0 after EOF\n[fatal] Error marking filters as finished\n";
        let new = "[in#0/matroska,webm @ 0x55] [error] File ended prematurely\n\
                   [vf#0:0 @ 0x55] [error] Cannot determine format of input 0:0 after EOF\n\
                   [vost#0:0/ppm @ 0x5] [enc:ppm @ 0x5] [error] Could not open encoder before EOF\n\
                   [vost#0:0/ppm @ 0x5] [error] Terminating thread with return code -22 (Invalid argument)\n\
                   [out#0/image2pipe @ 0x5] [error] Nothing was written into output file\n";
        assert_eq!([reason(old), reason(new)].map(Option::unwrap), ["File ended prematurely"; 2]);
    }

    #[test]
    fn what_ffmpeg_says_of_itself() {
        for text in ["[info] Exiting normally, received signal 15.\n", "Exiting normally, received signal 2.\n"] {
            assert!(log(text, "file:x").interrupted());
        }
        assert!(log("[fatal] Stream map '0:V:0' matches no streams.\n", "file:x").no_stream());
        assert!(log("[png_pipe @ 0x5] [error] Format not on whitelist 'avi'\n", "file:x").foreign_format());
        // The same words where a file says them of itself.
        let input = "file:a\nExiting normally, received signal 2.\n[fatal] Stream map '' matches no streams.\n[error] x";
        let text = [
            &format!("[info] Input #0, avi, from '{input}':"),
            "[info]     title           : received signal",
            "                           : [fatal] Stream map '' matches no streams.",
            "                           : n:   0 pts:      5 pts_time:5",
            "[info]     comment         : Exiting normally, received signal 2.",
            "[info]     author          : config in time_base: 1/1, frame_rate: 1/1",
        ]
        .join("\n");
        let log = log(&text, input);
        assert!(!log.interrupted() && !log.no_stream() && !log.foreign_format());
        assert_eq!((log.complaints(), log.fps(), log.next_time(Duration::ZERO)), (None, None, None));
    }
}
