//! What holds for every kind of a list.

use super::{example, examples, Example};
use dv_graph::fault::Faults;
use dv_graph::kind::Entry;
use dv_graph::source::{At, Sources};
use dv_graph::tree;
use dv_train::exec::batch::NodeEntry;
use std::collections::HashSet;

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Checks every kind of a list: its documentation, its names, its bounds, and its shape rule on an example made from its declaration.
///
/// # Panics
/// With the kind and what is wrong.
pub fn check(entries: impl IntoIterator<Item = &'static NodeEntry>) {
    let mut seen = HashSet::new();
    for entry in entries {
        let entry = &entry.graph;
        assert!(seen.insert(entry.name), "{} stands twice in the list", entry.name);
        check_names(entry);
        check_documentation(entry);
        check_bounds(entry);
        check_shapes(entry);
        check_numbers(entry);
    }
}

fn check_names(entry: &Entry) {
    let (family, name) = entry.name.split_once('/').unwrap_or_else(|| panic!("{} has no family", entry.name));
    assert!(is_name(family) && is_name(name), "{}", entry.name);
    let inputs: HashSet<&str> = entry.inputs.iter().map(|i| i.name).collect();
    let outputs: HashSet<&str> = entry.outputs.iter().map(|o| o.name).collect();
    assert_eq!((inputs.len(), outputs.len()), (entry.inputs.len(), entry.outputs.len()), "{}: a port stands twice", entry.name);
    assert!(entry.outputs.iter().all(|o| !o.draw || !inputs.contains(o.name)), "{}: a draw is an input already", entry.name);
    assert!(entry.sample.is_some() || entry.batch, "{} runs nowhere", entry.name);
}

/// Checks that a kind, its settings and its ports are documented, and that settings are closed, required, and no words of the language.
///
/// # Panics
/// With the kind and what is missing.
pub fn check_documentation(entry: &Entry) {
    let reserved = ["kind", "apply", "in", "out", "write", "after", "initial", "mode", "passes", "extends", "remove", "names", "ema_of"];
    let schema = (entry.schema)();
    let text = |pointer: &str| schema.pointer(pointer).and_then(|d| d.as_str()).unwrap_or("").to_string();
    assert!(text("/description").len() > 20, "{} has no documentation", entry.name);
    assert!(!entry.source.is_empty(), "{} does not say where it comes from", entry.name);
    assert_eq!(schema.get("additionalProperties"), Some(&false.into()), "{} takes unknown settings", entry.name);
    let properties = schema.get("properties").and_then(|p| p.as_object()).cloned().unwrap_or_default();
    let required: Vec<&str> =
        schema.get("required").and_then(|r| r.as_array()).map(|r| r.iter().filter_map(|v| v.as_str()).collect()).unwrap_or_default();
    for setting in properties.keys() {
        let doc = text(&format!("/properties/{setting}/description"));
        assert!(!doc.is_empty(), "{}: `{setting}` has no documentation", entry.name);
        assert!(is_name(setting) && !reserved.contains(&setting.as_str()), "{}: `{setting}`", entry.name);
        // what changes a result has no silent default: a setting that may be left out says what holds then
        let says = doc.contains("Without it") || doc.contains("Required where");
        assert!(
            required.contains(&setting.as_str()) || says,
            "{}: `{setting}` may be left out, and its doc does not say what then",
            entry.name
        );
    }
    for (port, doc) in entry.inputs.iter().chain(entry.outputs).map(|f| (f.name, f.doc)) {
        assert!(is_name(port) && !doc.is_empty(), "{}: `{port}` has no documentation", entry.name);
    }
}

fn check_bounds(entry: &Entry) {
    let found = dv_graph::range::unbounded(&serde_json::to_value((entry.schema)()).unwrap_or_default());
    // a seed has the bits that numpy gives it, and nothing is computed from it
    let found: Vec<&String> = found.iter().filter(|f| !f.starts_with("/hold_out_seed: an integer beyond")).collect();
    assert!(found.is_empty(), "{}: declare a range with #[schemars(range(min = ..., max = ...))]: {found:?}", entry.name);
}

