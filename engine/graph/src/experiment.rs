//! An experiment as the graph file states it: names, models, stages; groups expanded; edges not yet followed.

use crate::budget::STAGES;
use crate::drive::{read_drive, read_momentum};
use crate::fault::{unmeant, Faults};
use crate::frame::Spent;
use crate::group;
use crate::index::Index;
use crate::kind::{AnyKind, Entry, Library};
use crate::schema;
use crate::source::{At, Sources};
use crate::stage::{Drive, Ema};
use crate::tree::{Item, Table, Value};
use crate::weights;
use indexmap::IndexMap;
use std::sync::Arc;

pub struct Experiment {
    pub name: String,
    pub about: String,
    pub seed: u64,
    pub models: IndexMap<String, ModelDecl>,
    pub stages: IndexMap<String, StageDecl>,
    /// The resolved tree: what `graph.toml` of a run holds.
    pub resolved: Table,
}

pub struct ModelDecl {
    pub at: At,
    pub entry: &'static Entry,
    pub kind: Arc<dyn AnyKind>,
    /// The model that this one averages.
    pub ema: Option<Ema>,
    /// The model's path in the reference's state dict, or one path a layer.
    pub names: Vec<String>,
}

pub struct StageDecl {
    pub at: At,
    pub drive: Drive,
    /// Places of the stage's own settings, for faults.
    pub table: Table,
    pub nodes: Vec<NodeDecl>,
    /// Nodes with faults of their own.
    pub broken: Vec<Broken>,
    pub aliases: Vec<Alias>,
    /// Of all these.
    pub index: Index,
}

impl StageDecl {
    /// The edge behind a group's output.
    pub fn alias(&self, node: &str, port: &str) -> Option<&Alias> {
        self.index.aliases(node).iter().map(|i| &self.aliases[*i]).find(|a| a.port == port)
    }
}

/// A group's output and the edge behind it: `view_0.clips` is `view_0/normal.clips`.
#[derive(Clone, Debug)]
pub struct Alias {
    pub node: String,
    pub port: String,
    pub to: String,
    /// Where the group, or what it is given, says so.
    pub at: At,
}

/// A node with faults of its own: it is not planned, and what else is wrong with its edges is told all the same.
pub struct Broken {
    pub path: String,
    pub at: At,
    /// Where its kind is known and its inputs can be read.
    pub entry: Option<&'static Entry>,
    pub model: Option<String>,
    pub inputs: Vec<InputDecl>,
    /// What stands at `write` and `initial`.
    pub state: Vec<InputDecl>,
    pub after: Vec<(String, At)>,
}

impl Broken {
    /// One of which nothing more is known.
    pub fn at(path: &str, at: At) -> Broken {
        Broken { path: path.to_string(), at, entry: None, model: None, inputs: Vec::new(), state: Vec::new(), after: Vec::new() }
    }
}

#[derive(Clone)]
pub struct NodeDecl {
    /// `crop`, or `view_1/crop` inside of a group.
    pub path: String,
    pub at: At,
    pub entry: &'static Entry,
    pub kind: Arc<dyn AnyKind>,
    pub model: Option<String>,
    /// Input name and the edge's text.
    pub inputs: Vec<InputDecl>,
    /// Of a register.
    pub writes: Vec<InputDecl>,
    pub initial: Vec<InputDecl>,
    /// Of a register: its tensors' names in the reference's state dict.
    pub names: Vec<String>,
    pub after: Vec<(String, At)>,
    pub mode: Option<Mode>,
    /// The item axis of which each item is a pass of its own.
    pub passes: Option<(String, At)>,
    pub table: Table,
}

#[derive(Clone, Debug)]
pub struct InputDecl {
    pub name: String,
    pub edge: String,
    /// Where the edge is written: outside of a group, where it is the group's input.
    pub at: At,
    /// Where the node itself has it.
    pub here: At,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Train,
    Eval,
}

