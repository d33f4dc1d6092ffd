//! Nodes as a table states them, and groups: a piece of graph declared once and applied like a model.

use crate::experiment::{is_name, kind_name, tables, text_list, Alias, Broken, Mode, ModelDecl, NodeDecl, NAME_BYTES, NODE_KEYS};
use crate::fault::{remove_help, Faults};
use crate::frame::{Frame, Spent};
use crate::inputs::{edges_of, given, inputs, loose, register_edges};
use crate::kind::{Entry, Library};
use crate::source::{At, Sources};
use crate::spelling;
use crate::tree::{Item, Table, Value};
use indexmap::IndexMap;
use std::sync::Arc;

pub struct Group {
    /// Nothing where they could not be read.
    pub(crate) inputs: Option<Vec<String>>,
    /// Output name and the edge behind it.
    outputs: Vec<(String, String, At)>,
    nodes: Vec<(String, At, Table)>,
    /// Names of nodes, those included that were told as no table.
    names: Vec<String>,
    /// Whether something about its outputs was told.
    broken: bool,
}

/// What names a node may use.
pub struct Scope<'a> {
    pub library: &'a Library,
    pub models: &'a IndexMap<String, ModelDecl>,
    /// Also of models with faults of their own, which are told once, there.
    pub model_names: &'a [String],
    pub groups: &'a IndexMap<String, Group>,
    pub group_names: &'a [String],
}

/// The nodes of a stage, groups expanded.
pub struct Expanded<'a> {
    pub nodes: Vec<NodeDecl>,
    pub broken: Vec<Broken>,
    pub aliases: Vec<Alias>,
    spent: &'a mut Spent,
}

impl Expanded<'_> {
    pub fn new(spent: &mut Spent) -> Expanded<'_> {
        Expanded { nodes: Vec::new(), broken: Vec::new(), aliases: Vec::new(), spent }
    }
}

pub fn read(tree: &Table, faults: &mut Faults) -> IndexMap<String, Group> {
    let mut groups = IndexMap::new();
    for (name, at, table) in tables(tree, "groups", faults) {
        let before = faults.told();
        let inputs: Vec<String> = match table.get("in") {
            Some(item) => text_list(item, "in", faults).into_iter().map(|(n, _)| n).collect(),
            None => Vec::new(),
        };
        let known_inputs = faults.told() == before;
        let mut outputs = Vec::new();
        match table.get("out").map(|i| (&i.value, i.at)) {
            Some((Value::Table(t), _)) => {
                for (port, entry) in t.iter() {
                    match entry.item.as_str() {
                        Some(edge) if edge.rsplit_once('.').is_some() => outputs.push((port.to_string(), edge.to_string(), entry.item.at)),
                        Some(edge) => {
                            faults.add("bad-edge", entry.item.at, format!("`{edge}` names no output: an edge is written \"node.port\""));
                        }
                        None => {
                            faults.add("wrong-type", entry.item.at, format!("the output `{port}` takes an edge, \"node.port\""));
                        }
                    }
                }
            }
            Some((_, at)) => {
                faults.add("wrong-type", at, "the `out` of a group takes a table: { clips = \"normal.clips\" }");
            }
            None => {
                faults.add("missing-setting", at, format!("the group `{name}` needs `out`"));
            }
        }
        let broken = faults.told() > before;
        for (key, entry) in table.iter() {
            if !spelling::GROUP_KEYS.contains(&key) {
                faults.add("unknown-key", entry.key, format!("a group has no `{key}`")).nearest(key, spelling::GROUP_KEYS.iter().copied());
            }
        }
        let nodes = tables(&table, "nodes", faults);
        let inputs = known_inputs.then_some(inputs);
        if let Some(inputs) = &inputs {
            let edges = nodes.iter().flat_map(|(_, _, t)| ["in", "write", "initial"].map(|k| t.get(k))).flatten().flat_map(edges_of);
            for (edge, at) in edges.chain(outputs.iter().map(|(_, e, at)| (e.as_str(), *at))) {
                let Some(port) = edge.strip_prefix("in.").map(|p| p.split('[').next().unwrap_or(p)) else { continue };
                if !inputs.iter().any(|i| i == port) {
                    faults
                        .add("unknown-input", at, format!("the group `{name}` has no input `{port}`"))
                        .nearest(port, inputs.iter().map(String::as_str));
                }
            }
        }
        let names = table.get("nodes").and_then(Item::as_table).map(|t| t.keys().map(String::from).collect()).unwrap_or_default();
        groups.insert(name, Group { inputs, outputs, nodes, names, broken });
    }
    groups
}

