//! A node's `in`, `write` and `initial`: edges as strings, read one by one.

use crate::experiment::InputDecl;
use crate::fault::{unmeant, Faults};
use crate::frame::Frame;
use crate::group::Group;
use crate::kind::Entry;
use crate::ports::Field;
use crate::source::At;
use crate::tree::{Item, Table, Value};

/// The strings of an `in`, whatever its form.
pub(crate) fn edges_of(item: &Item) -> Vec<(&str, At)> {
    match &item.value {
        Value::String(s) => vec![(s, item.at)],
        Value::Array(a) => a.iter().flat_map(edges_of).collect(),
        Value::Table(t) => t.iter().flat_map(|(_, e)| edges_of(&e.item)).collect(),
        _ => Vec::new(),
    }
}

/// The edges of a node of which nothing else is known: they are looked at all the same.
pub(crate) fn loose(input: Option<&Item>, frame: &Frame) -> Vec<InputDecl> {
    let edges = input.map(edges_of).unwrap_or_default().into_iter();
    edges.filter_map(|(edge, here)| frame.edge(edge, here).map(|(edge, at)| InputDecl { name: String::new(), edge, at, here })).collect()
}

/// Longer ones name nothing that there could be, and each group that is handed one would repeat it.
const LONGEST_EDGE: usize = 1000;

fn edge_text(item: &Item, faults: &mut Faults) -> Option<String> {
    match item.as_str() {
        Some(text) if text.len() > LONGEST_EDGE => {
            faults.add("bad-edge", item.at, format!("an edge has at most {LONGEST_EDGE} characters"));
            None
        }
        Some(text) => Some(text.to_string()),
        None => {
            faults.add("wrong-type", item.at, format!("an edge is a string, \"node.port\", not {}", item.type_name()));
            None
        }
    }
}

/// `in` as a text, a table of texts, or an array of texts; and whether all of it could be read.
pub(crate) fn inputs(entry: &'static Entry, input: Option<Item>, frame: &Frame, faults: &mut Faults) -> (Vec<InputDecl>, bool) {
    let Some(item) = input else { return (Vec::new(), true) };
    let many = entry.inputs.iter().any(|i| i.many());
    let (mut out, mut whole) = (Vec::new(), true);
    let mut push =
        |name: &str, item: &Item, here: At, faults: &mut Faults| match edge_text(item, faults).and_then(|e| frame.edge(&e, item.at)) {
            Some((edge, at)) => out.push(InputDecl { name: name.to_string(), edge, at, here }),
            None => whole = false,
        };
    match &item.value {
        Value::String(_) if many => push("0", &item, item.at, faults),
        Value::String(_) => match entry.inputs.iter().find(|i| !i.optional()).or(entry.inputs.first()) {
            Some(first) => push(first.name, &item, item.at, faults),
            None => {
                faults.add("no-inputs", item.at, format!("`{}` has no inputs", entry.name));
                whole = false;
            }
        },
        // by name, wherever each was written
        Value::Table(t) => t.iter().for_each(|(name, e)| push(name, &e.item, e.key, faults)),
        Value::Array(a) if many => a.iter().enumerate().for_each(|(i, item)| push(&i.to_string(), item, item.at, faults)),
        _ => {
            faults.add("wrong-type", item.at, "`in` takes an edge, \"node.port\", or a table of edges");
            whole = false;
        }
    }
    (out, whole)
}

/// `write` or `initial` of a register: a text where the kind declares one such edge, else a table; and whether all of it could be read.
pub(crate) fn register_edges(
    entry: &'static Entry,
    key: &str,
    declared: &'static [Field],
    given: Option<(At, Item)>,
    frame: &Frame,
    faults: &mut Faults,
) -> (Vec<InputDecl>, bool) {
    let Some((at, item)) = given else { return (Vec::new(), true) };
    if declared.is_empty() {
        let fault = faults.add("unknown-setting", at, format!("`{}` has no `{key}` edges", entry.name));
        if entry.state.is_none() {
            fault.help("only registers (kinds of the family `memory`) have them");
        }
        return (Vec::new(), false);
    }
    let (mut out, mut whole) = (Vec::new(), true);
    let mut push =
        |name: &str, item: &Item, here: At, faults: &mut Faults| match edge_text(item, faults).and_then(|e| frame.edge(&e, item.at)) {
            Some((edge, at)) => out.push(InputDecl { name: name.to_string(), edge, at, here }),
            None => whole = false,
        };
    match (&item.value, declared) {
        (Value::String(_), [only]) => push(only.name, &item, item.at, faults),
        (Value::Table(t), _) => t.iter().for_each(|(name, e)| push(name, &e.item, e.key, faults)),
        _ => {
            let names: Vec<String> = declared.iter().map(|d| format!("{} = \"node.port\"", d.name)).collect();
            faults.add("wrong-type", item.at, format!("`{key}` takes a table of edges: {{ {} }}", names.join(", ")));
            whole = false;
        }
    }
    (out, whole)
}

/// The edges at a group's inputs.
pub(crate) fn given(
    path: &str,
    at: At,
    name: &str,
    group: &Group,
    input: Option<Item>,
    frame: &Frame,
    faults: &mut Faults,
) -> Vec<InputDecl> {
    let mut out: Vec<InputDecl> = Vec::new();
    let Some(inputs) = &group.inputs else { return out };
    // inputs about which something was told
    let mut told: Vec<&str> = Vec::new();
    let mut push = |port: &str, item: &Item, faults: &mut Faults| match edge_text(item, faults).and_then(|e| frame.edge(&e, item.at)) {
        Some((edge, at)) => out.push(InputDecl { name: port.to_string(), edge, at, here: item.at }),
        None => told.extend(inputs.iter().map(String::as_str).find(|i| *i == port)),
    };
    match input.as_ref().map(|i| (i, &i.value)) {
        Some((item, Value::String(_))) => match inputs.as_slice() {
            [only] => push(only, item, faults),
            [] => {
                faults.add("no-inputs", item.at, format!("the group `{name}` has no inputs"));
            }
            several => {
                faults.add(
                    "missing-input",
                    item.at,
                    format!(
                        "the group `{name}` has several inputs ({}): write a table, in = {{ NAME = \"node.port\", ... }}",
                        several.join(", ")
                    ),
                );
                told.extend(several.iter().map(String::as_str));
            }
        },
        Some((_, Value::Table(t))) => {
            for (port, entry) in t.iter() {
                if inputs.iter().any(|i| i == port) {
                    push(port, &entry.item, faults);
                } else {
                    faults
                        .add("unknown-input", entry.key, format!("the group `{name}` has no input `{port}`"))
                        .nearest(port, inputs.iter().map(String::as_str));
                }
            }
        }
        Some((item, _)) => {
            faults.add("wrong-type", item.at, "`in` takes an edge, \"node.port\", or a table of edges");
            told.extend(inputs.iter().map(String::as_str));
        }
        None => {}
    }
    let table = input.as_ref().and_then(Item::as_table);
    let unknown: Vec<&str> = table.into_iter().flat_map(Table::keys).filter(|k| !inputs.iter().any(|i| i == k)).collect();
    let missing: Vec<&str> = inputs.iter().map(String::as_str).filter(|i| !out.iter().any(|d| d.name == *i) && !told.contains(i)).collect();
    // an edge under another name was meant for one that is missing
    if missing.len() > unknown.len() {
        for port in unmeant(missing, &unknown) {
            faults.add("missing-input", at, format!("`{path}`: the group `{name}` needs the input `{port}`"));
        }
    }
    out
}
