//! One line of ffmpeg's log: who says it, how grave it is, and what it says of the file.

use super::unnamed::MARK;

/// A line `[SOURCE @ 0x...] [LEVEL] TEXT`. Sources may be several, the last one the innermost, or none, of ffmpeg itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line<'a> {
    pub source: Option<&'a str>,
    /// Empty where the line has none, as the rest of a message of several lines.
    pub level: &'a str,
    pub text: &'a str,
}

/// What a line says of the file.
#[derive(Debug, PartialEq, Eq)]
pub enum Complaint {
    /// What a demuxer or a decoder found.
    Cause(String),
    /// What ffmpeg says because of it; of interest where it is all there is.
    Consequence(String),
}

/// Longest complaint, in characters.
const MAX_TEXT: usize = 200;

/// Those that only take what was decoded, by the beginning of their names: what they say is no property of the file.
const OUTPUT: [&str; 11] =
    ["out#", "vost#", "enc:", "image2pipe", "ppm", "rawvideo", "wrapped_avframe", "framecrc", "framehash", "yuv4mpegpipe", "swscaler"];

/// ffmpeg itself and its filters, by the beginning of their names.
const PROCESS: [&str; 7] = ["vist#", "dec:", "vf#", "fc#", "Parsed_", "graph ", "auto_scale"];

/// Of sentences that say no more than that ffmpeg gives up, the beginnings.
const GIVING_UP: [&str; 11] = [
    "Error opening input file",
    "Error opening output file",
    "Error parsing options",
    "Failed to set value",
    "Task finished with error code",
    "Terminating thread with return code",
    "Cannot determine format of input",
    "Error marking filters",
    "Conversion failed",
    "Stream specifier ",
    "Error binding filtergraph inputs/outputs",
];

