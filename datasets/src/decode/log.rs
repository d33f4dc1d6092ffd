//! What ffmpeg writes to stderr: complaints. Warnings and errors only, since from the next level on it would print the titles and tags
//! of the file too, which may hold anything, even lines that look like complaints.

use std::ffi::OsStr;

use super::line::{gist, Complaint, Line};
use super::pipes::Take;
use super::unnamed::Unnamed;

/// Longest line kept, in bytes; the rest of a longer one is skipped.
const MAX_LINE: usize = 4096;
/// Complaints kept of those that differ in more than numbers; the others are counted.
const MAX_COMPLAINTS: usize = 8;

/// What ends a message that asks for a report, without an end of line: what follows is another message, without source and level.
const REPORT: &str = "(ffmpeg-devel@ffmpeg.org)";

/// What the system says of itself, not of a file; the same in every version, as ffmpeg takes it from the C library.
const MACHINE: [&str; 5] =
    ["No space left on device", "Disk quota exceeded", "Too many open files", "Too many open files in system", "Permission denied"];

/// The log of one process, taken as it comes.
pub struct Log {
    unnamed: Unnamed,
    line: Vec<u8>,
    causes: Complaints,
    consequences: Complaints,
    machine: Option<String>,
    not_permitted: bool,
    input_output: bool,
    no_rate: bool,
    changes: bool,
    no_stream: bool,
    foreign_format: bool,
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
    /// `input` is the file's name as ffmpeg was given it.
    pub fn new(input: &OsStr) -> Log {
        Log {
            unnamed: Unnamed::new(input.as_encoded_bytes()),
            line: Vec::new(),
            causes: Complaints::default(),
            consequences: Complaints::default(),
            machine: None,
            not_permitted: false,
            input_output: false,
            no_rate: false,
            changes: false,
            no_stream: false,
            foreign_format: false,
        }
    }

    /// What ffmpeg lacked that is no property of the file.
    pub fn machine(&self) -> Option<&str> {
        self.machine.as_deref()
    }

    /// Whether something failed with EPERM, whose number ffmpeg gives as exit status where a signal would give the same.
    pub fn not_permitted(&self) -> bool {
        self.not_permitted
    }

    /// Whether something failed with EIO, which demuxers also say of files that end too early.
    pub fn input_output(&self) -> bool {
        self.input_output
    }

    /// Whether the file has no rate, and the one that ffmpeg gives is made up.
    pub fn no_rate(&self) -> bool {
        self.no_rate
    }

    /// Whether frames change their size, format or, where the version looks at that, colours midway. It is said before the first
    /// frame that is another comes out.
    pub fn changes(&self) -> bool {
        self.changes
    }

    /// Whether ffmpeg found no video stream in the file.
    pub fn no_stream(&self) -> bool {
        self.no_stream
    }

    /// Whether the file's format is none of those that ffmpeg was allowed to open.
    pub fn foreign_format(&self) -> bool {
        self.foreign_format
    }

    /// The complaints in one line; `None`: there were none.
    pub fn complaints(&self) -> Option<String> {
        let complaints = if self.causes.count > 0 { &self.causes } else { &self.consequences };
        let kept: Vec<&str> = complaints.kept.iter().map(|kept| kept.0.as_str()).collect();
        let text = kept.join("; ");
        match complaints.count - complaints.kept.len() {
            0 if text.is_empty() => None,
            0 => Some(text),
            more => Some(format!("{text}; and {more} more")),
        }
    }

    fn lines(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = MAX_LINE.saturating_sub(self.line.len());
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let raw = std::mem::take(&mut self.line);
        let raw = String::from_utf8_lossy(&raw);
        if let Some(line) = Line::parse(&raw) {
            self.judge(line);
        } else if let Some((_, next)) = raw.split_once(REPORT) {
            // Of what level it was is not known: only a warning's damage counts.
            self.complain(Line { source: Some(""), level: "warning", text: next.trim_end() });
        }
    }

