//! The axes of a sweep as `[sweep]` states them: a quoted path with values, or a table of named arms.

use crate::budget::{SWEEP_AXES, SWEEP_POINTS};
use crate::experiment::{is_name, no_name};
use crate::fault::Faults;
use crate::merge::{merge, remove, Reader};
use crate::setting::{key_path, Change, PATH};
use crate::show::thousands;
use crate::source::{At, Sources};
use crate::tree::{Item, Table, Value};
use std::collections::HashSet;
use std::path::Path;
use std::rc::Rc;

/// One axis of the grid.
pub(crate) struct AxisDecl {
    /// The last part of its path, or the arms' common name.
    pub name: String,
    /// The values' or arms' names, as points are named after them, and what each changes.
    pub choices: Vec<(String, Choice)>,
}

pub(crate) enum Choice {
    Value(Change),
    Arm(Arm),
}

/// Merged like a file that extends the graph.
pub(crate) struct Arm {
    uppers: Vec<Rc<Table>>,
    removals: Option<Item>,
    own: Table,
}

impl Choice {
    pub(crate) fn apply(&self, tree: &mut Table, faults: &mut Faults) {
        match self {
            Choice::Value(change) => change.apply(tree, faults),
            Choice::Arm(arm) => {
                for upper in &arm.uppers {
                    merge(tree, Table::clone(upper));
                }
                if let Some(list) = &arm.removals {
                    remove(tree, list, faults);
                }
                merge(tree, arm.own.clone());
            }
        }
    }
}

/// Reads `[sweep]`. An axis at fault is left out, and so is a value or an arm: the others are looked at all the same.
pub(crate) fn read(sweep: &Item, folder: &Path, reader: &mut Reader, sources: &mut Sources, faults: &mut Faults) -> Vec<AxisDecl> {
    let Some(table) = sweep.as_table() else {
        faults.add("wrong-type", sweep.at, format!("`sweep` takes a table of axes, not {}", sweep.type_name()));
        return Vec::new();
    };
    if table.is_empty() {
        faults.add("bad-sweep", sweep.at, "`sweep` has no axis").help("for example: seed = [0, 1, 2]");
    }
    if let Some((_, entry)) = table.iter().nth(SWEEP_AXES) {
        faults.stop("too-many", entry.key, format!("the sweep has more than {SWEEP_AXES} axes"));
        return Vec::new();
    }
    let mut axes: Vec<AxisDecl> = Vec::new();
    let mut paths: Vec<Vec<String>> = Vec::new();
    for (key, entry) in table.iter() {
        let length = match &entry.item.value {
            Value::Array(list) => list.len(),
            Value::Table(arms) => arms.0.len(),
            _ => 0,
        };
        if length > SWEEP_POINTS {
            let most = thousands(SWEEP_POINTS);
            faults.stop("too-many", entry.key, format!("the axis `{key}` has {} values; at most {most} are run", thousands(length)));
            return Vec::new();
        }
        let choices = match &entry.item.value {
            Value::Array(list) => match key_path(key) {
                Some(parts) => {
                    let choices = values(key, &parts, entry.key, list, entry.item.at, faults);
                    paths.push(parts);
                    choices
                }
                None => {
                    faults.add("bad-path", entry.key, format!("the sweep's axis `{key}` is not a path")).help(PATH);
                    continue;
                }
            },
            Value::Table(t) if ["stages", "models", "groups", "values"].contains(&key) => {
                let mut path = vec![key];
                let mut step = t;
                while let Some((key, Value::Table(next))) = step.iter().next().map(|(k, e)| (k, &e.item.value)) {
                    path.push(key);
                    step = next;
                }
                path.extend(step.keys().next());
                faults
                    .add("bad-sweep", entry.key, format!("`{key}` is not an axis: without quotes, a path is read as nested tables"))
                    .help(format!("quote the path: \"{}\" = [...]", path.join(".")));
                continue;
            }
            Value::Table(arms) => {
                paths.push(vec![key.to_string()]);
                read_arms(key, entry.key, arms, folder, reader, sources, faults)
            }
            _ => {
                faults
                    .add("bad-sweep", entry.item.at, format!("the axis `{key}` is {}", entry.item.type_name()))
                    .help("an axis is an array of values or a table of named arms");
                continue;
            }
        };
        axes.push(AxisDecl { name: String::new(), choices });
    }
    for i in 0..axes.len() {
        // the shortest end of its path that no other axis has
        let end = |path: &[String], n: usize| path[path.len().saturating_sub(n)..].join(".");
        let own = |n: &usize| !(0..axes.len()).any(|j| j != i && end(&paths[j], *n) == end(&paths[i], *n));
        let n = (1..=paths[i].len()).find(own).unwrap_or(paths[i].len());
        axes[i].name = safe(&end(&paths[i], n));
    }
    axes.retain(|a| !a.choices.is_empty());
    axes
}