impl<'a> Line<'a> {
    /// `None`: the line is not of that form. The form is looked for at the line's beginning alone, so that a title cannot pass for it.
    pub fn parse(line: &'a str) -> Option<Line<'a>> {
        let (mut source, mut rest) = (None, line.trim_end());
        loop {
            let (name, after) = rest.strip_prefix('[')?.split_once(']')?;
            rest = after.strip_prefix(' ').unwrap_or(after);
            match name.rsplit_once(" @ 0x") {
                Some((name, address)) if address.bytes().all(|b| b.is_ascii_hexdigit()) => source = Some(name),
                _ => return Some(Line { source, level: name, text: rest }),
            }
        }
    }

    /// Whether ffmpeg itself says it, or one of the threads that it works in, and no part that reads what is in a file.
    pub fn is_of_ffmpeg(&self) -> bool {
        let threads = |source: &str| PROCESS.iter().chain(&OUTPUT).chain(&["in#"]).any(|beginning| source.starts_with(beginning));
        self.source.is_none_or(threads)
    }

    /// The text without the file's name.
    pub fn said(&self) -> String {
        let text = self.text.strip_prefix(MARK as char).and_then(|text| text.strip_prefix(": ")).unwrap_or(self.text);
        let text = text.trim().trim_end_matches('.').replace(MARK as char, "the file");
        text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect()
    }

    /// What is wrong with the file, in one sentence without names and addresses.
    pub fn complaint(&self) -> Option<Complaint> {
        let damage = match self.level {
            "error" | "fatal" | "panic" => false,
            "warning" if is_damage(self.text) => true,
            _ => return None,
        };
        let begins = |beginnings: &[&str], text: &str| beginnings.iter().any(|beginning| text.starts_with(beginning));
        if self.source.is_some_and(|source| begins(&OUTPUT, source)) || begins(&GIVING_UP, self.text) {
            return None;
        }
        let mut process = self.source.is_none_or(|source| begins(&PROCESS, source));
        let mut line = *self;
        // Before version 6 it is ffmpeg itself that says this, with the file's name in front.
        if let Some(opening) = line.text.strip_prefix("Error opening input: ") {
            (line.text, process) = (opening, true);
        }
        let text = line.said();
        let complaint = if process && !damage { Complaint::Consequence } else { Complaint::Cause };
        (!text.is_empty()).then(|| complaint(text))
    }
}

/// Whether a warning means that frames are not what was recorded.
fn is_damage(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["corrupt", "truncat", "prematurely", "damaged", "invalid"].iter().any(|w| text.contains(w))
}

/// The same for sentences that differ in numbers alone, such as the place of the damage.
pub fn gist(text: &str) -> String {
    let words = text.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
    words.map(|word| if word.bytes().any(|b| b.is_ascii_digit()) { "0" } else { word }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Complaint::{Cause, Consequence};

    #[test]
    fn the_form_counts_at_the_beginning_alone() {
        let line = |source, level, text| Some(Line { source, level, text });
        for (text, want) in [
            ("[avi @ 0x55f446e12e00] [error] no [error] x\r\n", line(Some("avi"), "error", "no [error] x")),
            ("[vist#0:0/h264 @ 0x55] [dec:h264 @ 0xA5] [warning] corrupt", line(Some("dec:h264"), "warning", "corrupt")),
            ("[info]     title           : [error] x", line(None, "info", "    title           : [error] x")),
            ("[Parsed_showinfo_1 @ 0x5] [info] n:   0 pts:", line(Some("Parsed_showinfo_1"), "info", "n:   0 pts:")),
            ("[in#0 @ 0x5] [error]", line(Some("in#0"), "error", "")),
            ("a title [error] x", None),
            (" [error] x", None),
            ("[error", None),
            ("", None),
        ] {
            assert_eq!(Line::parse(text), want, "{text}");
        }
    }

    /// As versions 5.1 and 9.0 say it of the same files.
    #[test]
    fn complaints_of_two_versions() {
        let says = |line: &str| Line::parse(line).and_then(|line| line.complaint());
        let cause = |text: &str| Some(Cause(text.into()));
        let consequence = |text: &str| Some(Consequence(text.into()));
        let invalid = "Invalid data found when processing input";
        for (line, want) in [
            // 5.1
            ("[mov,mp4,m4a,3gp,3g2,mj2 @ 0x55c8a641de00] [error] moov atom not found", cause("moov atom not found")),
            ("[error] \u{1}: Invalid data found when processing input", consequence(invalid)),
            ("[warning] \u{1}: corrupt decoded frame in stream 0", cause("corrupt decoded frame in stream 0")),
            ("[error] Error while decoding stream #0:0: Invalid data", consequence("Error while decoding stream #0:0: Invalid data")),
            ("[error] Cannot determine format of input stream 0:0 after EOF", None),
            ("[fatal] Error marking filters as finished", None),
            ("[avi @ 0x55f446e12e00] [warning] Format avi detected only with low score of 1, misdetection possible!", None),
            (
                "[image2pipe @ 0x5] [error] Application provided invalid, non monotonically increasing dts to muxer in stream 0: 7 >= 7",
                None,
            ),
            // 9.0
            ("[in#0 @ 0x55d05a7e46c0] [error] moov atom not found", cause("moov atom not found")),
            ("[in#0 @ 0x55d05a7e4340] [error] Error opening input: Invalid data found when processing input", consequence(invalid)),
            ("[error] Error opening input file \u{1}.", None),
            ("[fatal] Error opening input files: Invalid data found when processing input", None),
            ("[in#0/avi @ 0x55] [warning] Packet corrupt (stream = 0, dts = 33).", cause("Packet corrupt (stream = 0, dts = 33)")),
            ("[vist#0:0/mpeg4 @ 0x5] [dec:mpeg4 @ 0x5] [warning] corrupt decoded frame", cause("corrupt decoded frame")),
            (
                "[vist#0:0/h264 @ 0x5] [dec:h264 @ 0x5] [error] Error submitting packet to decoder: Invalid data",
                consequence("Error submitting packet to decoder: Invalid data"),
            ),
            ("[vf#0:0 @ 0x55c30c826040] [error] Task finished with error code: -1094995529 (Invalid data)", None),
            ("[vost#0:0/ppm @ 0x55c30c7f7ac0] [enc:ppm @ 0x55c30c825400] [error] Could not open encoder before EOF", None),
            ("[out#0/image2pipe @ 0x55c30c7f6f40] [error] Nothing was written into output file, because", None),
            ("[swscaler @ 0x2] [warning] deprecated pixel format used, make sure you did set range correctly", None),
            // Both
            ("[mpeg4 @ 0x55ea39482040] [error] ac-tex damaged at 0 2", cause("ac-tex damaged at 0 2")),
            ("[matroska,webm @ 0x5] [error] \u{1} and \u{2}more", cause("the file and more")),
            ("[info] Input #0, avi, from '\u{1}':", None),
        ] {
            assert_eq!(says(line), want, "{line}");
        }
        let long = format!("[x @ 0x1] [error] {}", "ü".repeat(5000));
        assert_eq!(says(&long), Some(Cause("ü".repeat(MAX_TEXT))));
    }

    #[test]
    fn numbers_make_no_other_sentence() {
        assert_eq!(gist("ac-tex damaged at 3 5"), gist("ac-tex damaged at 17 0"));
        assert_eq!(gist("end (7 left 7CC0C1, score= -12)"), gist("end (4 left 0A3, score= -9)"));
        assert_ne!(gist("I cbpy damaged at 3 5"), gist("P cbpy damaged at 3 5"));
    }
}
