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
    /// The line that a place begins in, and how many characters of it the place covers (at least 1).
    pub fn excerpt(&self, at: At) -> (&str, usize) {
        let Some((_, text)) = self.texts.get(at.file as usize) else { return ("", 1) };
        let start = boundary(text, at.start as usize);
        let from = text[..start].rfind('\n').map_or(0, |i| i + 1);
        let line = text[from..].lines().next().unwrap_or("");
        let end = boundary(text, at.end as usize).clamp(start, (from + line.len()).max(start));
        (line, text[start..end].chars().count().max(1))
    }
}

/// The last place up to `i` where a character begins.
fn boundary(text: &str, i: usize) -> usize {
    (0..=i.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
}
