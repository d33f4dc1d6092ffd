//! Misspelt keys: each is reported, and then read as the key that it was meant for, so that no consequence of it is reported too.

use crate::experiment::{NODE_KEYS, TOP};
use crate::fault::{nearest_all, Faults};
use crate::kind::{properties, Library};
use crate::merge::merge;
use crate::stage::StageSettings;
use crate::tree::{Item, Table, Value};

/// Keys of a stage beside its plain settings.
const STAGE_KEYS: &[&str] = &["nodes", "optimiser", "schedule", "keep", "weights", "during", "parameters"];
const MODEL_KEYS: &[&str] = &["kind", "names", "ema_of", "momentum"];
pub(crate) const GROUP_KEYS: &[&str] = &["in", "out", "nodes"];

/// All that may stand in a stage.
pub(crate) fn stage_keys() -> Vec<String> {
    let settings = properties(&schemars::SchemaGenerator::default().into_root_schema_for::<StageSettings>());
    settings.into_iter().chain(STAGE_KEYS.iter().map(|k| k.to_string())).collect()
}

/// The top level of one file.
pub(crate) fn mend_top(file: &mut Table, faults: &mut Faults) {
    let known: Vec<&str> = TOP.iter().copied().chain(["extends", "remove"]).collect();
    mend(file, &known, "unknown-key", |key| format!("a graph has no `{key}`"), faults);
}

/// `extends` and `remove` of tables, which act before anything else is read.
pub(crate) fn mend_extends(tree: &mut Table, library: &Library, faults: &mut Faults) {
    for family in ["models", "groups", "stages"] {
        each(tree, family, |table| {
            mend_extend(table, library, faults);
            each(table, "nodes", |node| mend_extend(node, library, faults));
        });
    }
}

fn mend_extend(table: &mut Table, library: &Library, faults: &mut Faults) {
    let known = ["extends", "remove"];
    let near = |k: &&str| !known.contains(k) && !nearest_all(k, &known).is_empty();
    let Some(key) = table.keys().find(near).map(String::from) else { return };
    // a setting may be called alike
    if !library.has_setting(&key) {
        mend(table, &known, "unknown-setting", |key| format!("a table has no `{key}`"), faults);
    }
}

/// What stands below the top level of a resolved graph.
pub(crate) fn mend_below(tree: &mut Table, library: &Library, faults: &mut Faults) {
    let stage_keys = stage_keys();
    let stage_keys: Vec<&str> = stage_keys.iter().map(String::as_str).collect();
    each(tree, "models", |table| mend_kind(table, MODEL_KEYS, "a model", library, faults));
    each(tree, "groups", |group| {
        mend(group, GROUP_KEYS, "unknown-key", |key| format!("a group has no `{key}`"), faults);
        each(group, "nodes", |node| mend_kind(node, NODE_KEYS, "a node", library, faults));
    });
    each(tree, "stages", |stage| {
        mend(stage, &stage_keys, "unknown-setting", |key| format!("a stage has no setting `{key}`"), faults);
        each(stage, "nodes", |node| mend_kind(node, NODE_KEYS, "a node", library, faults));
        for key in ["optimiser", "schedule"] {
            if let Some(Value::Table(table)) = stage.0.get_mut(key).map(|e| &mut e.item.value) {
                if table.get("kind").is_none() {
                    mend(table, &["kind"], "unknown-setting", |wrong| format!("`{key}` has no setting `{wrong}`"), faults);
                }
            }
        }
    });
}

/// A node or a model: its own keys, and the settings of its kind.
fn mend_kind(table: &mut Table, own: &[&str], what: &str, library: &Library, faults: &mut Faults) {
    if table.get("kind").or(table.get("apply")).or(table.get("ema_of")).is_none() {
        mend(table, &["kind", "apply"], "unknown-setting", |key| format!("{what} has no `{key}`"), faults);
    }
    let Some(kind) = table.get("kind").and_then(Item::as_str) else {
        // an application has no settings
        return mend(table, own, "unknown-setting", |key| format!("{what} has no `{key}`"), faults);
    };
    // of an unknown kind it is open what its settings are called
    let Some(entry) = library.get(kind) else { return };
    let known: Vec<&str> = own.iter().copied().chain(library.settings(entry.name).iter().map(String::as_str)).collect();
    mend(table, &known, "unknown-setting", |key| format!("`{}` has no setting `{key}`", entry.name), faults);
}

fn each(table: &mut Table, key: &str, mut change: impl FnMut(&mut Table)) {
    let Some(Value::Table(tables)) = table.0.get_mut(key).map(|e| &mut e.item.value) else { return };
    for entry in tables.0.values_mut() {
        if let Value::Table(t) = &mut entry.item.value {
            change(t);
        }
    }
}

/// Renames each unknown key for which one known key, that is not there, is the nearest.
fn mend(table: &mut Table, known: &[&str], code: &'static str, message: impl Fn(&str) -> String, faults: &mut Faults) {
    let unknown: Vec<String> = table.keys().filter(|k| !known.contains(k)).map(String::from).collect();
    for key in unknown {
        let [meant] = nearest_all(&key, known)[..] else { continue };
        // a table that has several headers may be misspelt in one of them
        let is_table = |key: &str| table.get(key).is_some_and(|i| i.as_table().is_some());
        if table.get(meant).is_some() && !(is_table(meant) && is_table(&key)) {
            continue;
        }
        if let Some(entry) = table.take(&key) {
            faults.add(code, entry.key, message(&key)).help(format!("did you mean `{meant}`?"));
            merge(table, Table([(meant.to_string(), entry)].into_iter().collect()));
        }
    }
}
