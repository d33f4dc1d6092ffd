//! What the TOML parser says, in words for people, and at the place that is to be mended.

use std::ops::Range;

/// The parser's messages and what they mean; `{}` is the text at fault.
const MEANINGS: &[(&str, &str)] = &[
    ("string values must be quoted, expected literal string", "`{}` is not a value: put strings in quotes, \"...\""),
    ("extra `=`, expected nothing", "a second `=`"),
    ("unexpected key or value, expected newline, `#`", "unexpected text after the value: put each key on a line of its own"),
    ("missing comma between key-value pairs, expected `,`", "a comma is missing here, or the table is not closed with `}`"),
    ("missing comma between array elements, expected `,`", "a comma is missing here, or the array is not closed with `]`"),
    ("unclosed table, expected `]`", "the table's header is not closed: `]` is missing"),
    ("unclosed array, expected `]`", "the array is not closed: `]` is missing"),
    ("unclosed inline table, expected `}`", "the table is not closed: `}` is missing"),
    ("key with no value, expected `=`", "a key needs `=` and a value after it"),
    ("unquoted keys cannot be empty, expected letters, numbers, `-`, `_`", "the key before `=` is missing"),
    ("invalid unquoted key, expected letters, numbers, `-`, `_`", "`{}` cannot stand in a key: use a-z, 0-9 and _"),
    ("invalid boolean, expected `true`", "`{}` is not a value: write `true` in small letters"),
    ("invalid boolean, expected `false`", "`{}` is not a value: write `false` in small letters"),
    ("invalid mantissa, expected digits", "a digit is missing before the point: 0.5"),
    ("invalid fraction, expected digits", "a digit is missing after the point: 1.0"),
    ("unexpected leading zero, expected nothing", "a number does not begin with 0: remove it"),
    ("duplicate key", "the key `{}` is set twice"),
];

/// How many lone quotes before the place where the parser stopped are looked at.
const QUOTES: usize = 100;

/// A message in words, and where it belongs: `span` is where the parser stopped, `quotes` are the text's ([`quotes`]).
pub(crate) fn explain(message: &str, quotes: &[Quote], text: &str, span: Range<usize>) -> (Range<usize>, String) {
    let stopped = line(text, span.start);
    // a quote that is missing lets the parser stop far behind it
    let before = quotes.partition_point(|q| q.place.start <= stopped.end);
    if let Some(quote) = quotes[..before].iter().rev().take(QUOTES).find(|q| q.affects(&stopped, message)) {
        return (quote.place.clone(), quote.message(text));
    }
    let message = message.trim().replace('\n', "; ");
    let here = text.get(span.clone()).unwrap_or_default().trim();
    if here.is_empty() && message.starts_with("string values must be quoted") {
        return (span, "a value is missing after `=`".into());
    }
    let meaning = MEANINGS.iter().find(|(said, _)| *said == message).map(|(_, meaning)| meaning.replace("{}", here));
    (span, meaning.unwrap_or(message))
}

/// The line that a place lies in.
pub(crate) fn line(text: &str, at: usize) -> Range<usize> {
    let bytes = text.as_bytes();
    let start = bytes[..at.min(bytes.len())].iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    let end = bytes[start..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |i| start + i);
    start..end
}

/// A quote without its fellow.
pub(crate) struct Quote {
    /// What to point at: the string that is not closed, or the word that is closed without being opened.
    place: Range<usize>,
    mark: &'static str,
    opens: bool,
}

impl Quote {
    /// Whether it is why the parser stopped in a line. It may look for the end of a table or an array in the next ones, and
    /// for that of a string of several lines up to the end.
    fn affects(&self, stopped: &Range<usize>, message: &str) -> bool {
        let within = ["missing comma", "unclosed array", "unclosed inline"].iter().any(|m| message.starts_with(m));
        let before = self.place.start <= stopped.end;
        match self.mark.len() {
            1 => before && (within || stopped.start <= self.place.start),
            _ => before && message.contains("multi-line"),
        }
    }
    fn message(&self, text: &str) -> String {
        let mark = self.mark;
        match self.opens {
            true => format!("this string is not closed: {mark} is missing"),
            false => format!("a quote is missing before this: {mark}{}{mark}", &text[self.place.clone()]),
        }
    }
}

/// Of each line whose quotes do not pair up, the one that lacks its fellow, as far as the letters around it show.
pub(crate) fn quotes(text: &str) -> Vec<Quote> {
    let mut found = Vec::new();
    let mut at = 0;
    // of the line: the first string that a letter follows at once, as no string can be
    let mut odd: Option<Quote> = None;
    while let Some(next) = text[at..].find(['"', '\'', '#', '\n']).map(|i| at + i) {
        let mark = match &text[next..] {
            rest if rest.starts_with("\"\"\"") => "\"\"\"",
            rest if rest.starts_with("'''") => "'''",
            rest if rest.starts_with('"') => "\"",
            rest if rest.starts_with('\'') => "'",
            rest if rest.starts_with('#') => {
                at = next + rest.find('\n').unwrap_or(rest.len());
                continue;
            }
            _ => {
                odd = None;
                at = next + 1;
                continue;
            }
        };
        let inside = next + mark.len();
        match close(text, inside, mark) {
            Some(end) => {
                if mark.len() == 1 && text[end..].starts_with(is_word) {
                    odd = odd.or_else(|| Some(alone(text, next, end, mark)));
                }
                at = end;
            }
            None => {
                let end = if mark.len() == 1 { line(text, next).end } else { text.len() };
                found.push(odd.take().unwrap_or_else(|| alone(text, next, end, mark)));
                at = end;
            }
        }
    }
    found
}

