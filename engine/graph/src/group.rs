//! Nodes as a table states them, and groups: a piece of graph declared once and applied like a model.

use crate::experiment::{is_name, tables, text_list, InputDecl, Mode, ModelDecl, NodeDecl, NODE_KEYS};
use crate::fault::Faults;
use crate::kind::{Entry, Library};
use crate::source::At;
use crate::tree::{Item, Table, Value};
use indexmap::IndexMap;
use std::sync::Arc;

pub struct Group {
    inputs: Vec<String>,
    /// Output name and the edge behind it.
    outputs: Vec<(String, String, At)>,
    nodes: Vec<(String, At, Table)>,
}

/// What names a node may use.
pub struct Scope<'a> {
    pub library: &'a Library,
    pub models: &'a IndexMap<String, ModelDecl>,
    /// Also of models with faults of their own, which are told once, there.
    pub model_names: &'a [String],
    pub groups: &'a IndexMap<String, Group>,
}

pub fn read(tree: &Table, _library: &Library, faults: &mut Faults) -> IndexMap<String, Group> {
    let mut groups = IndexMap::new();
    for (name, at, table) in tables(tree, "groups", faults) {
        let mut outputs = Vec::new();
        match table.get("out").map(|i| (&i.value, i.at)) {
            Some((Value::Table(t), _)) => {
                for (port, entry) in t.iter() {
                    match entry.item.as_str() {
                        Some(edge) => outputs.push((port.to_string(), edge.to_string(), entry.item.at)),
                        None => {
                            faults.add("wrong-type", entry.item.at, format!("the output `{port}` is an edge, \"node.port\""));
                        }
                    }
                }
            }
            Some((_, at)) => {
                faults.add("wrong-type", at, "a group's `out` is a table: { clips = \"normal.clips\" }");
            }
            None => {
                faults.add("missing-setting", at, format!("the group `{name}` needs `out`"));
            }
        }
        for (key, entry) in table.iter() {
            if !["in", "out", "nodes"].contains(&key) {
                faults.add("unknown-key", entry.key, format!("a group has no `{key}`")).nearest(key, ["in", "out", "nodes"]);
            }
        }
        let inputs = table.get("in").map(|i| text_list(i, "in", faults)).unwrap_or_default();
        let nodes = tables(&table, "nodes", faults);
        groups.insert(name, Group { inputs: inputs.into_iter().map(|(n, _)| n).collect(), outputs, nodes });
    }
    groups
}

/// What the nodes of a stage expand to.
#[derive(Default)]
pub struct Pieces {
    pub nodes: Vec<NodeDecl>,
    /// A group's output and the output behind it.
    pub aliases: Vec<((String, String), (String, String))>,
    /// Edges and `after` of nodes that could not be built: their faults are told all the same.
    pub loose: Vec<(String, At)>,
    pub loose_after: Vec<(String, At)>,
}

/// All edges of an `in`, whatever its form.
fn edge_texts(item: &Item) -> Vec<(String, At)> {
    match &item.value {
        Value::String(s) => vec![(s.clone(), item.at)],
        Value::Table(t) => t.iter().flat_map(|(_, e)| edge_texts(&e.item)).collect(),
        Value::Array(a) => a.iter().flat_map(edge_texts).collect(),
        _ => Vec::new(),
    }
}