/// Keys that a point has from the graph itself.
const FIXED: &[&str] = &["name", "about", "schema", "sweep", "published", "extends", "remove"];

fn values(path: &str, parts: &[String], key: At, list: &[Item], at: At, faults: &mut Faults) -> Vec<(String, Choice)> {
    if FIXED.contains(&parts[0].as_str()) {
        faults.add("bad-sweep", key, format!("a sweep cannot vary `{}`", parts[0]));
        return Vec::new();
    }
    if list.is_empty() {
        faults.add("bad-sweep", at, format!("the axis `{path}` has no values"));
    }
    let mut out: Vec<(String, Choice)> = Vec::new();
    let mut seen: HashSet<String> = HashSet::new();
    let mut names: HashSet<String> = HashSet::new();
    for item in list {
        let text = item_text(item);
        if !seen.insert(text.clone()) {
            faults.add(
                "bad-sweep",
                item.at,
                format!("the axis `{path}` has the value {text} twice: two points would be the same experiment"),
            );
            continue;
        }
        let short = short(item);
        // what is too long for a name, or not told apart by it, is numbered
        let mut name = if short.is_empty() || short.len() > 40 || names.contains(&short) { seen.len().to_string() } else { short };
        while !names.insert(name.clone()) {
            name.push('_');
        }
        out.push((name, Choice::Value(Change::of_axis(path, parts, key, item.clone()))));
    }
    out
}

fn read_arms(
    axis: &str,
    key: At,
    arms: &Table,
    folder: &Path,
    reader: &mut Reader,
    sources: &mut Sources,
    faults: &mut Faults,
) -> Vec<(String, Choice)> {
    if !is_name(axis) {
        let fault = faults.add("bad-sweep", key, format!("invalid name `{axis}` of a table of arms: use a-z, 0-9 and _"));
        fault.help("an axis with a path takes an array of values");
    }
    if arms.is_empty() {
        faults.add("bad-sweep", key, format!("the axis `{axis}` has no arms")).help("for example: { whole = {}, short = { seed = 1 } }");
    }
    let mut out = Vec::new();
    for (name, entry) in arms.iter() {
        if !is_name(name) {
            faults.add("bad-name", entry.key, no_name(name));
        }
        let Some(table) = entry.item.as_table() else {
            faults.add("bad-sweep", entry.item.at, format!("the arm `{name}` is {}, not a table", entry.item.type_name())).help(
                "an arm is a table like a file that extends this one: {} changes nothing, { extends = \"other.toml\" } merges a file",
            );
            continue;
        };
        let mut own = table.clone();
        for fixed in ["name", "sweep", "schema"] {
            if let Some(entry) = own.take(fixed) {
                faults.add(
                    "bad-sweep",
                    entry.key,
                    format!("an arm cannot set `{fixed}`: its points are named after `{name}` and belong to this sweep"),
                );
            }
        }
        let uppers = own.take("extends").map(|e| reader.bases(&e.item, folder, sources, faults)).unwrap_or_default();
        let removals = own.take("remove").map(|e| e.item);
        out.push((name.to_string(), Choice::Arm(Arm { uppers, removals, own })));
    }
    out
}

/// A value as TOML.
fn item_text(item: &Item) -> String {
    let table = Table([("v".to_string(), crate::tree::Entry { key: item.at, item: item.clone() })].into_iter().collect());
    table.to_toml().trim().strip_prefix("v = ").map_or_else(|| table.to_toml().trim().to_string(), String::from)
}

/// A value in letters that a folder's name may have; nothing for a table.
fn short(item: &Item) -> String {
    match &item.value {
        Value::String(s) => safe(s),
        Value::Array(list) => list.iter().map(short).collect::<Vec<_>>().join("-"),
        Value::Table(_) => String::new(),
        _ => safe(&item_text(item)),
    }
}

fn safe(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || "._-+".contains(c) { c } else { '_' }).collect()
}
