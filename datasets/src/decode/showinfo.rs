//! What the filter `showinfo` says of frames: the time base and rate of all of them, and the time of each.

use super::times::ratio;

/// A part of its account, and what stands before it in the same line: a message of another that does not end its line.
#[derive(Debug, PartialEq)]
pub struct Found<'a> {
    pub before: &'a str,
    pub said: Said,
}

#[derive(Debug, PartialEq)]
pub enum Said {
    /// Of a frame about to come: its time in units of the time base, if it has one.
    Frame(Option<i64>),
    /// The time base in seconds, and frames a second.
    Config(Option<(i64, i64)>, Option<(i64, i64)>),
}

/// Finds what `showinfo` says in a line, whoever's it seems to be.
pub fn find(text: &str) -> Option<Found<'_>> {
    config(text).or_else(|| frame(text))
}

/// `config in time_base: N/N, frame_rate: N/N`.
fn config(text: &str) -> Option<Found<'_>> {
    let (before, rest) = text.split_once("config in time_base: ")?;
    let (base, rate) = rest.split_once(", frame_rate: ")?;
    Some(Found { before, said: Said::Config(ratio(base), ratio(rate.trim_end())) })
}

/// `n: N pts: N pts_time:N ...`.
fn frame(text: &str) -> Option<Found<'_>> {
    text.match_indices("n:").find_map(|(at, _)| {
        let (number, rest) = text[at + 2..].split_once(" pts:")?;
        let (pts, _) = rest.split_once(" pts_time:")?;
        let (number, pts) = (number.trim_start(), pts.trim());
        let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        (is_number && !pts.contains(' ')).then(|| Found { before: &text[..at], said: Said::Frame(pts.parse().ok()) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alone_and_behind_what_others_have_not_finished() {
        let frame = "n:   7 pts:    280 pts_time:0.28    duration:     40 fmt:rgb24 i:P iskey:0 type:P ";
        let damage = "slice CRC mismatch 59A15B4D!";
        let told = "mailing list. (ffmpeg-devel@ffmpeg.org)";
        let config = "config in time_base: 1001/30000, frame_rate: 30000/1001";
        let configured = || Said::Config(Some((1001, 30000)), Some((30000, 1001)));
        for (text, before, said) in [
            (frame, "", Said::Frame(Some(280))),
            (&format!("{damage}{frame}"), damage, Said::Frame(Some(280))),
            ("n:1000 pts:  NOPTS pts_time:NOPTS   pos: 1", "", Said::Frame(None)),
            ("n:   0 pts:    -30 pts_time:-1.001", "", Said::Frame(Some(-30))),
            (config, "", configured()),
            (&format!("{told}{config}"), told, configured()),
            ("config in time_base: 1/90000, frame_rate: 0/0", "", Said::Config(Some((1, 90000)), None)),
        ] {
            assert_eq!(find(text), Some(Found { before, said }), "{text}");
        }
        for text in [
            "ac-tex damaged at 0 2",
            "config out time_base: 0/0, frame_rate: 0/0",
            "n: x pts: 1 pts_time:1",
            "in: 1 pts: 2 3 pts_time:1",
            "",
        ] {
            assert_eq!(find(text), None, "{text}");
        }
    }
}