/// Where a string ends, after its mark. One of a single mark ends in its line, which is not looked for beforehand: a line may hold many.
fn close(text: &str, inside: usize, mark: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let of_one_line = mark.len() == 1;
    let mut at = inside;
    while at < bytes.len() && !(of_one_line && bytes[at] == b'\n') {
        if bytes[at..].starts_with(mark.as_bytes()) {
            return Some(at + mark.len());
        }
        // only strings in `"` have escapes; a line's end is none of a string that ends with it
        let escape = bytes[at] == b'\\' && mark.starts_with('"') && !(of_one_line && bytes.get(at + 1) == Some(&b'\n'));
        at += if escape { 2 } else { 1 };
    }
    None
}

/// The quote at `open`: after a letter it is the end of a word that lacks the first one.
fn alone(text: &str, open: usize, end: usize, mark: &'static str) -> Quote {
    let word = text[..open].rfind(|c| !is_word(c)).map_or(0, |i| i + text[i..].chars().next().map_or(1, char::len_utf8));
    match word < open {
        true => Quote { place: word..open, mark, opens: false },
        false => Quote { place: open..end, mark, opens: true },
    }
}

/// A letter of a word that a string may be: a name, a path, an edge.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || "_/$.-*".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the first error of a text says, and what it points at.
    fn said(text: &str) -> (String, String) {
        let (_, errors) = toml::de::DeTable::parse_recoverable(text);
        let first = errors.first().unwrap_or_else(|| panic!("no error in {text}"));
        let (span, message) = explain(first.message(), &quotes(text), text, first.span().unwrap());
        (text[span].to_string(), message)
    }

    #[test]
    fn a_missing_quote_is_pointed_at_where_it_is_missing() {
        let unclosed = "this string is not closed: \" is missing";
        for (text, place) in [
            ("name = \"abc\nseed = 0\n", "\"abc"),
            ("a = { kind = \"x/y, in = \"b.c\" }\nseed = 0\n", "\"x/y, in = \""),
            ("a = { kind = \"x/y\", in = \"b.c }\nseed = 0\n", "\"b.c }"),
            ("a = [\"x, \"y\"]\nb = 1\n", "\"x, \""),
            ("a = [\n  \"x\",\n  \"y,\n]\nb = 1\n", "\"y,"),
            ("# it's\na = 'it' # \"\nb = \"x\n", "\"x"),
            ("a = \"\\\"\nb = 1\n", "\"\\\""),
        ] {
            assert_eq!(said(text), (place.to_string(), unclosed.to_string()), "{text}");
        }
        for (text, place) in
            [("name = abc\"\nseed = 0\n", "abc"), ("a = { kind = x/y\", in = \"b.c\" }\n", "x/y"), ("a = [\"x\", y.z\"]\n", "y.z")]
        {
            assert_eq!(said(text), (place.to_string(), format!("a quote is missing before this: \"{place}\"")), "{text}");
        }
        assert_eq!(said("a = 'x\nb = 1\n").1, "this string is not closed: ' is missing");
        let (place, message) = said("x = 1\na = \"\"\"one\ntwo \"quoted\"\nb = 2\n");
        assert!(place.starts_with("\"\"\"one") && message == "this string is not closed: \"\"\" is missing", "{place} {message}");
    }

    #[test]
    fn quotes_that_pair_up_are_not_to_blame() {
        for text in ["a = \"x\" y\n", "a = \"x\" \"y\"\n", "a = 'x' = 1\n", "a = 1 2 # don't\n", "t = \"\"\"\n it's \"\n\"\"\"\na = = 1\n"]
        {
            assert!(
                !said(text).1.contains("quote is missing") && !said(text).1.contains("string is not closed"),
                "{text}: {}",
                said(text).1
            );
        }
    }

    #[test]
    fn what_the_parser_says_is_said_in_words() {
        for (text, message) in [
            ("a = \nb = 1\n", "a value is missing after `=`"),
            ("a = abc\n", "`abc` is not a value: put strings in quotes, \"...\""),
            ("a = True\n", "`True` is not a value: write `true` in small letters"),
            ("a = .5\n", "a digit is missing before the point: 0.5"),
            ("a\n", "a key needs `=` and a value after it"),
            ("= 1\n", "the key before `=` is missing"),
            ("a = 1\na = 2\n", "the key `a` is set twice"),
            ("[a\nb = 1\n", "the table's header is not closed: `]` is missing"),
        ] {
            assert_eq!(said(text).1, message, "{text}");
        }
    }
}
