//! Every key of the good graph misspelt, every value of another type, every line cut: each is told where it stands, and
//! nothing panics.

mod common;

use common::*;
use dv_graph::fault::{Fault, Faults};
use dv_graph::source::{At, Sources};
use dv_graph::tree::{self, Item, Table, Value};
use std::path::Path;

struct Key {
    /// `stages.pretrain.epochs`
    path: String,
    at: At,
    value: Item,
}

fn walk(table: &Table, path: &str, out: &mut Vec<Key>) {
    for (key, entry) in table.iter() {
        let path = if path.is_empty() { key.to_string() } else { format!("{path}.{key}") };
        if let Value::Table(t) = &entry.item.value {
            walk(t, &path, out);
        }
        out.push(Key { path, at: entry.key, value: entry.item.clone() });
    }
}

fn keys() -> Vec<Key> {
    let mut out = Vec::new();
    walk(&tree::parse("g.toml", GOOD, &mut Sources::default(), &mut Faults::default()), "", &mut out);
    out
}

fn with(at: At, text: &str) -> String {
    format!("{}{text}{}", &GOOD[..at.start as usize], &GOOD[at.end as usize..])
}

/// Faults of a text; the folder is one for all.
fn told(dir: &Path, text: &str) -> (Vec<Fault>, String) {
    let path = dir.join("g.toml");
    std::fs::write(&path, text).unwrap();
    let found = dv_graph::sweep::check(&path, &[], &library());
    (found.faults.iter().cloned().collect(), found.faults.render(&found.sources))
}

/// Names that the graph chooses itself: their users are told.
fn is_chosen(path: &str) -> bool {
    let parts: Vec<&str> = path.split('.').collect();
    match parts.as_slice() {
        ["values" | "models" | "groups" | "stages", _] | ["groups" | "stages", _, "nodes", _] | ["groups", _, "out", _] => true,
        // of kinds that take any
        ["stages", _, "nodes", _, "odds" | "weights", _] => true,
        ["stages", _, "nodes", node, "in", _] => ["view_2", "views", "total"].contains(node),
        _ => false,
    }
}

#[test]
fn each_misspelt_key_is_told_once_with_the_name_that_was_meant() {
    let dir = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for key in keys() {
        let name = key.path.rsplit('.').next().unwrap();
        let misspelt = match name.len() {
            1 => continue,
            2 => format!("{name}{}", &name[1..]),
            n => format!("{}{}{}", &name[..n - 2], &name[n - 1..], &name[n - 2..n - 1]),
        };
        let misspelt = if misspelt == name { format!("{name}x") } else { misspelt };
        let (faults, said) = told(dir.path(), &with(key.at, &misspelt));
        let at_key = |f: &Fault| f.at.start == key.at.start;
        let ok = match is_chosen(&key.path) {
            // what nothing else names may be called anything
            true => !faults.is_empty() || ["stages.retrieval", "stages.retrieval.nodes.score"].contains(&key.path.as_str()),
            false => faults.len() == 1 && at_key(&faults[0]) && faults[0].help.as_ref().is_some_and(|h| h.contains(name)),
        };
        if !ok {
            wrong.push(format!("{} as {misspelt}: {} faults\n{said}", key.path, faults.len()));
        }
    }
    assert!(wrong.is_empty(), "{} keys:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn each_value_of_another_type_is_told_where_it_stands() {
    let dir = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    let leaf = |k: &Key| k.value.as_table().is_none_or(|_| GOOD[k.value.at.start as usize..].starts_with('{'));
    for key in keys().into_iter().filter(leaf) {
        for text in ["3", "0.5", "\"?\"", "true", "[3]", "{}"] {
            let fits = match &key.value.value {
                Value::Integer(_) => text == "3",
                Value::Float(_) => ["3", "0.5"].contains(&text),
                // a value of `[values]` may be written out; weights that name no model say nothing
                Value::String(s) => text == "\"?\"" || s.starts_with('$') && text == "3" || key.path.ends_with(".weights") && text == "{}",
                Value::Boolean(_) => text == "true",
                // one text stands for a list of one
                Value::Array(_) => text == "[3]" || text == "\"?\"",
                Value::Table(_) => text == "{}",
            };
            if fits {
                continue;
            }
            let (faults, said) = told(dir.path(), &with(key.value.at, text));
            let places = key.at.start..=key.value.at.start + text.len() as u32;
            let there = faults.iter().any(|f| places.contains(&f.at.start));
            // a value is told where it is used, with its own place; an empty `in` connects nothing
            let elsewhere = !faults.is_empty() && (said.contains("the value `") || text == "{}" && said.contains("needs the input"));
            let may_be_true = text == "true" && key.path.contains(".weights.");
            if !there && !elsewhere && !may_be_true {
                wrong.push(format!("{} = {text}: {} faults\n{said}", key.path, faults.len()));
            }
        }
    }
    assert!(wrong.is_empty(), "{} values:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_cut_text_is_read_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    for (i, _) in GOOD.char_indices().filter(|(i, _)| i % 29 == 0) {
        told(dir.path(), &GOOD[..i]);
    }
    let lines: Vec<&str> = GOOD.lines().collect();
    for i in (0..lines.len()).step_by(3) {
        let text = [&lines[..i], &lines[i + 1..]].concat().join("\n");
        told(dir.path(), &text);
    }
}
