//! An experiment as the graph file states it: names, models, stages; groups expanded; edges not yet followed.

use crate::fault::Faults;
use crate::group;
use crate::kind::{AnyKind, Entry, Library};
use crate::settings;
use crate::source::At;
use crate::stage::*;
use crate::tree::{Item, Table, Value};
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
    /// The model's path in the reference's state dict, or one path a layer.
    pub names: Vec<String>,
}

pub struct StageDecl {
    pub at: At,
    pub drive: Drive,
    /// Places of the stage's own settings, for faults.
    pub table: Table,
    pub nodes: Vec<NodeDecl>,
    /// A group's output and what stands behind it: `(view_0, clips)` is `(view_0/normal, clips)`.
    pub aliases: Vec<((String, String), (String, String))>,
    /// Edges and `after` of nodes that could not be built.
    pub loose: Vec<(String, At)>,
    pub loose_after: Vec<(String, At)>,
    /// Whether the stage's own settings could be read.
    pub settings_read: bool,
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
    pub after: Vec<(String, At)>,
    pub mode: Option<Mode>,
    pub table: Table,
}

#[derive(Clone, Debug)]
pub struct InputDecl {
    pub name: String,
    pub edge: String,
    pub at: At,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Train,
    Eval,
}

/// Keys of a graph's top level.
const TOP: &[&str] = &["schema", "name", "about", "seed", "values", "models", "groups", "stages", "published", "sweep"];
/// Keys of a node that are the language's, not its kind's.
pub const NODE_KEYS: &[&str] = &["kind", "apply", "in", "after", "write", "initial", "mode", "passes"];

pub fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Reads the resolved tree.
pub fn read(tree: Table, library: &Library, faults: &mut Faults) -> Experiment {
    let top = At::default();
    for (key, entry) in tree.iter() {
        match key {
            "sweep" => faults.not_yet(entry.key, "sweeps"),
            _ if TOP.contains(&key) => {}
            _ => faults.add("unknown-key", entry.key, format!("a graph has no `{key}`")).nearest(key, TOP.iter().copied()),
        }
    }
    let name = text(&tree, "name", faults).unwrap_or_default();
    if tree.get("name").is_none() {
        faults.add("missing-setting", top, "a graph needs a `name`: its run's folder is runs/<name>");
    } else if !is_name(&name) && !name.is_empty() {
        faults.add("bad-name", tree.get("name").map_or(top, |i| i.at), format!("`{name}` is no name: a-z, 0-9 and _ only"));
    }
    let seed = match tree.get("seed").map(|i| (&i.value, i.at)) {
        Some((Value::Integer(n @ 0..), _)) => *n as u64,
        Some((_, at)) => {
            faults.add("wrong-type", at, "`seed` is an integer from 0");
            0
        }
        None => {
            faults.add("missing-setting", top, "a graph needs a `seed`");
            0
        }
    };
    let mut models = IndexMap::new();
    for (model, at, table) in tables(&tree, "models", faults) {
        if let Some(decl) = read_model(&model, at, table, library, faults) {
            models.insert(model, decl);
        }
    }
    let groups = group::read(&tree, library, faults);
    let model_names: Vec<String> =
        tree.get("models").and_then(Item::as_table).map(|t| t.keys().map(String::from).collect()).unwrap_or_default();
    let scope = group::Scope { library, models: &models, model_names: &model_names, groups: &groups };
    let mut stages = IndexMap::new();
    for (stage, at, table) in tables(&tree, "stages", faults) {
        stages.insert(stage, read_stage(at, table, &scope, faults));
    }
    if stages.is_empty() && faults.is_empty() {
        faults.add("missing-setting", top, "a graph needs at least one stage: [stages.NAME.nodes]");
    }
    Experiment { name, about: text(&tree, "about", faults).unwrap_or_default(), seed, models, stages, resolved: tree }
}

/// The tables below `key`, with names that are checked.
pub(crate) fn tables(tree: &Table, key: &str, faults: &mut Faults) -> Vec<(String, At, Table)> {
    let Some(entry) = tree.entry(key) else { return Vec::new() };
    let Some(table) = entry.item.as_table() else {
        faults.add("wrong-type", entry.item.at, format!("`{key}` is a table of tables"));
        return Vec::new();
    };
    let mut out = Vec::new();
    for (name, entry) in table.iter() {
        if !is_name(name) {
            faults.add("bad-name", entry.key, format!("`{name}` is no name: a-z, 0-9 and _ only"));
        } else if ["kind", "apply", "in", "out", "write", "after", "weights", "initial"].contains(&name) {
            faults.add("bad-name", entry.key, format!("`{name}` is a reserved word"));
        }
        match entry.item.as_table() {
            Some(t) => out.push((name.to_string(), entry.key, t.clone())),
            None => {
                faults.add("wrong-type", entry.item.at, format!("`{name}` is a table, not {}", entry.item.type_name()));
            }
        }
    }
    out
}