/// Keys of a graph's top level.
pub(crate) const TOP: &[&str] = &["schema", "name", "about", "seed", "values", "models", "groups", "stages", "published", "sweep"];
/// Keys of a node that are the language's, not its kind's.
pub const NODE_KEYS: &[&str] = &["kind", "apply", "in", "after", "write", "initial", "mode", "passes", "names"];

/// TOML's integers are signed and have 64 bits, so a seed has 63.
pub(crate) fn seed_schema() -> serde_json::Value {
    serde_json::json!({ "type": "integer", "minimum": 0, "maximum": i64::MAX, "description": "Every draw is keyed by it." })
}
/// How long a name may be: it may become that of a file or folder.
pub(crate) const NAME_BYTES: usize = 255;

pub fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= NAME_BYTES && text.bytes().all(is_name_byte)
}

fn is_name_byte(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'
}

/// Why a text is no name.
pub(crate) fn no_name(text: &str) -> String {
    match text.len() > NAME_BYTES && text.bytes().all(is_name_byte) {
        true => format!("invalid name `{text}`: a name has at most {NAME_BYTES} characters"),
        false => format!("invalid name `{text}`: use a-z, 0-9 and _"),
    }
}

/// Reads the resolved tree.
pub fn read(tree: Table, library: &Library, sources: &Sources, faults: &mut Faults) -> Experiment {
    let top = At::default();
    for (key, entry) in tree.iter() {
        if !TOP.contains(&key) {
            faults.add("unknown-key", entry.key, format!("a graph has no `{key}`")).nearest(key, TOP.iter().copied());
        }
    }
    let name = text(&tree, "name", faults);
    match (&name, tree.get("name")) {
        (_, None) if !unmeant(vec!["name"], &tree.keys().filter(|k| !TOP.contains(k)).collect::<Vec<_>>()).is_empty() => {
            faults.add("missing-setting", top, "a graph needs a `name`; its runs are written to runs/NAME");
        }
        (Some(name), Some(item)) if !is_name(name) => {
            faults.add("bad-name", item.at, no_name(name));
        }
        _ => {}
    }
    let seed = match tree.get("seed") {
        Some(item) => {
            let fits = schema::check_value(&seed_schema(), "seed", item, faults);
            match item.value {
                Value::Integer(n) if fits => n as u64,
                _ => 0,
            }
        }
        None => {
            faults.add("missing-setting", top, "a graph needs a `seed`").help(format!("seed = 0, an integer from 0 to {}", i64::MAX));
            0
        }
    };
    let mut models = IndexMap::new();
    let (averages, owners): (Vec<_>, Vec<_>) = tables(&tree, "models", faults).into_iter().partition(|(_, _, t)| t.get("ema_of").is_some());
    for (model, at, table) in owners {
        if let Some(decl) = read_model(&model, at, table, library, faults) {
            models.insert(model, decl);
        }
    }
    let names_of = |key: &str| -> Vec<String> {
        tree.get(key).and_then(Item::as_table).map(|t| t.keys().map(String::from).collect()).unwrap_or_default()
    };
    for (model, at, table) in averages {
        if let Some(decl) = read_average(&model, at, table, &models, &names_of("models"), faults) {
            models.insert(model, decl);
        }
    }
    let groups = group::read(&tree, faults);
    let (model_names, group_names) = (names_of("models"), names_of("groups"));
    for (group, entry) in tree.get("groups").and_then(Item::as_table).into_iter().flat_map(Table::iter) {
        if model_names.iter().any(|m| m == group) {
            faults.add("bad-name", entry.key, format!("`{group}` is also the name of a model: `apply` could mean either"));
        }
    }
    for (model, entry) in tree.get("models").and_then(Item::as_table).into_iter().flat_map(Table::iter) {
        reserved("model", model, entry.key, faults);
    }
    let scope = group::Scope { library, models: &models, model_names: &model_names, groups: &groups, group_names: &group_names };
    let (mut stages, mut spent) = (IndexMap::new(), Spent::default());
    for (stage, at, table) in tables(&tree, "stages", faults) {
        if stages.len() >= STAGES {
            faults.stop("too-many", at, format!("the graph has more than {STAGES} stages"));
        }
        if faults.stopped() {
            break;
        }
        stages.insert(stage, read_stage(at, table, &scope, &mut spent, faults));
    }
    if tree.get("stages").is_none_or(|i| i.as_table().is_some_and(Table::is_empty)) {
        faults.add("missing-setting", top, "a graph needs at least one stage: [stages.NAME.nodes]");
    }
    group::check_used(&tree, &groups, sources, faults);
    let name = name.unwrap_or_default();
    Experiment { name, about: text(&tree, "about", faults).unwrap_or_default(), seed, models, stages, resolved: tree }
}

