//! Text that comes from files, made safe to print: what a terminal would obey, or what hides or reorders its neighbours, is written out.

use std::borrow::Cow;
use std::fmt::Write;

/// Text for one line: control characters (also newlines), escape sequences and bidirectional marks become `\n`, `\u001b`, `\u202e`.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c != '\t' && is_unsafe(c))
}

/// The same for text of several lines, whose line ends stay.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c != '\t' && c != '\n' && is_unsafe(c))
}

/// A path for one line.
pub fn path(path: &std::path::Path) -> String {
    line(&path.to_string_lossy()).into_owned()
}

/// Whether a character acts on the terminal or on the characters around it.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // bidirectional marks, embeddings, overrides, isolates
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // line and paragraph separators, byte-order mark, annotations, tags
            | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The escapes are those of JSON, so that JSON stays what it was.
fn escaped(text: &str, unsafe_here: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&unsafe_here) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            _ if !unsafe_here(c) => out.push(c),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            _ => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                let _ = write!(out, "\\u{unit:04x}");
            }),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_written_out() {
        for (text, safe) in [
            ("plain, ü, 日本, \t tab", "plain, ü, 日本, \t tab"),
            ("\u{1b}[31mred\u{1b}]0;title\u{7}", "\\u001b[31mred\\u001b]0;title\\u0007"),
            ("a\r\nerror: forged", "a\\r\\nerror: forged"),
            ("\u{202e}gpj.exe\u{2069}", "\\u202egpj.exe\\u2069"),
            ("\u{9b}2J\u{7f}\u{85}", "\\u009b2J\\u007f\\u0085"),
            ("\u{2028}\u{feff}\u{e0041}", "\\u2028\\ufeff\\udb40\\udc41"),
        ] {
            assert_eq!(line(text), safe);
        }
        assert_eq!(lines("a\nb\r\u{1b}"), "a\nb\\r\\u001b");
        assert!(matches!(line("plain"), Cow::Borrowed(_)));
    }

    #[test]
    fn json_keeps_its_meaning() {
        let value = serde_json::json!({ "name": "a\u{202e}b\u{e0041}" });
        let printed = lines(&serde_json::to_string(&value).unwrap()).into_owned();
        assert!(printed.is_ascii(), "{printed}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).unwrap(), value);
    }
}