impl Scope<'_> {
    /// Reads one node of a stage; the nodes of a group where it applies one.
    pub fn expand(&self, path: &str, at: At, table: Table, pieces: &mut Pieces, faults: &mut Faults) {
        self.expand_in(path, at, table, &|edge| edge, &mut Vec::new(), pieces, faults);
    }

    #[allow(clippy::too_many_arguments)]
    fn expand_in(
        &self,
        path: &str,
        at: At,
        mut table: Table,
        rename: &dyn Fn(String) -> String,
        open: &mut Vec<String>,
        pieces: &mut Pieces,
        faults: &mut Faults,
    ) {
        for (key, what) in [("write", "registers (write)"), ("initial", "initial edges"), ("passes", "one pass for each item (passes)")] {
            if let Some(entry) = table.take(key) {
                faults.not_yet(entry.key, what);
            }
        }
        let input = table.take("in").map(|e| e.item);
        let after: Vec<(String, At)> = table
            .take("after")
            .map(|e| text_list(&e.item, "after", faults))
            .unwrap_or_default()
            .into_iter()
            .map(|(n, at)| (rename(format!("{n}.")).trim_end_matches('.').to_string(), at))
            .collect();
        let mode = table.take("mode").and_then(|e| match e.item.as_str() {
            Some("train") => Some(Mode::Train),
            Some("eval") => Some(Mode::Eval),
            _ => {
                faults.add("wrong-type", e.item.at, "`mode` is \"train\" or \"eval\"");
                None
            }
        });
        let built = pieces.nodes.len();
        let groups = pieces.aliases.len();
        let loose: Vec<(String, At)> = input.iter().flat_map(edge_texts).map(|(edge, at)| (rename(edge), at)).collect();
        let loose_after = after.clone();
        self.expand_one(path, at, table, input, after, mode, rename, open, pieces, faults);
        if pieces.nodes.len() == built && pieces.aliases.len() == groups {
            pieces.loose.extend(loose);
            pieces.loose_after.extend(loose_after);
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn expand_one(
        &self,
        path: &str,
        at: At,
        mut table: Table,
        input: Option<Item>,
        after: Vec<(String, At)>,
        mode: Option<Mode>,
        rename: &dyn Fn(String) -> String,
        open: &mut Vec<String>,
        pieces: &mut Pieces,
        faults: &mut Faults,
    ) {
        match (table.take("kind"), table.take("apply")) {
            (Some(kind), None) => {
                let name = kind.item.as_str().unwrap_or_default();
                let Some(entry) = self.library.get(name) else {
                    let known = self.library.entries().filter(|e| e.parameters.is_none()).map(|e| e.name);
                    faults.add("unknown-kind", kind.item.at, format!("there is no kind `{name}`")).nearest(name, known);
                    return;
                };
                if entry.parameters.is_some() {
                    faults
                        .add("model-as-node", kind.item.at, format!("`{name}` owns parameters: declare it under [models.NAME]"))
                        .help("and use it with apply = \"NAME\"");
                    return;
                }
                if mode.is_some() {
                    faults.add("unknown-setting", at, "`mode` belongs to a node that applies a model");
                }
                let inputs = self.inputs(entry, input, rename, faults);
                let Some(kind) = (entry.build)(&table, at, faults) else { return };
                pieces.nodes.push(NodeDecl {
                    path: path.into(),
                    at,
                    entry,
                    kind: kind.into(),
                    model: None,
                    inputs,
                    after,
                    mode: None,
                    table,
                });
            }
            (None, Some(apply)) => {
                let name = apply.item.as_str().unwrap_or_default().to_string();
                if let Some(entry) = table.iter().next() {
                    faults
                        .add("unknown-setting", entry.1.key, format!("a node that applies `{name}` has no setting `{}`", entry.0))
                        .help("settings stand where the model or group is declared");
                }
                if let Some(model) = self.models.get(&name) {
                    let inputs = self.inputs(model.entry, input, rename, faults);
                    let kind = Arc::clone(&model.kind);
                    pieces.nodes.push(NodeDecl {
                        path: path.into(),
                        at,
                        entry: model.entry,
                        kind,
                        model: Some(name),
                        inputs,
                        after,
                        mode,
                        table,
                    });
                } else if let Some(group) = self.groups.get(&name) {
                    self.group(path, at, &name, apply.item.at, group, input, rename, open, pieces, faults);
                } else if !self.model_names.contains(&name) {
                    let known = self.model_names.iter().chain(self.groups.keys()).map(String::as_str);
                    faults.add("unknown-model", apply.item.at, format!("there is no model or group `{name}`")).nearest(&name, known);
                }
            }
            (Some(_), Some(apply)) => {
                faults.add("kind-and-apply", apply.key, "a node has a `kind` or applies a model or group, not both");
            }
            (None, None) => {
                let near = table.keys().find(|k| crate::fault::nearest(k, NODE_KEYS).is_some()).map(String::from);
                let fault = faults.add("missing-setting", at, format!("the node `{path}` needs a `kind`, or a model or group to `apply`"));
                if let Some(near) = near {
                    fault.nearest(&near, NODE_KEYS.iter().copied());
                }
            }
        }
    }

    /// `in` as a text, a table of texts, or an array of texts.
    fn inputs(&self, entry: &'static Entry, input: Option<Item>, rename: &dyn Fn(String) -> String, faults: &mut Faults) -> Vec<InputDecl> {
        let Some(item) = input else { return Vec::new() };
        let many = entry.inputs.iter().any(|i| i.many);
        let mut out = Vec::new();
        let mut push = |name: String, item: &Item, faults: &mut Faults| match item.as_str() {
            Some(edge) => out.push(InputDecl { name, edge: rename(edge.to_string()), at: item.at }),
            None => {
                faults.add("wrong-type", item.at, format!("an edge is a text, \"node.port\", not {}", item.type_name()));
            }
        };
        match &item.value {
            Value::String(_) => match entry.inputs.iter().find(|i| !i.optional) {
                Some(first) if !many => push(first.name.to_string(), &item, faults),
                Some(_) => push("0".into(), &item, faults),
                None => {
                    faults.add("no-inputs", item.at, format!("`{}` has no inputs", entry.name));
                }
            },
            Value::Table(t) => t.iter().for_each(|(name, e)| push(name.to_string(), &e.item, faults)),
            Value::Array(a) if many => a.iter().enumerate().for_each(|(i, item)| push(i.to_string(), item, faults)),
            _ => {
                faults.add("wrong-type", item.at, "`in` is an edge, \"node.port\", or a table of edges");
            }
        }
        out
    }

    #[allow(clippy::too_many_arguments)]
    fn group(
        &self,
        path: &str,
        at: At,
        name: &str,
        apply: At,
        group: &Group,
        input: Option<Item>,
        rename: &dyn Fn(String) -> String,
        open: &mut Vec<String>,
        pieces: &mut Pieces,
        faults: &mut Faults,
    ) {
        if open.iter().any(|g| g == name) {
            faults.add("group-cycle", apply, format!("the group `{name}` applies itself"));
            return;
        }
        let mut given: Vec<(String, String)> = Vec::new();
        match input.as_ref().map(|i| (&i.value, i.at)) {
            Some((Value::String(edge), at)) => match group.inputs.as_slice() {
                [only] => given.push((only.clone(), rename(edge.clone()))),
                _ => {
                    faults.add("missing-input", at, format!("the group `{name}` has the inputs {}: name them", group.inputs.join(", ")));
                }
            },
            Some((Value::Table(t), _)) => {
                for (port, entry) in t.iter() {
                    match entry.item.as_str() {
                        Some(edge) if group.inputs.iter().any(|i| i == port) => given.push((port.into(), rename(edge.into()))),
                        Some(_) => faults
                            .add("unknown-input", entry.key, format!("the group `{name}` has no input `{port}`"))
                            .nearest(port, group.inputs.iter().map(String::as_str)),
                        None => {
                            faults.add("wrong-type", entry.item.at, "an edge is a text, \"node.port\"");
                        }
                    }
                }
            }
            Some((_, at)) => {
                faults.add("wrong-type", at, "`in` is an edge, \"node.port\", or a table of edges");
            }
            None => {}
        }
        for port in &group.inputs {
            if !given.iter().any(|(p, _)| p == port) && (input.is_none() || group.inputs.len() > 1) {
                faults.add("missing-input", at, format!("`{path}`: the group `{name}` needs the input `{port}`"));
            }
        }
        let inner: Vec<&str> = group.nodes.iter().map(|(n, _, _)| n.as_str()).collect();
        let inside = |edge: String| -> String {
            if let Some(rest) = edge.strip_prefix("in.") {
                let (port, item) = rest.split_once('[').map_or((rest, None), |(p, i)| (p, Some(i)));
                if let Some((_, outer)) = given.iter().find(|(p, _)| p == port) {
                    return item.map_or_else(|| outer.clone(), |i| format!("{outer}[{i}"));
                }
                return edge;
            }
            let head = edge.split(['.', '/']).next().unwrap_or_default();
            if inner.contains(&head) {
                format!("{path}/{edge}")
            } else {
                edge
            }
        };
        open.push(name.to_string());
        for (node, at, table) in &group.nodes {
            if is_name(node) {
                self.expand_in(&format!("{path}/{node}"), *at, table.clone(), &inside, open, pieces, faults);
            }
        }
        open.pop();
        for (port, edge, at) in &group.outputs {
            let full = inside(edge.clone());
            match full.rsplit_once('.') {
                Some((node, of)) => pieces.aliases.push(((path.to_string(), port.clone()), (node.to_string(), of.to_string()))),
                None => {
                    faults.add("bad-edge", *at, format!("`{edge}` is no edge: \"node.port\""));
                }
            }
        }
    }
}