/// The tables below `key`, with names that are checked.
pub(crate) fn tables(tree: &Table, key: &str, faults: &mut Faults) -> Vec<(String, At, Table)> {
    let Some(entry) = tree.entry(key) else { return Vec::new() };
    let Some(table) = entry.item.as_table() else {
        faults.add("wrong-type", entry.item.at, format!("`{key}` takes a table of tables"));
        return Vec::new();
    };
    let mut out = Vec::new();
    for (name, entry) in table.iter() {
        if !is_name(name) {
            faults.add("bad-name", entry.key, no_name(name));
        } else if ["kind", "apply", "in", "out", "write", "after", "weights", "initial"].contains(&name) {
            faults.add("bad-name", entry.key, format!("`{name}` is a reserved word: choose another name"));
        }
        match entry.item.as_table() {
            Some(t) => out.push((name.to_string(), entry.key, t.clone())),
            None => {
                faults.add("wrong-type", entry.item.at, format!("`{name}` takes a table, not {}", entry.item.type_name()));
            }
        }
    }
    out
}

pub(crate) fn text(table: &Table, key: &str, faults: &mut Faults) -> Option<String> {
    let item = table.get(key)?;
    let text = item.as_str().map(String::from);
    if text.is_none() {
        faults.add("wrong-type", item.at, format!("`{key}` takes a string, not {}", item.type_name()));
    }
    text
}

/// The text of `kind` or `apply`.
pub(crate) fn kind_name<'a>(item: &'a Item, key: &str, faults: &mut Faults) -> Option<&'a str> {
    let name = item.as_str();
    if name.is_none() {
        faults.add("wrong-type", item.at, format!("`{key}` takes a string, not {}", item.type_name()));
    }
    name
}

/// A text, or an array of texts, with places.
pub(crate) fn text_list(item: &Item, key: &str, faults: &mut Faults) -> Vec<(String, At)> {
    match &item.value {
        Value::String(s) => vec![(s.clone(), item.at)],
        Value::Array(a) => a.iter().flat_map(|i| text_list(i, key, faults)).collect(),
        _ => {
            faults.add("wrong-type", item.at, format!("`{key}` takes a string or an array of strings, not {}", item.type_name()));
            Vec::new()
        }
    }
}

fn read_model(model: &str, at: At, mut table: Table, library: &Library, faults: &mut Faults) -> Option<ModelDecl> {
    let names = table.take("names").map(|e| text_list(&e.item, "names", faults)).unwrap_or_default();
    let kind = table.take("kind").map(|e| e.item);
    let Some(kind) = kind else {
        faults.add("missing-setting", at, format!("the model `{model}` needs a `kind`"));
        return None;
    };
    let all = || library.entries().filter(|e| e.sketch.is_some());
    let name = kind_name(&kind, "kind", faults)?;
    let Some(entry) = library.get(name) else {
        faults.add("unknown-kind", kind.at, format!("there is no model kind `{name}`")).nearest(name, all().map(|e| e.name));
        return None;
    };
    if entry.sketch.is_none() {
        faults.add("not-a-model", kind.at, format!("`{name}` has no parameters: use it as a node")).nearest(name, all().map(|e| e.name));
        return None;
    }
    let kind = (entry.build)(&table, at, faults)?;
    Some(ModelDecl { at, entry, kind: kind.into(), ema: None, names: names.into_iter().map(|(n, _)| n).collect() })
}