    fn judge(&mut self, line: Line) {
        let grave = matches!(line.level, "error" | "fatal" | "panic");
        if line.is_of_ffmpeg() {
            if grave && (MACHINE.iter().any(|said| line.text.ends_with(said)) || line.text.starts_with("pthread_create")) {
                self.machine.get_or_insert_with(|| line.said());
            }
            self.not_permitted |= line.text.contains("Operation not permitted");
            self.changes |= line.text.starts_with("Changing video frame properties on the fly");
            self.no_rate |= line.text.starts_with("No information about the input framerate is available");
            self.no_stream |= grave && line.text.starts_with("Stream specifier ':V:0'") && line.text.ends_with(" matches no streams.");
        }
        self.input_output |= grave && line.text.contains("Input/output error");
        self.foreign_format |= grave && line.text.starts_with("Format not on whitelist");
        self.complain(line);
    }

    fn complain(&mut self, line: Line) {
        match line.complaint() {
            Some(Complaint::Cause(text)) => self.causes.push(text),
            Some(Complaint::Consequence(text)) => self.consequences.push(text),
            None => {}
        }
    }
}

impl Take for Log {
    fn take(&mut self, bytes: &[u8]) {
        let ready = self.unnamed.push(bytes);
        self.lines(&ready);
    }

    fn end(&mut self) {
        let ready = self.unnamed.end();
        self.lines(&ready);
        self.end_line();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(text: &str, input: &str) -> Log {
        let mut log = Log::new(OsStr::new(input));
        text.as_bytes().chunks(1000).for_each(|bytes| log.take(bytes));
        log.end();
        log
    }

    #[test]
    fn complaints_of_any_length() {
        let long = format!("[x @ 0x1] [error] {}\n", "y".repeat(100_000));
        let text = format!(
            "{long}\
             [avi @ 0x1] [warning] Packet corrupt (stream = 0, dts = 33).\n\
             [swscaler @ 0x2] [warning] deprecated pixel format used\n\
             [error] Error while decoding stream #0:0: Invalid data found when processing input\n\
             [mpeg4 @ 0x1] [error] ac-tex damaged at 3 5\n[mpeg4 @ 0x1] [error] ac-tex damaged at 4 5"
        );
        let complaints = log(&text, "file:x").complaints().unwrap();
        assert!(complaints.ends_with("y; Packet corrupt (stream = 0, dts = 33); ac-tex damaged at 3 5; and 1 more"), "{complaints}");
        assert!(complaints.len() < 400);
    }

    /// A message that does not end its line stands before the next one, which then has neither source nor level.
    #[test]
    fn unfinished_messages() {
        let text = "[warning] Odd rotation angle.\n\
                    If you want to help, contact the ffmpeg-devel mailing list. (ffmpeg-devel@ffmpeg.org)corrupt input packet\n\
                    [ffv1 @ 0x5] [error] slice CRC mismatch 59A15B4D!\n";
        assert_eq!(log(text, "file:x").complaints().as_deref(), Some("corrupt input packet; slice CRC mismatch 59A15B4D!"));
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
        let none = "[fc#0 @ 0x5] [fatal] Stream specifier ':V:0' in filtergraph description [0:V:0]split[a][b] matches no streams.\n";
        assert!(log(none, "file:x").no_stream());
        assert!(log(&none.replace("[fc#0 @ 0x5] ", ""), "file:x").no_stream());
        assert!(log("[png_pipe @ 0x5] [error] Format not on whitelist 'avi'\n", "file:x").foreign_format());
        assert!(log("[vost#0:0 @ 0x5] [warning] No information about the input framerate is available. Falling\n", "file:x").no_rate());
        for (text, said) in [
            ("[error] file:x: Too many open files\n", "Too many open files"),
            ("[in#0 @ 0x5] [error] Error opening input: Permission denied\n", "Error opening input: Permission denied"),
            (
                "[dec:h264 @ 0x5] [error] pthread_create() failed: Resource temporarily unavailable\n",
                "pthread_create() failed: Resource temporarily unavailable",
            ),
        ] {
            assert_eq!(log(text, "file:x").machine(), Some(said));
        }
        // The same words where a file says them of itself.
        let input = "file:a\n[fatal] Stream specifier ':V:0' matches no streams.\n[error] x: Permission denied";
        let text = [
            "[mov @ 0x5] [error] No space left on device",
            &format!("[error] Error opening input file {input}."),
            "[warning] Permission denied",
            "Exiting normally, received signal 2.",
            "[mov @ 0x5] [error] Stream specifier ':V:0' matches no streams.",
        ]
        .join("\n");
        let log = log(&text, input);
        assert!(!log.no_stream() && !log.foreign_format() && !log.not_permitted());
        assert_eq!(log.machine(), None);
    }
}
