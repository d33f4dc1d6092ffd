//! The JSON schema of graph files (draft 7) for editors: kinds, settings, ports, made from the same definitions as the check.
//!
//! It knows what may stand where, not what must: files extend each other, and so any table may be a part. Each table of
//! a node is one of the kinds' (`oneOf` by a constant `kind`), which is the form that editors of TOML complete from.

use crate::experiment::seed_schema;
use crate::kind::{Entry, Library};
use crate::merge::SCHEMA;
use crate::optimiser::{Adam, AdamW, Lars, Sgd};
use crate::ports::Field;
use crate::range::INFINITY;
use crate::stage::*;
use anyhow::{bail, Result};
use schemars::JsonSchema;
use serde_json::{json, Map, Value};

/// The whole schema: `schema/graph.json`. An error names settings of two kinds that cannot stand in one schema.
pub fn schema(library: &Library) -> Result<Value> {
    let mut definitions = Definitions::default();
    let (models, nodes): (Vec<&Entry>, Vec<&Entry>) = library.entries().partition(|e| e.sketch.is_some());
    let mut models: Vec<Value> = models.into_iter().map(|e| definitions.kind(e, model_keys())).collect();
    models.extend([average(&mut definitions), part(&["kind", "ema_of"])]);
    let mut nodes: Vec<Value> = nodes.into_iter().map(|e| definitions.kind(e, node_keys(e))).collect();
    nodes.extend([applied(), part(&["kind", "apply"])]);
    let stage = stage(&mut definitions);
    if let Some((name, kind)) = definitions.twice {
        bail!("two types of settings are called `{name}`, one of them in `{kind}`: give the type another name in its code");
    }
    let mut all = definitions.all;
    all.insert("value".into(), json!({ "type": "string", "pattern": "^\\$", "description": "The value of that name in [values]." }));
    all.insert(
        "edge".into(),
        json!({ "type": "string", "description": "node.port, node.port[item], or stage/node.port of an earlier stage." }),
    );
    all.insert("edges".into(), json!({ "type": "object", "additionalProperties": { "$ref": "#/definitions/edge" } }));
    all.insert("texts".into(), texts("A string, or an array of strings."));
    all.insert("model".into(), json!({ "oneOf": models }));
    all.insert("node".into(), json!({ "oneOf": nodes }));
    all.insert("nodes".into(), named("node", "Nodes by name."));
    all.insert("group".into(), group());
    all.insert("stage".into(), stage);
    Ok(json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A dv experiment",
        "description": "Made by `dv nodes --format schema`; a test compares it with the library.",
        "type": "object",
        "additionalProperties": false,
        "properties": top(),
        "definitions": all,
    }))
}

fn texts(doc: &str) -> Value {
    json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }], "description": doc })
}

/// Tables by names that the graph chooses.
fn named(definition: &str, doc: &str) -> Value {
    json!({
        "type": "object",
        "description": doc,
        "propertyNames": { "pattern": "^[a-z0-9_]+$" },
        "additionalProperties": { "$ref": format!("#/definitions/{definition}") },
    })
}

fn top() -> Value {
    json!({
        "schema": { "type": "integer", "minimum": 1, "maximum": SCHEMA, "description": "The version of the language." },
        "name": { "type": "string", "pattern": "^[a-z0-9_]+$", "description": "The experiment's name: its run goes to runs/NAME." },
        "about": { "type": "string", "description": "What it is, in a line." },
        "seed": seed_schema(),
        "extends": texts("Files that this one extends, relative to it; tables merge, own keys win."),
        "remove": texts("Keys to remove from what is extended."),
        "values": { "type": "object", "description": "What several nodes share, used as \"$name\"." },
        "models": named("model", "What owns parameters; nodes apply it."),
        "groups": named("group", "A piece of graph, declared once and applied like a model."),
        "stages": named("stage", "What runs."),
        "published": { "type": "object", "description": "What the paper says, by stage/node.port." },
        "sweep": { "type": "object", "description": "A grid: a quoted path with values, or a table of named arms." },
    })
}

/// What any table may have.
fn merging() -> Map<String, Value> {
    let extends = texts("Tables beside this one that it extends.");
    let remove = texts("Keys to remove from what is extended.");
    [("extends".to_string(), extends), ("remove".to_string(), remove)].into_iter().collect()
}

fn model_keys() -> Map<String, Value> {
    let mut keys = merging();
    keys.insert("names".into(), texts("The model's path in the reference's state dict, or one path a layer."));
    keys
}

fn average(definitions: &mut Definitions) -> Value {
    let mut keys = model_keys();
    keys.insert("ema_of".into(), json!({ "type": "string", "description": "The model that this one averages." }));
    let schedule = definitions.tagged(&[("cosine", of::<CosineMomentum>())]);
    keys.insert(
        "momentum".into(),
        json!({ "anyOf": [momentum_schema(), { "$ref": "#/definitions/value" }, schedule], "description": "A number, or a schedule." }),
    );
    object(keys, &["ema_of"])
}