/// A model that averages another: its kind and settings are that one's.
fn read_average(
    model: &str,
    at: At,
    mut table: Table,
    models: &IndexMap<String, ModelDecl>,
    declared: &[String],
    faults: &mut Faults,
) -> Option<ModelDecl> {
    let before = faults.told();
    let names = table.take("names").map(|e| text_list(&e.item, "names", faults)).unwrap_or_default();
    let entry = table.take("ema_of")?;
    let of = kind_name(&entry.item, "ema_of", faults).map(String::from);
    if let Some(kind) = table.take("kind") {
        faults.add("kind-and-ema", kind.key, format!("`{model}` averages another model and has its kind: remove `kind`"));
    }
    let momentum = match table.take("momentum") {
        Some(entry) => read_momentum(&entry.item, faults),
        None => {
            faults.add("missing-setting", at, format!("`{model}` averages another model and needs `momentum`")).help("momentum = 0.999");
            None
        }
    };
    for (key, entry) in table.iter() {
        faults
            .add("unknown-setting", entry.key, format!("a model that averages another has no setting `{key}`"))
            .nearest(key, ["ema_of", "momentum", "names"]);
    }
    let of = of?;
    let Some(source) = models.get(&of) else {
        if of == model || !declared.contains(&of) {
            let known = declared.iter().map(String::as_str).filter(|n| *n != model);
            faults.add("unknown-model", entry.item.at, format!("there is no other model `{of}` to average")).nearest(&of, known);
        } else if models.is_empty() || declared.contains(&of) {
            // one with faults of its own, or one that is an average itself
            faults.add("ema-of-ema", entry.item.at, format!("`{of}` cannot be averaged: it is an average itself, or has errors"));
        }
        return None;
    };
    if source.ema.is_some() {
        faults.add("ema-of-ema", entry.item.at, format!("`{of}` cannot be averaged: it is an average itself"));
    }
    let momentum = momentum?;
    (faults.told() == before).then(|| ModelDecl {
        at,
        entry: source.entry,
        kind: Arc::clone(&source.kind),
        ema: Some(Ema { of, momentum }),
        names: names.into_iter().map(|(n, _)| n).collect(),
    })
}

/// Names that `weights` would take for the form of an origin.
fn reserved(what: &str, name: &str, at: At, faults: &mut Faults) {
    if weights::RESERVED.contains(&name) {
        faults.add("bad-name", at, format!("a {what} cannot be called `{name}`: `weights = {{ {name} = ... }}` names an origin"));
    }
}

fn read_stage(at: At, mut table: Table, scope: &group::Scope, spent: &mut Spent, faults: &mut Faults) -> StageDecl {
    let full = table.clone();
    let mut out = group::Expanded::new(spent);
    for (name, at, node) in tables(&table, "nodes", faults) {
        scope.expand(&name, at, node, &mut out, faults);
    }
    match table.take("nodes").map(|e| e.item.value) {
        Some(Value::Table(t)) if !t.is_empty() => {
            // what is no table was told as that
            for (name, entry) in t.iter().filter(|(_, e)| e.item.as_table().is_none()) {
                out.broken.push(Broken::at(name, entry.key));
            }
        }
        None | Some(Value::Table(_)) => {
            faults.add("missing-setting", at, "a stage needs `nodes`");
        }
        Some(_) => {}
    }
    let registers = || out.nodes.iter().filter(|n| n.entry.state.is_some());
    registers().for_each(|n| reserved("register", &n.path, n.at, faults));
    let stateful: Vec<String> = scope.model_names.iter().cloned().chain(registers().map(|n| n.path.clone())).collect();
    let drive = read_drive(at, &mut table, scope.model_names, &stateful, faults);
    let index = Index::new(&out.nodes, &out.broken, &out.aliases);
    StageDecl { at, drive, table: full, nodes: out.nodes, broken: out.broken, aliases: out.aliases, index }
}
