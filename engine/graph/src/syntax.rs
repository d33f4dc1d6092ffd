//! What the TOML parser says, in words for people.

/// The parser's messages and what they mean; `{}` is the text at fault.
const MEANINGS: &[(&str, &str)] = &[
    ("string values must be quoted, expected literal string", "`{}` is no value: a text stands in quotes"),
    ("extra `=`, expected nothing", "a second `=`"),
    ("unexpected key or value, expected newline, `#`", "the line goes on after its value: each key has a line of its own"),
    ("unclosed table, expected `]`", "the table's header is not closed: `]` is missing"),
    ("unclosed array, expected `]`", "the array is not closed: `]` is missing"),
    ("unclosed inline table, expected `}`", "the table is not closed: `}` is missing"),
    ("invalid basic string, expected `\"`", "the text is not closed: `\"` is missing"),
    ("invalid literal string, expected `'`", "the text is not closed: `'` is missing"),
    ("duplicate key", "the key `{}` stands here for the second time"),
];

pub(crate) fn plain(message: &str, text: &str) -> String {
    let message = message.trim().replace('\n', "; ");
    let text = text.trim();
    if text.is_empty() && message.starts_with("string values must be quoted") {
        return "a value is missing after `=`".into();
    }
    let meaning = MEANINGS.iter().find(|(said, _)| *said == message).map(|(_, meaning)| meaning.replace("{}", text));
    meaning.unwrap_or(message)
}