pub(crate) fn text(table: &Table, key: &str, faults: &mut Faults) -> Option<String> {
    let item = table.get(key)?;
    let text = item.as_str().map(String::from);
    if text.is_none() {
        faults.add("wrong-type", item.at, format!("`{key}` is a text, not {}", item.type_name()));
    }
    text
}

/// A text, or an array of texts, with places.
pub(crate) fn text_list(item: &Item, key: &str, faults: &mut Faults) -> Vec<(String, At)> {
    match &item.value {
        Value::String(s) => vec![(s.clone(), item.at)],
        Value::Array(a) => a.iter().flat_map(|i| text_list(i, key, faults)).collect(),
        _ => {
            faults.add("wrong-type", item.at, format!("`{key}` is a text or an array of texts, not {}", item.type_name()));
            Vec::new()
        }
    }
}

fn read_model(model: &str, at: At, mut table: Table, library: &Library, faults: &mut Faults) -> Option<ModelDecl> {
    let names = table.take("names").map(|e| text_list(&e.item, "names", faults)).unwrap_or_default();
    if let Some(entry) = table.entry("ema_of") {
        faults.not_yet(entry.key, "models that average another (ema_of)");
        return None;
    }
    let kind = table.take("kind").map(|e| e.item);
    let Some(kind) = kind else {
        faults.add("missing-setting", at, format!("the model `{model}` needs a `kind`"));
        return None;
    };
    let all = || library.entries().filter(|e| e.parameters.is_some());
    let name = kind.as_str().unwrap_or_default();
    let Some(entry) = library.get(name) else {
        faults.add("unknown-kind", kind.at, format!("there is no kind of model `{name}`")).nearest(name, all().map(|e| e.name));
        return None;
    };
    if entry.parameters.is_none() {
        faults.add("not-a-model", kind.at, format!("`{name}` has no parameters: use it as a node")).nearest(name, all().map(|e| e.name));
        return None;
    }
    let kind = (entry.build)(&table, at, faults)?;
    Some(ModelDecl { at, entry, kind: kind.into(), names: names.into_iter().map(|(n, _)| n).collect() })
}

fn read_stage(at: At, mut table: Table, scope: &group::Scope, faults: &mut Faults) -> StageDecl {
    let full = table.clone();
    let mut pieces = group::Pieces::default();
    for (name, at, node) in tables(&table, "nodes", faults) {
        scope.expand(&name, at, node, &mut pieces, faults);
    }
    if table.take("nodes").is_none() {
        faults.add("missing-setting", at, "a stage needs `nodes`");
    }
    let before = faults.len();
    let drive = read_drive(at, &mut table, scope.model_names, faults);
    let settings_read = faults.len() == before;
    let group::Pieces { nodes, aliases, loose, loose_after } = pieces;
    StageDecl { at, drive, table: full, nodes, aliases, loose, loose_after, settings_read }
}

