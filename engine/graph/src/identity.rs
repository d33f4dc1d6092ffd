//! What the result of a stage depends on, as one text: stages of equal identity give equal results, and run once.

use crate::plan::{Plan, StagePlan};
use crate::stage::Origin;
use std::collections::{BTreeMap, BTreeSet};
use toml::{Table, Value};

/// The identity of each stage, by its name: a hash of its resolved table, of the models and groups that it applies, of
/// the stages that it needs, of the sets that it reads (with their fingerprints, where those are known), and of the seed,
/// if anything in it draws.
pub fn identities(plan: &Plan, fingerprint: &dyn Fn(&str) -> Option<String>) -> BTreeMap<String, String> {
    let tree: Table = plan.resolved.parse().expect("a resolved graph is TOML");
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    // each comes after what it needs
    for stage in &plan.stages {
        let own = tree.get("stages").and_then(|s| s.get(&stage.name)).cloned().unwrap_or(Value::Boolean(false));
        let mut parts: BTreeMap<String, Value> = BTreeMap::new();
        parts.insert("stage".into(), Value::String(stage.name.clone()));
        parts.insert("applied".into(), applied(&tree, &own));
        parts.insert("own".into(), own);
        let needs = stage.needs.iter().map(|n| (n.clone(), Value::String(found.get(n).cloned().unwrap_or_default())));
        parts.insert("needs".into(), by_name(needs));
        let sets = stage.nodes.iter().filter_map(|n| n.kind.source()).map(|s| s.set);
        let sets = sets.map(|set| (set.clone(), Value::String(fingerprint(&set).unwrap_or_default())));
        parts.insert("sets".into(), by_name(sets));
        let files = stage.drive.weights.iter().filter_map(|(_, o)| match o {
            Origin::File { file, .. } => Some((file.display().to_string(), Value::String(file_hash(file)))),
            _ => None,
        });
        parts.insert("files".into(), by_name(files));
        // what runs during a stage is part of its run, and may steer it
        let inner = plan.stages.iter().filter(|s| s.during.as_ref().is_some_and(|d| d.stage == stage.name));
        let inner = inner.filter_map(|s| {
            let own = tree.get("stages")?.get(&s.name)?;
            Some((s.name.clone(), Value::Array(vec![own.clone(), applied(&tree, own)])))
        });
        parts.insert("inner".into(), by_name(inner));
        if draws(stage) {
            parts.insert("seed".into(), Value::String(plan.seed.to_string()));
        }
        found.insert(stage.name.clone(), hash(&by_name(parts)));
    }
    found
}

/// Whether the seed matters: the order of training, values drawn anew, or a draw of a node that no edge gives it.
pub fn draws(stage: &StagePlan) -> bool {
    let initial = |model: &str| matches!(stage.drive.origin(model), None | Some(Origin::Initial));
    stage.trains()
        || stage.models.iter().any(|(m, _)| initial(m))
        || stage.nodes.iter().any(|n| n.entry.seeded || n.register.is_some() && initial(&n.path))
        || stage.nodes.iter().any(|n| n.entry.outputs.iter().any(|o| o.draw && !n.inputs.iter().any(|i| i.name == o.name)))
}

/// Equal for plans that differ in numbers only: the resolved graph with each number left out.
pub fn structure(plan: &Plan) -> String {
    let mut tree: Table = plan.resolved.parse().expect("a resolved graph is TOML");
    for key in ["name", "about", "published"] {
        tree.remove(key);
    }
    tree.iter_mut().for_each(|(_, v)| without_numbers(v));
    // in which order stages run that do not need each other changes no structure
    if let Some(Value::Table(stages)) = tree.remove("stages") {
        tree.insert("stages".into(), by_name(stages));
    }
    hash(&by_name(tree))
}

fn without_numbers(value: &mut Value) {
    match value {
        Value::Integer(_) | Value::Float(_) => *value = Value::Integer(0),
        Value::Array(list) => list.iter_mut().for_each(without_numbers),
        Value::Table(t) => t.iter_mut().for_each(|(_, v)| without_numbers(v)),
        _ => {}
    }
}

/// The models and groups that a table names, and those that these name.
fn applied(tree: &Table, own: &Value) -> Value {
    let mut out = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut open = vec![own];
    while let Some(value) = open.pop() {
        let mut names = Vec::new();
        names_in(value, &mut names);
        for name in names {
            for family in ["models", "groups"] {
                let Some(found) = tree.get(family).and_then(|f| f.get(name)) else { continue };
                if seen.insert((family, name)) {
                    out.insert(format!("{family}/{name}"), found.clone());
                    open.push(found);
                }
            }
        }
    }
    by_name(out)
}

fn names_in<'a>(value: &'a Value, names: &mut Vec<&'a str>) {
    match value {
        Value::Array(list) => list.iter().for_each(|v| names_in(v, names)),
        Value::Table(t) => {
            for (key, value) in t {
                match value {
                    Value::String(s) if matches!(key.as_str(), "apply" | "ema_of") => names.push(s.as_str()),
                    _ => names_in(value, names),
                }
            }
        }
        _ => {}
    }
}

/// Nothing where the file cannot be read: the run tells.
fn file_hash(path: &std::path::Path) -> String {
    let mut hasher = blake3::Hasher::new();
    let Ok(mut file) = dv_datasets::file::open(path) else { return String::new() };
    std::io::copy(&mut file, &mut hasher).map_or(String::new(), |_| hasher.finalize().to_hex().to_string())
}

/// A table with sorted keys.
fn by_name(entries: impl IntoIterator<Item = (String, Value)>) -> Value {
    Value::Table(entries.into_iter().collect::<BTreeMap<_, _>>().into_iter().collect())
}

/// Of keys in one order, so that equal values give equal text. Below the top a resolved graph has its keys sorted, but those
/// whose order counts.
fn hash(value: &Value) -> String {
    blake3::hash(value.to_string().as_bytes()).to_hex().to_string()
}
