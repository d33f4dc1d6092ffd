//! The texts that a graph was read from, and places in them.

/// A stretch of one text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct At {
    pub file: u32,
    pub start: u32,
    pub end: u32,
}

/// The name of a text that comes from the command line.
pub const COMMAND_LINE: &str = "--set";

/// All texts of one experiment: the file, what it extends, and each `--set`.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    texts: Vec<(String, String)>,
}

impl Sources {
    /// Returns the text's number.
    pub fn add(&mut self, name: &str, text: &str) -> u32 {
        self.texts.push((name.to_string(), text.to_string()));
        (self.texts.len() - 1) as u32
    }
    pub fn name(&self, at: At) -> &str {
        self.texts.get(at.file as usize).map_or("?", |(name, _)| name)
    }
    /// Whether a place lies in a file that the graph extends, not in the graph itself (the first text) or on the command line.
    pub fn is_inherited(&self, at: At) -> bool {
        at.file != 0 && self.name(at) != COMMAND_LINE
    }
    /// Line and column, both from 1; columns count characters.
    pub fn line_column(&self, at: At) -> (usize, usize) {
        let Some((_, text)) = self.texts.get(at.file as usize) else { return (1, 1) };
        let before = &text[..boundary(text, at.start as usize)];
        let start = before.rfind('\n').map_or(0, |i| i + 1);
        (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
    }
    /// The line that a place begins in, and below it a caret for each character that the place covers (at least one). What a terminal
    /// would obey is written out, and of a long line only what is around the place is left.
    pub fn excerpt(&self, at: At) -> (String, String) {
        let Some((_, text)) = self.texts.get(at.file as usize) else { return (String::new(), "^".into()) };
        let start = boundary(text, at.start as usize);
        let from = text[..start].rfind('\n').map_or(0, |i| i + 1);
        let line = text[from..].lines().next().unwrap_or("");
        let line_end = (from + line.len()).max(start);
        let end = boundary(text, at.end as usize).clamp(start, line_end);
        let short = |text: &str| text.chars().nth(WIDTH).is_none();
        let whole = short(line) && short(&dv_datasets::text::line(line));
        let room = |n: usize| if whole { usize::MAX } else { n };
        let (before, is_start) = last(&text[from..start.min(from + line.len())], room(BEFORE));
        let (covered, is_all) = first(&text[start..end], room(WIDTH - BEFORE));
        let (after, is_end) =
            first(&text[end..line_end], if is_all { room((WIDTH - BEFORE).saturating_sub(covered.chars().count())) } else { 0 });
        let (lead, tail) = (if is_start { "" } else { "..." }, if is_all && is_end { "" } else { "..." });
        // tabs stay tabs so that the caret stands below its text
        let blank: String = before.chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let carets = "^".repeat(covered.chars().count().max(1));
        (format!("{lead}{before}{covered}{after}{tail}"), format!("{}{blank}{carets}", " ".repeat(lead.len())))
    }
}

/// Characters of a line that is shown whole; of a longer one so many are left, these of them before the place.
const WIDTH: usize = 120;
const BEFORE: usize = 60;

/// The first characters as they are printed, and whether these are all.
fn first(text: &str, count: usize) -> (String, bool) {
    let safe = dv_datasets::text::line(text);
    match safe.char_indices().nth(count) {
        Some((i, _)) => (safe[..i].to_string(), false),
        None => (safe.into_owned(), true),
    }
}

/// The last characters as they are printed, and whether these are all.
fn last(text: &str, count: usize) -> (String, bool) {
    let safe = dv_datasets::text::line(text);
    match safe.char_indices().rev().nth(count) {
        Some((i, c)) => (safe[i + c.len_utf8()..].to_string(), false),
        None => (safe.into_owned(), true),
    }
}

/// The last place up to `i` where a character begins.
fn boundary(text: &str, i: usize) -> usize {
    (0..=i.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excerpt(text: &str, start: usize, end: usize) -> (String, String) {
        let mut sources = Sources::default();
        let file = sources.add("g.toml", text);
        sources.excerpt(At { file, start: start as u32, end: end as u32 })
    }

    #[test]
    fn the_caret_stands_below_its_place() {
        assert_eq!(excerpt("a = 1\n\tb = 2 # c\n", 8, 9), ("\tb = 2 # c".into(), "\t ^".into()));
        assert_eq!(excerpt("name = \"ü\"", 7, 11), ("name = \"ü\"".into(), "       ^^^".into()));
        assert_eq!(excerpt("a", 1, 1), ("a".into(), " ^".into()));
        assert_eq!(excerpt("\u{1b}[0m = 1", 6, 7), ("\\u001b[0m = 1".into(), "           ^".into()));
    }

    #[test]
    fn of_a_long_line_what_is_around_the_place_is_left() {
        let long = format!("a = [{}2{}]", "1, ".repeat(1000), ", 3".repeat(1000));
        let (line, caret) = excerpt(&long, 3005, 3006);
        assert!(line.starts_with("...") && line.ends_with("...") && line.chars().count() <= 126, "{line}");
        assert_eq!(line.find('2'), caret.find('^'));
        let (line, caret) = excerpt(&long, 0, long.len());
        assert!(line.len() <= 126 && caret.len() <= 126, "{line}\n{caret}");
    }
}
