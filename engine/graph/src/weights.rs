//! `weights` of a stage: where the values of its models and registers come from, and which files its paths mean.

use crate::experiment::{kind_name, text_list};
use crate::fault::{nearest, Faults};
use crate::settings;
use crate::source::{Sources, COMMAND_LINE};
use crate::stage::{Checkpoint, Origin, EPOCHS};
use crate::tree::{Item, Table, Value};
use std::path::{Component, Path, PathBuf};

/// Keys that make a table one origin for all models and registers: none of these is called so.
pub(crate) const RESERVED: &[&str] = &["stage", "file"];
/// Keys that stand beside them.
const BESIDE: &[&str] = &["epoch", "keep", "names"];

/// Origins by model or register; `*` is the rest. `stateful` are the names of both.
pub(crate) fn read(item: &Item, stateful: &[String], faults: &mut Faults) -> Vec<(String, Origin)> {
    let is_named = |key: &str| key == "*" || stateful.iter().any(|name| name == key);
    let table = match item.as_table() {
        Some(table) if !is_origin(table, is_named) => table,
        Some(table) => {
            let Some((key, entry)) = table.iter().find(|(key, _)| is_named(key)) else {
                return vec![("*".to_string(), read_origin(item, faults))];
            };
            let first = table.keys().find(|key| RESERVED.contains(key)).unwrap_or_default();
            let help = match key {
                "*" => format!("`\"*\"` stands for all that is not named: weights = {{ \"*\" = {{ {first} = ... }} }}"),
                _ => format!("give each an origin: weights = {{ {key} = ..., \"*\" = {{ {first} = ... }} }}"),
            };
            faults
                .add("unknown-setting", entry.key, format!("`weights` is one origin here (`{first}`), and names `{key}` as well"))
                .help(help);
            return vec![("*".to_string(), Origin::Initial)];
        }
        None => return vec![("*".to_string(), read_origin(item, faults))],
    };
    let mut out = Vec::new();
    for (name, entry) in table.iter() {
        if !is_named(name) {
            let known: Vec<&str> = stateful.iter().map(String::as_str).collect();
            let meant = nearest(name, RESERVED).filter(|_| nearest(name, &known).is_none());
            let fault = faults.add("unknown-model", entry.key, format!("there is no model or register `{name}`"));
            match meant {
                Some(meant) => fault.help(format!("did you mean `{meant}`?")),
                None => fault.nearest(name, known),
            }
            // the one that was meant is not reported as without an origin
            out.push(("*".to_string(), Origin::Initial));
            if meant.is_some() {
                continue;
            }
        }
        out.push((name.to_string(), read_origin(&entry.item, faults)));
    }
    out
}

/// Whether a table is one origin, rather than an origin for each of the names in it.
fn is_origin(table: &Table, is_named: impl Fn(&str) -> bool) -> bool {
    table.keys().any(|key| RESERVED.contains(&key)) || !table.is_empty() && table.keys().all(|key| BESIDE.contains(&key) && !is_named(key))
}

/// Whether an origin, or a table of them, takes the place of the one it is merged over: the two would not make one.
pub(crate) fn replaces(old: &Table, new: &Table) -> bool {
    let says = |table: &Table, key: &str| table.get(key).and_then(Item::as_str).map(String::from);
    let other = |key: &&str| says(new, key).is_some_and(|new| says(old, key).as_ref() != Some(&new));
    RESERVED.iter().any(other) || new.get("*").is_some() && RESERVED.iter().any(|key| says(old, key).is_some())
}

/// `"initial"`, a stage's name, `{ stage, epoch | keep }` or `{ file, names }`. One at fault counts as given: it is not reported as missing too.
fn read_origin(item: &Item, faults: &mut Faults) -> Origin {
    match &item.value {
        Value::String(s) if s == "initial" => {}
        Value::String(s) => return Origin::Stage { stage: s.clone(), at: Checkpoint::Last },
        Value::Table(t) if t.get("file").is_some() => {
            let mut rest = t.clone();
            let file = rest.take("file").and_then(|e| kind_name(&e.item, "file", faults).map(String::from));
            let names = rest.take("names").map(|e| text_list(&e.item, "names", faults).into_iter().map(|(n, _)| n).collect());
            for (key, entry) in rest.iter() {
                faults.add("unknown-setting", entry.key, format!("weights from a file have no `{key}`")).nearest(key, ["file", "names"]);
            }
            if let Some(file) = file {
                return Origin::File { file: file.into(), names };
            }
        }
        Value::Table(t) => {
            #[derive(serde::Deserialize, schemars::JsonSchema)]
            #[serde(deny_unknown_fields)]
            struct FromStage {
                /// A stage that trains.
                stage: String,
                /// Completed epochs.
                #[schemars(range(min = 1, max = EPOCHS))]
                epoch: Option<u64>,
                /// `best`: the checkpoint that the stage's `keep.best` chose.
                keep: Option<Kept>,
            }
            #[derive(Clone, Copy, serde::Deserialize, schemars::JsonSchema)]
            #[serde(rename_all = "snake_case")]
            enum Kept {
                Best,
            }
            if let Some(from) = settings::deserialise::<FromStage>(t, item.at, "weights", faults) {
                let at = match (from.epoch, from.keep) {
                    (Some(_), Some(_)) => {
                        faults.add("out-of-range", item.at, "weights come from an `epoch` or from the best checkpoint (`keep`), not both");
                        Checkpoint::Last
                    }
                    (Some(epoch), None) => Checkpoint::Epoch(epoch),
                    (None, Some(Kept::Best)) => Checkpoint::Best,
                    (None, None) => Checkpoint::Last,
                };
                return Origin::Stage { stage: from.stage, at };
            }
        }
        _ => {
            faults.add(
                "wrong-type",
                item.at,
                "weights come from \"initial\", a stage's name, { stage = \"...\", epoch = N }, or { file = \"...\" }",
            );
        }
    }
    Origin::Initial
}

/// Makes the paths of weights' files absolute, so that the resolved graph means the same files wherever it lies. A path
/// starts at the folder of the graph file that it is written in; one that `--set` gives, at the working directory.
pub(crate) fn anchor(tree: &mut Table, sources: &Sources, faults: &Faults) {
    let Some(Value::Table(stages)) = tree.0.get_mut("stages").map(|e| &mut e.item.value) else { return };
    let weights = stages.0.values_mut().filter_map(|stage| match &mut stage.item.value {
        Value::Table(stage) => stage.0.get_mut("weights"),
        _ => None,
    });
    for entry in weights {
        let Value::Table(weights) = &mut entry.item.value else { continue };
        anchor_file(weights, sources, faults);
        for origin in weights.0.values_mut() {
            if let Value::Table(origin) = &mut origin.item.value {
                anchor_file(origin, sources, faults);
            }
        }
    }
}

fn anchor_file(origin: &mut Table, sources: &Sources, faults: &Faults) {
    let Some(item) = origin.0.get_mut("file").map(|e| &mut e.item) else { return };
    if let Value::String(path) = &mut item.value {
        *path = absolute(path, sources.name(faults.written(item.at))).display().to_string();
    }
}

/// A path as it stands in the text of that name. Links are followed as the system would: only a `..` that leads out of the
/// folder itself, which is known without links, is taken off.
fn absolute(path: &str, text: &str) -> PathBuf {
    let folder = Path::new(text).parent().filter(|_| text != COMMAND_LINE).unwrap_or(Path::new(""));
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut whole = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    let mut inside = false;
    for part in Path::new(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if !inside => drop(whole.pop()),
            _ => {
                inside = true;
                whole.push(part);
            }
        }
    }
    whole
}
