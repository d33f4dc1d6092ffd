//! What the filter `showinfo` says of frames. Its lines are made of several messages, and ffmpeg 7 and later log from several threads: a
//! message of another may stand inside such a line, or what the filter says behind an unfinished message of another.

use super::line::Line;

/// A part of `showinfo`'s account, and what others wrote into the same line.
#[derive(Debug, PartialEq)]
pub struct Found<'a> {
    pub before: &'a str,
    pub said: Said,
    pub after: &'a str,
}

#[derive(Debug, PartialEq)]
pub enum Said {
    /// Of a frame about to come: its time in units of the time base, if it has one.
    Frame(Option<i64>),
    /// The time base in seconds, and frames a second.
    Config(Option<(i64, i64)>, Option<(i64, i64)>),
    /// Something else.
    Other,
}

/// Finds what `showinfo` says in a line, whoever's it seems to be.
pub fn find<'a>(line: &Line<'a>) -> Option<Found<'a>> {
    config(line.text).or_else(|| frame(line.text)).or_else(|| {
        let own = line.source.is_some_and(|source| source.starts_with("Parsed_showinfo"));
        own.then(|| Found { before: "", said: Said::Other, after: behind_colours(line.text) })
    })
}

/// `config in time_base: N/N, frame_rate: N/N`.
fn config(text: &str) -> Option<Found<'_>> {
    let (before, rest) = text.split_once("config in time_base: ")?;
    let (base, rest) = ratio(rest);
    let (rate, after) = ratio(rest.strip_prefix(", frame_rate: ")?);
    Some(Found { before, said: Said::Config(base, rate), after })
}

/// A ratio if it is positive, and what follows it.
fn ratio(text: &str) -> (Option<(i64, i64)>, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && !"-/".contains(c)).unwrap_or(text.len());
    let (ratio, rest) = text.split_at(end);
    let parts = ratio.split_once('/').and_then(|(n, d)| Some((n.parse().ok()?, d.parse().ok()?)));
    (parts.filter(|(n, d)| *n > 0 && *d > 0), rest)
}

/// `n: N pts: N pts_time:N ... type:X `.
fn frame(text: &str) -> Option<Found<'_>> {
    text.match_indices("n:").find_map(|(at, _)| {
        let (number, rest) = text[at + 2..].split_once(" pts:")?;
        let (pts, rest) = rest.split_once(" pts_time:")?;
        let (number, pts) = (number.trim_start(), pts.trim());
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) || pts.contains(' ') {
            return None;
        }
        // One letter, and a space.
        let after = rest.split_once(" type:").and_then(|(_, rest)| rest.get(1..)).unwrap_or_default();
        Some(Found { before: &text[..at], said: Said::Frame(pts.parse().ok()), after })
    })
}

/// What follows `color_range:pc color_space:gbr` and so on, whose values are lower case; of other lines, nothing.
fn behind_colours(text: &str) -> &str {
    let mut rest = text;
    for key in ["color_range:", "color_space:", "color_primaries:", "color_trc:"] {
        if let Some(value) = rest.trim_start().strip_prefix(key) {
            rest = value.trim_start_matches(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        }
    }
    if rest.len() < text.len() {
        rest
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str) -> Option<(&str, Said, &str)> {
        let parsed = Line::parse(line).unwrap_or(Line { source: None, level: "", text: line });
        find(&parsed).map(|found| (found.before, found.said, found.after.trim()))
    }

    #[test]
    fn lines_of_its_own() {
        let own = "[Parsed_showinfo_1 @ 0x7fe40400f300] [info] ";
        let frame = "n:   7 pts:    280 pts_time:0.28    duration:     40 fmt:rgb24 cl:unspecified sar:1/1 s:64x48 i:P iskey:0 type:P ";
        let colours = "color_range:pc color_space:gbr color_primaries:unknown color_trc:iec61966-2-1";
        let config = "config in time_base: 1001/30000, frame_rate: 30000/1001";
        for (text, said) in [
            (frame, Said::Frame(Some(280))),
            ("n:1000 pts:NOPTS   pts_time:NOPTS   pos: 1", Said::Frame(None)),
            ("n:   0 pts:    -30 pts_time:-1.001", Said::Frame(Some(-30))),
            (config, Said::Config(Some((1001, 30000)), Some((30000, 1001)))),
            ("config in time_base: 1/90000, frame_rate: 0/0", Said::Config(Some((1, 90000)), None)),
            ("config out time_base: 0/0, frame_rate: 0/0", Said::Other),
            (colours, Said::Other),
            ("  side data - GOP timecode - 00:00:00:00", Said::Other),
        ] {
            assert_eq!(found(&format!("{own}{text}")), Some(("", said, "")), "{text}");
        }
        // Another's message behind each message of the line.
        let other = "File ended prematurely";
        assert_eq!(found(&format!("{own}{frame}{other}")), Some(("", Said::Frame(Some(280)), other)));
        let mut at = 0;
        for piece in
            colours.split_inclusive("pc").flat_map(|part| part.split_inclusive("gbr")).flat_map(|part| part.split_inclusive("unknown"))
        {
            at += piece.len();
            assert_eq!(found(&format!("{own}{}{other}", &colours[..at])), Some(("", Said::Other, other)), "{}", &colours[..at]);
        }
        // The rest of such a line.
        assert_eq!(found(&format!("{own} color_space:gbr color_primaries:bt709")), Some(("", Said::Other, "")));
    }

    #[test]
    fn behind_what_others_have_not_finished() {
        let frame = "n:   7 pts:    280 pts_time:0.28 i:P iskey:0 type:P ";
        let damage = "slice CRC mismatch 59A15B4D!";
        assert_eq!(found(&format!("[ffv1 @ 0x5] [error] {damage}{frame}")), Some((damage, Said::Frame(Some(280)), "")));
        let told = "mailing list. (ffmpeg-devel@ffmpeg.org)";
        let config = Said::Config(Some((1, 25)), Some((25, 1)));
        assert_eq!(found(&format!("{told}config in time_base: 1/25, frame_rate: 25/1")), Some((told, config, "")));
        for text in ["[mpeg4 @ 0x5] [error] ac-tex damaged at 0 2", "n: x pts: 1 pts_time:1", "in: 1 pts: 2 3 pts_time:1", ""] {
            assert_eq!(found(text), None, "{text}");
        }
    }
}