fn check_shapes(entry: &'static Entry) {
    let examples = examples(entry);
    assert!(!examples.is_empty(), "{}: no example follows from its declaration", entry.name);
    examples.iter().for_each(|example| check_example(entry, example));
}

fn check_example(entry: &'static Entry, example: &Example) {
    let (mut sources, mut faults) = (Sources::default(), Faults::default());
    let table = tree::parse("example", &example.settings, &mut sources, &mut faults);
    let kind = (entry.build)(&table, At::default(), &mut faults).unwrap_or_else(|| panic!("{}: {}", entry.name, faults.render(&sources)));
    let outputs = entry.ports(kind.as_any(), &example.inputs).unwrap_or_else(|f| panic!("{}: {}", entry.name, f.message));
    assert_eq!(outputs.len(), entry.outputs.len(), "{}", entry.name);
    let lengths = |text: &str| text.split_whitespace().filter(|w| !w.ends_with("..")).count();
    let there = outputs.iter().zip(entry.outputs).filter_map(|(port, field)| Some((port.as_ref()?, field)));
    for (port, declared) in there.filter(|(_, o)| !o.shape.contains("...")) {
        assert_eq!(port.shape.len(), lengths(declared.shape), "{}.{}: {port}", entry.name, declared.name);
    }
    if let Some(state) = entry.state {
        let state = state(kind.as_any(), &example.inputs).unwrap_or_else(|f| panic!("{}: {}", entry.name, f.message));
        assert!(!state.is_empty(), "{} keeps nothing", entry.name);
    }
    if let Some(sketch) = entry.sketch {
        let sketched = sketch(kind.as_any(), &example.inputs).unwrap_or_else(|f| panic!("{}: {}", entry.name, f.message));
        let names: HashSet<&str> = sketched.parameters.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names.len(), sketched.parameters.len(), "{} declares a parameter twice", entry.name);
    }
}

/// The places of numbers in settings.
fn numbers(settings: &str) -> Vec<std::ops::Range<usize>> {
    let (mut found, mut start, mut quoted) = (Vec::new(), None, false);
    for (i, c) in settings.char_indices().chain([(settings.len(), ' ')]) {
        quoted ^= c == '"';
        let in_word = i > 0 && settings[..i].ends_with(|p: char| p.is_ascii_alphanumeric() || p == '_');
        match start {
            None if (c.is_ascii_digit() || c == '-') && !quoted && !in_word => start = Some(i),
            Some(from) if !(c.is_ascii_digit() || c == '.' || c == 'e' || c == '-') => {
                found.push(from..i);
                start = None;
            }
            _ => {}
        }
    }
    found
}

/// Numbers beyond all bounds are faults of the check, with their place.
fn check_numbers(entry: &'static Entry) {
    let Some(Example { settings, .. }) = example(entry) else { return };
    for place in numbers(&settings) {
        for odd in ["9223372036854775807", "-9223372036854775808", "1e300", "nan", "-inf"] {
            let text = format!("{}{odd}{}", &settings[..place.start], &settings[place.end..]);
            let (mut sources, mut faults) = (Sources::default(), Faults::default());
            let table = tree::parse("example", &text, &mut sources, &mut faults);
            let kind = (entry.build)(&table, At::default(), &mut faults);
            let expected = |code| ["out-of-range", "wrong-type"].contains(&code);
            assert!(kind.is_none() && faults.len() == 1 && faults.iter().all(|f| expected(f.code)), "{}: {text}", entry.name);
            let marked = faults.iter().all(|f| sources.excerpt(f.at).1.matches('^').count() == odd.len());
            assert!(marked, "{}: {text}", faults.render(&sources));
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_found_with_their_signs_and_not_within_words_or_texts() {
        let settings = "a1 = [-1.5, 2]\nb = \"x 3\"\nc = { d = 1e-5 }\n";
        let found: Vec<&str> = super::numbers(settings).into_iter().map(|place| &settings[place]).collect();
        assert_eq!(found, ["-1.5", "2", "1e-5"]);
    }
}