/// A part of a table of which the rest stands in what is extended: it does not say of what sort it is.
fn part(sorts: &[&str]) -> Value {
    json!({ "type": "object", "not": { "anyOf": sorts.iter().map(|key| json!({ "required": [key] })).collect::<Vec<_>>() } })
}

fn object(properties: Map<String, Value>, required: &[&str]) -> Value {
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn after() -> Value {
    texts("Nodes that run before this one, although it reads none of them.")
}

fn node_keys(entry: &Entry) -> Map<String, Value> {
    let mut keys = merging();
    keys.insert("after".into(), after());
    let draws = entry.outputs.iter().filter(|o| o.draw).map(|o| (o.name, format!("Reuses a draw: {}", o.doc)));
    let inputs = ports(entry.inputs, draws);
    if let Some(inputs) = inputs {
        keys.insert("in".into(), inputs);
    }
    if entry.state.is_some() {
        keys.insert("names".into(), texts("Paths of its tensors in the reference's state dict."));
        keys.extend(ports(entry.writes, [].into_iter()).map(|p| ("write".to_string(), p)));
        keys.extend(ports(entry.initial, [].into_iter()).map(|p| ("initial".to_string(), p)));
    }
    keys
}

/// An edge for the first input, a table of edges by the inputs' names, or an array where the names are free.
fn ports(inputs: &[Field], draws: impl Iterator<Item = (&'static str, String)>) -> Option<Value> {
    let mut named: Map<String, Value> = Map::new();
    let edge = |doc: String| json!({ "allOf": [{ "$ref": "#/definitions/edge" }], "description": doc });
    for input in inputs.iter().filter(|i| !i.many()) {
        named.insert(input.name.into(), edge(input.doc.to_string()));
    }
    for (name, doc) in draws {
        named.insert(name.into(), edge(doc));
    }
    let many = inputs.iter().find(|i| i.many());
    if named.is_empty() && many.is_none() {
        return None;
    }
    let free = many.map_or(json!(false), |i| edge(i.doc.to_string()));
    let mut forms =
        vec![json!({ "$ref": "#/definitions/edge" }), json!({ "type": "object", "properties": named, "additionalProperties": free })];
    if many.is_some() {
        forms.push(json!({ "type": "array", "items": { "$ref": "#/definitions/edge" } }));
    }
    Some(json!({ "anyOf": forms }))
}

/// A node that applies a model or group.
fn applied() -> Value {
    let mut keys = merging();
    keys.insert("after".into(), after());
    keys.insert("apply".into(), json!({ "type": "string", "description": "A model or group." }));
    keys.insert("in".into(), json!({ "anyOf": [{ "$ref": "#/definitions/edge" }, { "$ref": "#/definitions/edges" }] }));
    keys.insert("mode".into(), json!({ "enum": ["train", "eval"], "description": "Of a model: batch statistics and dropout, or not." }));
    keys.insert("passes".into(), json!({ "type": "string", "description": "An item axis: one pass for each of its items." }));
    object(keys, &["apply"])
}

fn group() -> Value {
    let mut keys = merging();
    keys.insert("in".into(), texts("Its inputs' names; its nodes read them as in.NAME."));
    keys.insert("out".into(), json!({ "$ref": "#/definitions/edges" }));
    keys.insert("nodes".into(), json!({ "$ref": "#/definitions/nodes" }));
    object(keys, &[])
}

fn stage(definitions: &mut Definitions) -> Value {
    let mut keys = merging();
    keys.extend(definitions.settings(of::<StageSettings>()));
    let optimisers = optimisers();
    keys.insert("optimiser".into(), definitions.tagged(&optimisers));
    keys.insert("schedule".into(), definitions.tagged(&schedules()));
    // of any optimiser: which one, the stage says
    let mut group = Map::new();
    for (_, schema) in optimisers.iter().rev() {
        group.extend(definitions.settings(schema.clone()));
    }
    group.insert("match".into(), texts("Paths model/parameter, where * matches any characters; :norm and :bias select these roles."));
    keys.insert("parameters".into(), json!({ "type": "object", "additionalProperties": object(group, &[]), "description": "Settings of the optimiser for some of the parameters." }));
    for (key, schema) in [("keep", of::<Keep>()), ("during", of::<During>())] {
        let doc = schema["description"].clone();
        let mut table = object(definitions.settings(schema), &[]);
        table["description"] = doc;
        keys.insert(key.into(), table);
    }
    let origin = json!({ "anyOf": [{ "type": "string" }, {
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "stage": { "type": "string", "description": "A stage that trains." },
            "epoch": { "type": "integer", "minimum": 1, "maximum": EPOCHS, "description": "Completed epochs." },
            "keep": { "enum": ["best"], "description": "The checkpoint that the stage's keep.best chose." },
            "file": { "type": "string", "description": "A safetensors file, relative to the graph file." },
            "names": texts("What the file calls the model."),
        },
    }] });
    keys.insert(
        "weights".into(),
        json!({
            "description": "Where values come from: \"initial\", a stage, or by model (\"*\": the others).",
            "anyOf": [origin.clone(), { "type": "object", "additionalProperties": origin }],
        }),
    );
    keys.insert("nodes".into(), json!({ "$ref": "#/definitions/nodes" }));
    object(keys, &[])
}

fn optimisers() -> Vec<(&'static str, Value)> {
    vec![("sgd", of::<Sgd>()), ("adam", of::<Adam>()), ("adamw", of::<AdamW>()), ("lars", of::<Lars>())]
}

fn schedules() -> Vec<(&'static str, Value)> {
    vec![("constant", of::<Constant>()), ("steps", of::<Steps>()), ("cosine", of::<Cosine>()), ("plateau", of::<Plateau>())]
}

fn of<T: JsonSchema>() -> Value {
    let settings = schemars::generate::SchemaSettings::draft07();
    serde_json::to_value(settings.into_generator().into_root_schema_for::<T>()).unwrap_or_default()
}

/// Definitions that settings refer to, under names of their own.
#[derive(Default)]
struct Definitions {
    all: Map<String, Value>,
    /// Whose settings are read.
    of: String,
    /// A name that two types have, and where the second was met.
    twice: Option<(String, String)>,
}

impl Definitions {
    /// A table of one kind.
    fn kind(&mut self, entry: &Entry, keys: Map<String, Value>) -> Value {
        self.table(entry.name, serde_json::to_value((entry.schema)()).unwrap_or_default(), keys)
    }

    /// One of several tables, told apart by `kind`.
    fn tagged(&mut self, kinds: &[(&str, Value)]) -> Value {
        let mut tables: Vec<Value> = kinds.iter().map(|(name, schema)| self.table(name, schema.clone(), merging())).collect();
        tables.push(part(&["kind"]));
        json!({ "oneOf": tables })
    }

    fn table(&mut self, name: &str, schema: Value, mut keys: Map<String, Value>) -> Value {
        self.of = name.to_string();
        let doc = schema["description"].clone();
        let kind = json!({ "const": name, "description": doc });
        keys.insert("kind".into(), kind);
        keys.extend(self.settings(schema));
        let mut table = object(keys, &["kind"]);
        table["description"] = doc;
        table
    }

    /// A schema's properties, each of which may also be a value's name.
    fn settings(&mut self, schema: Value) -> Map<String, Value> {
        for key in ["definitions", "$defs"] {
            for (name, definition) in schema[key].as_object().into_iter().flatten() {
                let definition = draft7(definition.clone());
                if self.all.get(name).is_some_and(|known| *known != definition) {
                    self.twice.get_or_insert_with(|| (name.clone(), self.of.clone()));
                }
                self.all.insert(name.clone(), definition);
            }
        }
        let properties = schema["properties"].as_object().cloned().unwrap_or_default();
        properties.into_iter().map(|(name, setting)| (name, or_value(draft7(setting)))).collect()
    }
}

/// A setting, its elements included, or `"$name"`.
fn or_value(mut schema: Value) -> Value {
    let doc = schema.as_object_mut().and_then(|s| s.remove("description"));
    for key in ["items", "additionalProperties"] {
        if schema.get(key).is_some_and(Value::is_object) {
            schema[key] = or_value(schema[key].take());
        }
    }
    let mut out = json!({ "anyOf": [schema, { "$ref": "#/definitions/value" }] });
    if let Some(doc) = doc {
        out["description"] = doc;
    }
    out
}

/// Later drafts' keywords in the words of draft 7.
fn draft7(schema: Value) -> Value {
    match schema {
        Value::Object(map) => {
            let (tuple, infinity) = (map.contains_key("prefixItems"), map.contains_key(INFINITY));
            let entry = |(key, value): (String, Value)| match (key.as_str(), value) {
                ("prefixItems", items) => Some(("items".to_string(), draft7(items))),
                ("items", _) if tuple => None,
                // formats of Rust's numbers, unknown to editors
                ("format", _) => None,
                // JSON cannot say `inf`: beside it, a greatest number would forbid it
                ("maximum", _) if infinity => None,
                ("$ref", Value::String(to)) => Some((key, json!(to.replace("#/$defs/", "#/definitions/")))),
                (_, value) => Some((key, draft7(value))),
            };
            Value::Object(map.into_iter().filter_map(entry).collect())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(draft7).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_optimiser_and_schedule_is_described() {
        use crate::drive::{MOMENTA, OPTIMISERS, SCHEDULES};
        let described = |list: Vec<(&'static str, Value)>| list.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(described(optimisers()), OPTIMISERS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        assert_eq!(described(schedules()), SCHEDULES.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        assert_eq!(MOMENTA.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["cosine"]);
    }

    /// The kinds' own are in the contract of `dv-nodes`.
    #[test]
    fn every_number_of_the_language_has_bounds() {
        let found = crate::range::unbounded(&schema(&Library::new([])).unwrap());
        // a seed has all bits that TOML gives
        assert_eq!(found, ["/seed: an integer beyond 2^31"]);
    }

    #[test]
    fn tuples_and_references_are_those_of_draft_7() {
        let new = json!({ "prefixItems": [{ "type": "number", "format": "double" }], "items": false, "x": { "$ref": "#/$defs/A" } });
        assert_eq!(draft7(new), json!({ "items": [{ "type": "number" }], "x": { "$ref": "#/definitions/A" } }));
    }
}
