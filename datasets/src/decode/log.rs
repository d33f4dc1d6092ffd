//! What ffmpeg writes to stderr: complaints, the frames' rate, and in old versions their times.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use super::line::{gist, Complaint, Line};
use super::showinfo::{self, Said};
use super::times::{micros, Times};
use super::unnamed::Unnamed;

/// Longest line kept, in bytes; the rest of a longer one is skipped.
const MAX_LINE: u64 = 4096;
/// Complaints kept of those that differ in more than numbers; the others are counted.
const MAX_COMPLAINTS: usize = 8;

/// The state of one process's log, filled by a thread that reads it, asked by the one that reads frames.
#[derive(Default)]
pub struct Log {
    state: Mutex<State>,
    read: Condvar,
}

#[derive(Default)]
struct State {
    time_base: Option<(i64, i64)>,
    fps: Option<f64>,
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
    /// Reads to the end of `stderr`, whatever it holds. `input` is the file's name as ffmpeg was given it; `times` gets those of the
    /// frames, where it is the log that has them.
    pub fn read(&self, stderr: impl Read, input: &OsStr, times: Option<&Times>) {
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
            let time = self.lock().take_line(&String::from_utf8_lossy(&line));
            if let (Some(times), Some(time)) = (times, time) {
                times.push(time);
            }
        }
        if let Some(times) = times {
            times.end();
        }
        self.lock().ended = true;
        self.read.notify_all();
    }

    /// Waits, but not for ever, until all of the log has been read.
    pub fn wait_end(&self) {
        let state = self.lock();
        let _ = self.read.wait_timeout_while(state, Duration::from_secs(5), |state| !state.ended);
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
    /// Gives the time of a frame, `Some(None)` if it has none, where the line announces one.
    fn take_line(&mut self, raw: &str) -> Option<Option<i64>> {
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
            return None;
        }
        self.no_stream |= line.source.is_none() && line.text.starts_with("Stream map '") && line.text.ends_with("' matches no streams.");
        self.foreign_format |= line.text.starts_with("Format not on whitelist");
        let Some(found) = showinfo::find(line.text) else {
            self.complain(line);
            return None;
        };
        self.complain(Line { text: found.before, ..line });
        match found.said {
            Said::Frame(pts) => Some(pts.zip(self.time_base).and_then(|(pts, base)| micros(pts, base))),
            Said::Config(base, rate) => {
                self.time_base = base;
                self.fps = self.fps.or(rate.map(|(n, d)| n as f64 / d as f64));
                None
            }
        }
    }

    fn complain(&mut self, line: Line) {
        match line.complaint() {
            Some(Complaint::Cause(text)) => self.causes.push(text),
            Some(Complaint::Consequence(text)) => self.consequences.push(text),
            None => {}
        }
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
        timed(text, input).0
    }

    /// Also the frames' times.
    fn timed(text: &str, input: &str) -> (Log, Vec<Option<i64>>) {
        let (log, times) = (Log::default(), Times::default());
        log.read(text.as_bytes(), OsStr::new(input), Some(&times));
        let times = std::iter::from_fn(|| times.next(Duration::ZERO)).collect();
        (log, times)
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
        let (log, times) = timed(&text, "file:x");
        assert_eq!((log.fps(), times), (Some(30000.0 / 1001.0), vec![Some(0), None, Some(-1_001_000)]));
        let complaints = log.complaints().unwrap();
        assert!(complaints.ends_with("y; Packet corrupt (stream = 0, dts = 33); ac-tex damaged at 3 5; and 1 more"), "{complaints}");
        assert!(complaints.len() < 400 && !log.interrupted());
    }

    /// Messages that do not end their lines stand before the next one, which then has neither source nor level.
    #[test]
    fn unfinished_messages() {
        let frame = |n: i64| format!("n:   {n} pts:      {n} pts_time:0 i:P iskey:0 type:P ");
        let text = [
            "[warning] Odd rotation angle.",
            "send it to ffmpeg-devel@ffmpeg.orgconfig in time_base: 1/25, frame_rate: 25/1",
            &format!("[Parsed_showinfo_1 @ 0x55] [info] {}", frame(0)),
            "[Parsed_showinfo_1 @ 0x55] [info] color_range:pc color_space:gbr color_primaries:unknown color_trc:unknown",
            &format!("[ffv1 @ 0x5] [error] slice CRC mismatch 59A15B4D!{}", frame(1)),
        ];
        let (log, times) = timed(&text.join("\n"), "file:x");
        assert_eq!((log.fps(), times), (Some(25.0), vec![Some(0), Some(40_000)]));
        assert_eq!(log.complaints().as_deref(), Some("slice CRC mismatch 59A15B4D!"));
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
        let (log, times) = timed(&text, input);
        assert!(!log.interrupted() && !log.no_stream() && !log.foreign_format());
        assert_eq!((log.complaints(), log.fps(), times), (None, None, vec![]));
    }
}