/// A group that nothing applies is a fault, as a model is; an inherited one, a note.
pub fn check_used(tree: &Table, groups: &IndexMap<String, Group>, sources: &Sources, faults: &mut Faults) {
    let stages = tree.get("stages").and_then(Item::as_table).into_iter().flat_map(Table::iter);
    let stage_nodes = stages.filter_map(|(_, e)| e.item.as_table()?.get("nodes")?.as_table()).flat_map(Table::iter);
    let group_nodes = groups.values().flat_map(|g| g.nodes.iter().map(|(_, _, t)| t));
    let nodes = stage_nodes.filter_map(|(_, e)| e.item.as_table()).chain(group_nodes);
    let applied: Vec<&str> = nodes.filter_map(|t| t.get("apply")?.as_str()).collect();
    for (name, entry) in tree.get("groups").and_then(Item::as_table).into_iter().flat_map(Table::iter) {
        if !applied.contains(&name) {
            let message = format!("no node applies the group `{name}`");
            match sources.is_inherited(entry.key) {
                true => faults.note("unused", entry.key, message).help(remove_help("groups", name)),
                false => faults.add("unused", entry.key, message).help("apply it, or remove it"),
            }
        }
    }
}

impl Scope<'_> {
    /// Reads one node of a stage; the nodes of a group where it applies one.
    pub fn expand(&self, path: &str, at: At, table: Table, out: &mut Expanded, faults: &mut Faults) {
        self.expand_in(path, at, table, &Frame::default(), out, faults);
    }

    fn expand_in(&self, path: &str, at: At, mut table: Table, frame: &Frame, out: &mut Expanded, faults: &mut Faults) {
        if let Err(message) = out.spent.node(&table, frame) {
            faults.stop("too-many", at, message);
        }
        if faults.stopped() {
            return;
        }
        if path.len() > NAME_BYTES {
            faults.add(
                "bad-name",
                at,
                format!("the node's path has {} bytes with its groups; at most {NAME_BYTES} are allowed", path.len()),
            );
            return out.broken.push(Broken::at(path, at));
        }
        let taken = |table: &mut Table, key: &str| table.take(key).map(|e| (e.key, e.item));
        let (write, initial) = (taken(&mut table, "write"), taken(&mut table, "initial"));
        let passes = taken(&mut table, "passes");
        let input = table.take("in").map(|e| e.item);
        let mut after = frame.after.clone();
        let before = faults.told();
        if let Some(entry) = table.take("after") {
            after.extend(text_list(&entry.item, "after", faults).into_iter().map(|(n, at)| (frame.node(&n), at)));
        }
        let after_read = faults.told() == before;
        let mode = table.take("mode");
        let mode_at = mode.as_ref().map(|e| e.key);
        let mode = mode.and_then(|e| match e.item.as_str() {
            Some("train") => Some(Mode::Train),
            Some("eval") => Some(Mode::Eval),
            _ => {
                faults.add("wrong-type", e.item.at, "`mode` takes \"train\" or \"eval\"");
                None
            }
        });
        let mut broken = Broken { after: after.clone(), ..Broken::at(path, at) };
        match (table.take("kind").map(|e| e.item), table.take("apply").map(|e| (e.key, e.item))) {
            (Some(kind), None) => {
                for at in mode_at.into_iter().chain(passes.as_ref().map(|(at, _)| *at)) {
                    let key = if Some(at) == mode_at { "mode" } else { "passes" };
                    faults.add("unknown-setting", at, format!("`{key}` is a setting of nodes that apply a model"));
                }
                let entry = self.node_kind(&kind, faults);
                let Some(entry) = entry else {
                    broken.inputs = loose(input.as_ref(), frame);
                    return out.broken.push(broken);
                };
                let names = match entry.state {
                    Some(_) => table.take("names").map(|e| text_list(&e.item, "names", faults)).unwrap_or_default(),
                    None => Vec::new(),
                };
                let names = names.into_iter().map(|(n, _)| n).collect();
                let inputs = inputs(entry, input, frame, faults);
                let (writes, whole_writes) = register_edges(entry, "write", entry.writes, write, frame, faults);
                let (initial, whole_initial) = register_edges(entry, "initial", entry.initial, initial, frame, faults);
                let kind = (entry.build)(&table, at, faults);
                match (kind, inputs) {
                    (Some(kind), (inputs, true)) if after_read && whole_writes && whole_initial => {
                        let (kind, path) = (kind.into(), path.to_string());
                        let (model, mode, passes) = (None, None, None);
                        out.nodes.push(NodeDecl {
                            path,
                            at,
                            entry,
                            kind,
                            model,
                            inputs,
                            writes,
                            initial,
                            names,
                            after,
                            mode,
                            passes,
                            table,
                        });
                    }
                    (_, (inputs, whole)) => {
                        let state = writes.into_iter().chain(initial).collect();
                        out.broken.push(Broken { entry: whole.then_some(entry), inputs, state, ..broken });
                    }
                }
            }
            (None, Some((_, apply))) => {
                let Some(name) = kind_name(&apply, "apply", faults) else {
                    broken.inputs = loose(input.as_ref(), frame);
                    return out.broken.push(broken);
                };
                for (key, at) in [("write", &write), ("initial", &initial)].into_iter().filter_map(|(k, e)| Some((k, e.as_ref()?.0))) {
                    faults.add("unknown-setting", at, format!("`{key}` is a setting of registers (kinds of the family `memory`)"));
                }
                for (key, entry) in table.iter() {
                    faults
                        .add("unknown-setting", entry.key, format!("a node that applies `{name}` has no setting `{key}`"))
                        .help("write settings where the model or group is declared");
                }
                let known = self.model_names.iter().any(|n| n == name);
                broken.model = known.then(|| name.to_string());
                if !self.groups.contains_key(name) {
                    broken.inputs = loose(input.as_ref(), frame);
                }
                if known && self.group_names.iter().any(|g| g == name) {
                    // told where the group is declared
                    out.broken.push(broken);
                } else if let Some(model) = self.models.get(name) {
                    let (entry, kind) = (model.entry, Arc::clone(&model.kind));
                    let (inputs, whole) = inputs(entry, input, frame, faults);
                    let before = faults.told();
                    let passes = passes.and_then(|(_, item)| kind_name(&item, "passes", faults).map(|p| (p.to_string(), item.at)));
                    if whole && after_read && faults.told() == before {
                        let (model, path) = (Some(name.to_string()), path.to_string());
                        let (writes, initial, names) = (Vec::new(), Vec::new(), Vec::new());
                        out.nodes.push(NodeDecl {
                            path,
                            at,
                            entry,
                            kind,
                            model,
                            inputs,
                            writes,
                            initial,
                            names,
                            after,
                            mode,
                            passes,
                            table,
                        });
                    } else {
                        out.broken.push(Broken { inputs, ..broken });
                    }
                } else if let Some(group) = self.groups.get(name) {
                    for at in mode_at.into_iter().chain(passes.as_ref().map(|(at, _)| *at)) {
                        let key = if Some(at) == mode_at { "mode" } else { "passes" };
                        faults.add("unknown-setting", at, format!("`{key}` is a setting of nodes that apply a model"));
                    }
                    if frame.is_in(name) {
                        faults.add("group-cycle", apply.at, format!("the group `{name}` applies itself"));
                        return out.broken.push(broken);
                    }
                    let given = given(path, at, name, group, input, frame, faults);
                    let inner = Frame { group: Some((name, &group.names, &given)), path, after, outer: Some(frame) };
                    self.apply(group, &inner, out, faults);
                } else {
                    if !self.model_names.iter().chain(self.group_names).any(|n| n == name) {
                        let known = self.model_names.iter().chain(self.group_names).map(String::as_str);
                        faults.add("unknown-model", apply.at, format!("there is no model or group `{name}`")).nearest(name, known);
                    }
                    out.broken.push(broken);
                }
            }
            (Some(_), Some((key, _))) => {
                faults.add("kind-and-apply", key, "a node has a `kind` or an `apply`, not both");
                broken.inputs = loose(input.as_ref(), frame);
                out.broken.push(broken);
            }
            (None, None) => {
                let near = table.keys().find(|k| crate::fault::nearest(k, NODE_KEYS).is_some()).map(String::from);
                let fault = faults.add("missing-setting", at, format!("the node `{path}` needs a `kind`, or a model or group to `apply`"));
                if let Some(near) = near {
                    fault.nearest(&near, NODE_KEYS.iter().copied());
                }
                broken.inputs = loose(input.as_ref(), frame);
                out.broken.push(broken);
            }
        }
    }

    fn node_kind(&self, kind: &Item, faults: &mut Faults) -> Option<&'static Entry> {
        let name = kind_name(kind, "kind", faults)?;
        let Some(entry) = self.library.get(name) else {
            let known = self.library.entries().filter(|e| e.sketch.is_none()).map(|e| e.name);
            let fault = faults.add("unknown-kind", kind.at, format!("there is no kind `{name}`"));
            match self.model_names.iter().chain(self.group_names).any(|n| n == name) {
                true => fault.help(format!("use a model or group with apply = \"{name}\"")),
                false => fault.nearest(name, known),
            }
            return None;
        };
        if entry.sketch.is_some() {
            faults
                .add("model-as-node", kind.at, format!("`{name}` owns parameters, so it is a model and not a node"))
                .help("declare it under [models.NAME], and use it with apply = \"NAME\"");
            return None;
        }
        Some(entry)
    }

    fn apply(&self, group: &Group, frame: &Frame, out: &mut Expanded, faults: &mut Faults) {
        let path = frame.path;
        for name in &group.names {
            let inner = format!("{path}/{name}");
            match group.nodes.iter().find(|(n, _, _)| n == name) {
                Some((_, at, table)) if is_name(name) => self.expand_in(&inner, *at, table.clone(), frame, out, faults),
                _ => out.broken.push(Broken::at(&inner, At::default())),
            }
            if faults.stopped() {
                return;
            }
        }
        let mut broken = group.broken;
        for (port, edge, at) in &group.outputs {
            match frame.edge(edge, *at) {
                Some((to, at)) => out.aliases.push(Alias { node: path.to_string(), port: port.clone(), to, at }),
                None => broken = true,
            }
        }
        if broken {
            out.broken.push(Broken::at(path, At::default()));
        }
    }
}