fn read_drive(at: At, table: &mut Table, models: &[String], faults: &mut Faults) -> Drive {
    for (key, what) in [("during", "stages that run while another trains (during)"), ("parameters", "parameter groups (parameters)")] {
        if let Some(entry) = table.take(key) {
            faults.not_yet(entry.key, what);
        }
    }
    let mut drive = Drive::default();
    if let Some(entry) = table.take("optimiser") {
        drive.optimiser = tagged(&entry.item, "optimiser", OPTIMISERS, faults, |_, table, at, faults| {
            let sgd: Sgd = settings::deserialise(table, at, "sgd", faults)?;
            let mut f = settings::SettingFaults::new(table, at, faults);
            f.require(sgd.lr > 0.0 && sgd.lr.is_finite(), "lr", "above 0");
            f.require((0.0..1.0).contains(&sgd.momentum), "momentum", "from 0 to below 1");
            f.require(sgd.weight_decay >= 0.0 && sgd.weight_decay.is_finite(), "weight_decay", "from 0");
            Some(Optimiser::Sgd(sgd))
        });
    }
    if let Some(entry) = table.take("schedule") {
        drive.schedule = tagged(&entry.item, "schedule", SCHEDULES, faults, |kind, table, at, faults| match kind {
            "constant" => settings::deserialise(table, at, kind, faults).map(Schedule::Constant),
            "steps" => {
                let steps: Steps = settings::deserialise(table, at, kind, faults)?;
                let mut f = settings::SettingFaults::new(table, at, faults);
                f.require(steps.at.windows(2).all(|w| w[0] < w[1]), "at", "epochs in rising order");
                f.require(steps.factor > 0.0 && steps.factor.is_finite(), "factor", "above 0");
                Some(Schedule::Steps(steps))
            }
            _ => {
                let cosine: Cosine = settings::deserialise(table, at, kind, faults)?;
                settings::SettingFaults::new(table, at, faults).require(
                    (0.0..1.0).contains(&cosine.warm_up),
                    "warm_up",
                    "from 0 to below 1",
                );
                Some(Schedule::Cosine(cosine))
            }
        });
    }
    if let Some(entry) = table.take("keep") {
        match entry.item.as_table() {
            Some(t) if t.get("best").is_some() => faults.not_yet(entry.key, "keeping the best checkpoint (keep.best)"),
            Some(t) => {
                drive.keep = settings::deserialise(t, entry.key, "keep", faults);
                if let Some(keep) = &drive.keep {
                    settings::SettingFaults::new(t, entry.key, faults).require(keep.last > 0, "last", "from 1");
                }
            }
            None => {
                faults.add("wrong-type", entry.item.at, "`keep` is a table: { last = 2 }");
            }
        }
    }
    if let Some(entry) = table.take("weights") {
        drive.weights = read_weights(&entry.item, models, faults);
    }
    if let Some(settings) = settings::deserialise::<StageSettings>(table, at, "stage", faults) {
        let mut f = settings::SettingFaults::new(table, at, faults);
        f.require(settings.epochs != Some(0), "epochs", "from 1");
        f.require(settings.batch != Some(0), "batch", "from 1");
        f.require(settings.world != Some(0), "world", "from 1");
        if let (Some(batch), Some(world)) = (settings.batch, settings.world) {
            f.require(world == 0 || batch % world == 0, "world", "the batch must be a multiple of the world: its parts are equal");
        }
        if settings.batch_norm == Some(BatchNorm::PerRank) && settings.world.unwrap_or(1) > 1 {
            faults.not_yet(table.get("batch_norm").map_or(at, |i| i.at), "batch norm for each part of the world (per_rank)");
        }
        for name in &settings.frozen {
            if !models.contains(name) {
                let at = table.get("frozen").map_or(at, |i| i.at);
                faults.add("unknown-model", at, format!("there is no model `{name}`")).nearest(name, models.iter().map(String::as_str));
            }
        }
        drive.settings = settings;
    }
    drive
}

/// A table with a `kind` of a short list.
fn tagged<T>(
    item: &Item,
    what: &str,
    kinds: &[&str],
    faults: &mut Faults,
    read: impl FnOnce(&str, &Table, At, &mut Faults) -> Option<T>,
) -> Option<T> {
    let Some(table) = item.as_table() else {
        faults.add("wrong-type", item.at, format!("`{what}` is a table with a `kind`"));
        return None;
    };
    let mut table = table.clone();
    let Some(kind) = table.take("kind") else {
        faults.add("missing-setting", item.at, format!("`{what}` needs a `kind`: {}", kinds.join(", ")));
        return None;
    };
    let name = kind.item.as_str().unwrap_or_default().to_string();
    if !kinds.contains(&name.as_str()) {
        faults.add("unknown-kind", kind.item.at, format!("there is no {what} `{name}`")).nearest(&name, kinds.iter().copied());
        return None;
    }
    read(&name, &table, kind.item.at, faults)
}

fn read_weights(item: &Item, models: &[String], faults: &mut Faults) -> Vec<(String, Origin)> {
    let Some(table) = item.as_table() else {
        return read_origin(item, faults).map(|o| ("*".to_string(), o)).into_iter().collect();
    };
    let mut out = Vec::new();
    for (model, entry) in table.iter() {
        if model != "*" && !models.iter().any(|m| m == model) {
            faults
                .add("unknown-model", entry.key, format!("there is no model `{model}`"))
                .nearest(model, models.iter().map(String::as_str));
        }
        out.extend(read_origin(&entry.item, faults).map(|o| (model.to_string(), o)));
    }
    out
}

/// `"initial"`, a stage's name, or `{ stage, epoch }`.
fn read_origin(item: &Item, faults: &mut Faults) -> Option<Origin> {
    match &item.value {
        Value::String(s) if s == "initial" => Some(Origin::Initial),
        Value::String(s) => Some(Origin::Stage { stage: s.clone(), epoch: None }),
        Value::Table(t) if t.get("file").is_some() => {
            faults.not_yet(item.at, "weights from a file");
            None
        }
        Value::Table(t) if t.get("keep").is_some() => {
            faults.not_yet(item.at, "weights of the best checkpoint");
            None
        }
        Value::Table(t) => {
            #[derive(serde::Deserialize, schemars::JsonSchema)]
            #[serde(deny_unknown_fields)]
            struct FromStage {
                /// A stage that trains.
                stage: String,
                /// Completed epochs.
                epoch: Option<u64>,
            }
            let from: FromStage = settings::deserialise(t, item.at, "weights", faults)?;
            Some(Origin::Stage { stage: from.stage, epoch: from.epoch })
        }
        _ => {
            faults.add("wrong-type", item.at, "weights come from \"initial\", a stage's name, or { stage = \"...\", epoch = N }");
            None
        }
    }
}
