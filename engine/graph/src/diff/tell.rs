//! Differences as text for people, and as JSON.

use super::{Change, Diff, Fact};
use crate::show::table;
use serde_json::{json, Map, Value};
use std::fmt::Write;

/// Told as text; `a` and `b` are the graphs' names.
pub fn text(diff: &Diff, a: &str, b: &str) -> String {
    if diff.is_empty() {
        return format!("{a} and {b} are the same after resolving\n");
    }
    let mut out = format!("- {a}\n+ {b}\n");
    if diff.keys.is_empty() {
        out.push_str("\nno key differs after resolving\n");
    } else {
        let _ = writeln!(out, "\nkeys, resolved");
        let rows = diff.keys.iter().flat_map(|(path, change)| match change {
            Change::Added(v) => vec![format!("+ {path} = {v}")],
            Change::Removed(v) => vec![format!("- {path} = {v}")],
            Change::Changed(old, new) => vec![format!("~ {path}: {old} -> {new}")],
        });
        rows.for_each(|row| {
            let _ = writeln!(out, "  {row}");
        });
    }
    if diff.consequences.is_empty() {
        out.push_str("\nnothing else changes: stages, nodes, shapes, passes, parameters, data and metrics are the same\n");
    }
    for (section, changes) in &diff.consequences {
        let _ = writeln!(out, "\n{section}");
        let rows: Vec<Vec<String>> = changes.iter().map(|(name, change)| row(name, change)).collect();
        out.push_str(&table(&rows, "  "));
    }
    out
}

fn row(name: &str, change: &Change<Fact>) -> Vec<String> {
    let first = |fact: &Fact| {
        let rest = fact[1..].iter().find(|(key, _)| *key == "batch norm").map(|(_, v)| format!(", batch norm: {v}"));
        format!("{}{}", fact[0].1, rest.unwrap_or_default())
    };
    match change {
        Change::Added(new) => vec![format!("+ {name}"), first(new)],
        Change::Removed(old) => vec![format!("- {name}"), first(old)],
        Change::Changed(old, new) => {
            let texts: Vec<String> = differing(old, new)
                // hashes of shapes say nothing beside other counts
                .filter(|(key, ..)| *key != "shapes" || old[0] == new[0])
                .map(|(key, x, y)| {
                    let [x, y] = [x, y].map(|v| v.filter(|v| !v.is_empty()).unwrap_or("nothing"));
                    if key == "shapes" {
                        return "as many parameters of other shapes".to_string();
                    }
                    let lead = if key.is_empty() { String::new() } else { format!("{key}: ") };
                    format!("{lead}{x} -> {y}")
                })
                .collect();
            vec![format!("~ {name}"), texts.join("; ")]
        }
    }
}

/// Facts that are not the same in both, those included that only one has.
fn differing<'a>(old: &'a Fact, new: &'a Fact) -> impl Iterator<Item = (&'static str, Option<&'a str>, Option<&'a str>)> {
    let of = |fact: &'a Fact, key: &str| fact.iter().find(|(k, _)| *k == key).map(|(_, v)| v.as_str());
    let gone = old.iter().filter(move |(k, _)| of(new, k).is_none());
    let keys = new.iter().chain(gone).map(|(k, _)| *k);
    keys.map(move |key| (key, of(old, key), of(new, key))).filter(|(_, x, y)| x != y)
}

/// One document; `docs/show.md` says what its fields mean.
pub fn json(diff: &Diff) -> Value {
    let keys = diff.keys.iter().map(|(path, change)| {
        let (kind, a, b) = split(change);
        json!({ "path": path, "change": kind, "a": a, "b": b })
    });
    let facts = |fact: Option<&Fact>| {
        fact.map(|f| f.iter().map(|(k, v)| (if k.is_empty() { "is" } else { k }.to_string(), json!(v))).collect::<Map<_, _>>())
    };
    let sections = diff.consequences.iter().map(|(section, changes)| {
        let list = changes.iter().map(|(name, change)| {
            let (kind, a, b) = split(change);
            json!({ "name": name, "change": kind, "a": facts(a), "b": facts(b) })
        });
        (section.to_string(), list.collect::<Value>())
    });
    json!({ "same": diff.is_empty(), "keys": keys.collect::<Value>(), "consequences": sections.collect::<Map<_, _>>() })
}

fn split<T>(change: &Change<T>) -> (&'static str, Option<&T>, Option<&T>) {
    match change {
        Change::Added(b) => ("added", None, Some(b)),
        Change::Removed(a) => ("removed", Some(a), None),
        Change::Changed(a, b) => ("changed", Some(a), Some(b)),
    }
}
