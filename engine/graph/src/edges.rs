//! Edges: from the text `node.port[item]` to the node and output behind it, and an order in which to run.

use crate::budget::DEPTH;
use crate::experiment::{Experiment, InputDecl, NodeDecl, StageDecl};
use crate::fault::{unmeant, Faults};
use crate::kind::Entry;
use crate::ports::Field;
use crate::source::At;
use petgraph::graph::{DiGraph, NodeIndex};

#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    Node { node: usize, port: usize },
    Stage { stage: String, node: String, port: String },
}

/// What an edge is to the node at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Read,
    /// Of a register: read in the first step, before its output.
    Initial,
    /// Of a register: applied when the step is over, and so no cycle.
    Write,
}

#[derive(Clone, Debug)]
pub struct Edge {
    pub role: Role,
    pub input: String,
    pub target: Target,
    pub item: Option<String>,
    pub at: At,
}

impl Edge {
    /// The node of the same stage from which it comes.
    pub fn node(&self) -> Option<usize> {
        match self.target {
            Target::Node { node, .. } => Some(node),
            Target::Stage { .. } => None,
        }
    }
}

/// Follows one edge's text. Tells a fault and gives nothing when it leads nowhere.
pub fn follow(experiment: &Experiment, stage: &StageDecl, text: &str, at: At, faults: &mut Faults) -> Option<(Target, Option<String>)> {
    let all = stage.aliases.len() + experiment.stages.values().map(|s| s.aliases.len()).sum::<usize>();
    let mut hops = all.min(DEPTH);
    follow_from(experiment, stage, text, at, &mut hops, faults)
}

/// `hops` bounds how many groups' outputs an edge may lead through: beyond, it leads in a circle.
fn follow_from(
    experiment: &Experiment,
    stage: &StageDecl,
    text: &str,
    at: At,
    hops: &mut usize,
    faults: &mut Faults,
) -> Option<(Target, Option<String>)> {
    let (mut text, mut at) = (text, at);
    let (mut node, mut port, mut item) = split(stage, text, at, faults)?;
    while let Some(alias) = stage.alias(node, port) {
        (text, at) = (&alias.to, alias.at);
        if *hops == 0 {
            let circle = format!("`{text}` leads back to itself through the outputs of groups");
            let long = stage.aliases.len() > DEPTH;
            faults.add("cycle", at, if long { format!("{circle}, or through those of more than {DEPTH} groups") } else { circle });
            return None;
        }
        *hops -= 1;
        let (inner_node, inner_port, inner_item) = split(stage, text, at, faults)?;
        if item.is_some() && inner_item.is_some() {
            faults.add(
                "bad-edge",
                at,
                format!("`{text}` takes an item, and a reader of the group's output takes another: remove one of the two"),
            );
            return None;
        }
        (node, port, item) = (inner_node, inner_port, item.or(inner_item));
    }
    if let Some(i) = stage.index.node(node) {
        let entry = stage.nodes[i].entry;
        let Some(p) = entry.output(port) else {
            faults
                .add("unknown-port", at, format!("`{node}` ({}) has no output `{port}`", entry.name))
                .nearest(port, entry.outputs.iter().map(|o| o.name));
            return None;
        };
        return Some((Target::Node { node: i, port: p }, item));
    }
    if stage.index.is_broken(node) {
        return None;
    }
    let ports: Vec<&str> = stage.index.aliases(node).iter().map(|i| stage.aliases[*i].port.as_str()).collect();
    if !ports.is_empty() {
        faults.add("unknown-port", at, format!("the group applied at `{node}` has no output `{port}`")).nearest(port, ports);
        return None;
    }
    if let Some((first, rest)) = node.split_once('/') {
        if let Some(other) = experiment.stages.get(first) {
            return elsewhere(experiment, first, other, rest, port, at, hops, faults).map(|t| (t, item));
        }
        if stage.index.at(first).is_empty() && !experiment.stages.is_empty() {
            faults
                .add("unknown-stage", at, format!("`{text}`: there is no stage or group `{first}`"))
                .nearest(first, experiment.stages.keys().map(String::as_str));
            return None;
        }
    }
    let fault = faults.add("unknown-node", at, format!("`{text}`: there is no node `{node}` in this stage"));
    if fault.is_reported() {
        let heads = stage.nodes.iter().map(|n| n.path.as_str()).chain(stage.aliases.iter().map(|a| a.node.as_str()));
        let known: std::collections::BTreeSet<&str> = heads.chain(stage.broken.iter().map(|b| b.path.as_str())).collect();
        fault.nearest(node, known);
    }
    None
}

/// An edge into another stage.
#[allow(clippy::too_many_arguments)]
fn elsewhere(
    experiment: &Experiment,
    name: &str,
    stage: &StageDecl,
    node: &str,
    port: &str,
    at: At,
    hops: &mut usize,
    faults: &mut Faults,
) -> Option<Target> {
    let known = stage.index.node(node).is_some() || !stage.index.aliases(node).is_empty();
    if !known && !stage.index.is_broken(node) {
        faults
            .add("unknown-node", at, format!("the stage `{name}` has no node `{node}`"))
            .nearest(node, stage.nodes.iter().map(|n| n.path.as_str()));
        return None;
    }
    match follow_from(experiment, stage, &format!("{node}.{port}"), at, hops, faults)? {
        (Target::Node { node, port }, None) => {
            let found = &stage.nodes[node];
            Some(Target::Stage { stage: name.into(), node: found.path.clone(), port: found.entry.outputs[port].name.into() })
        }
        (there @ Target::Stage { .. }, None) => Some(there),
        (_, Some(_)) => {
            faults.add(
                "bad-edge",
                at,
                format!("`{name}/{node}.{port}` is one item of an axis: only whole tables are read from another stage"),
            );
            None
        }
    }
}

/// `node.port[item]` in its parts.
fn split<'a>(stage: &StageDecl, text: &'a str, at: At, faults: &mut Faults) -> Option<(&'a str, &'a str, Option<String>)> {
    let (path, item) = match text.split_once('[') {
        Some((path, rest)) => match rest.strip_suffix(']') {
            Some(item) if !item.is_empty() && !item.contains(['[', ']']) => (path, Some(item.to_string())),
            _ => {
                faults.add("bad-edge", at, format!("`{text}` is not an edge: one item is written \"node.port[item]\""));
                return None;
            }
        },
        None => (text, None),
    };
    let Some((node, port)) = path.rsplit_once('.') else {
        let aliases = stage.index.aliases(path).iter().map(|i| stage.aliases[*i].port.as_str());
        let own = stage.index.node(path).map_or(&[][..], |i| stage.nodes[i].entry.outputs).iter().map(|o| o.name);
        let outputs = list(own.chain(aliases));
        let fault = faults.add("bad-edge", at, format!("`{text}` names no output: an edge is written \"node.port\""));
        if !outputs.is_empty() {
            fault.help(format!("`{path}` has the outputs {outputs}"));
        }
        return None;
    };
    Some((node, port, item))
}

pub(crate) fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
}

/// The edges of each node, inputs checked against what the kind declares; none for a node of which an edge is at fault.
pub fn resolve(experiment: &Experiment, stage: &StageDecl, faults: &mut Faults) -> Vec<Option<Vec<Edge>>> {
    for alias in &stage.aliases {
        follow(experiment, stage, &alias.to, alias.at, faults);
    }
    for node in &stage.broken {
        for edge in &node.state {
            follow(experiment, stage, &edge.edge, edge.at, faults);
        }
        match node.entry {
            Some(entry) => {
                node_edges(experiment, stage, &node.path, node.at, entry, &node.inputs, faults);
            }
            None => {
                for input in &node.inputs {
                    follow(experiment, stage, &input.edge, input.at, faults);
                }
            }
        }
    }
    let edges = |n: &NodeDecl, faults: &mut Faults| {
        let reads = node_edges(experiment, stage, &n.path, n.at, n.entry, &n.inputs, faults);
        let writes = register_edges(experiment, stage, n, Role::Write, faults);
        let initial = register_edges(experiment, stage, n, Role::Initial, faults);
        Some(reads?.into_iter().chain(initial?).chain(writes?).collect())
    };
    stage.nodes.iter().map(|n| edges(n, faults)).collect()
}

/// The edges at a register's `write` or `initial`. A `write` must be there in a stage that trains.
fn register_edges(experiment: &Experiment, stage: &StageDecl, node: &NodeDecl, role: Role, faults: &mut Faults) -> Option<Vec<Edge>> {
    let (declared, given, key) = match role {
        Role::Write => (node.entry.writes, &node.writes, "write"),
        _ => (node.entry.initial, &node.initial, "initial"),
    };
    let mut whole = true;
    let mut edges = Vec::new();
    for InputDecl { name, edge, at, here } in given {
        let known = declared.iter().any(|d| d.name == name);
        if !known {
            faults
                .add("unknown-input", *here, format!("`{}` has no `{key}` edge `{name}`", node.entry.name))
                .nearest(name, declared.iter().map(|d| d.name));
        }
        match follow(experiment, stage, edge, *at, faults) {
            Some((Target::Stage { .. }, _)) => {
                faults.add("wrong-rate", *at, format!("`{key}` of a register takes values that its own stage computes in a step"));
                whole = false;
            }
            Some((target, item)) if known => edges.push(Edge { role, input: name.clone(), target, item, at: *at }),
            _ => whole = false,
        }
    }
    // a misspelt one was told, with the name that it should have
    if !given.iter().any(|g| !declared.iter().any(|d| d.name == g.name)) {
        for input in declared.iter().filter(|d| !d.optional() && !given.iter().any(|g| g.name == d.name)) {
            whole = false;
            faults
                .add(
                    "missing-input",
                    node.at,
                    format!("`{}` ({}) needs `{key}` = {{ {} = \"node.port\" }}", node.path, node.entry.name, input.name),
                )
                .help(format!("{}: {}", input.name, input.doc));
        }
    }
    whole.then_some(edges)
}

fn node_edges(
    experiment: &Experiment,
    stage: &StageDecl,
    path: &str,
    at: At,
    entry: &Entry,
    inputs: &[InputDecl],
    faults: &mut Faults,
) -> Option<Vec<Edge>> {
    let many = entry.inputs.iter().any(|i| i.many());
    let draws = entry.outputs.iter().filter(|o| o.draw).map(|o| o.name);
    let known: Vec<&str> = entry.inputs.iter().map(|i| i.name).chain(draws).collect();
    let mut whole = true;
    let mut edges: Vec<Edge> = Vec::new();
    for InputDecl { name, edge, at, here } in inputs {
        if !many && !known.contains(&name.as_str()) {
            faults.add("unknown-input", *here, format!("`{}` has no input `{name}`", entry.name)).nearest(name, known.iter().copied());
            whole = false;
        }
        match follow(experiment, stage, edge, *at, faults) {
            Some((target, item)) => edges.push(Edge { role: Role::Read, input: name.clone(), target, item, at: *at }),
            None => whole = false,
        }
    }
    let missing: Vec<&Field> =
        entry.inputs.iter().filter(|i| !i.optional() && !i.many() && !inputs.iter().any(|given| given.name == i.name)).collect();
    let unknown: Vec<&str> = inputs.iter().map(|i| i.name.as_str()).filter(|n| !many && !known.contains(n)).collect();
    whole &= missing.is_empty();
    // an edge under another name was meant for one that is missing
    if missing.len() > unknown.len() {
        let names = unmeant(missing.iter().map(|i| i.name).collect(), &unknown);
        for input in missing.into_iter().filter(|i| names.contains(&i.name)) {
            faults
                .add("missing-input", at, format!("`{path}` ({}) needs the input `{}`", entry.name, input.name))
                .help(format!("{}: {}", input.name, input.doc));
        }
    }
    if many && inputs.is_empty() {
        faults.add("missing-input", at, format!("`{path}` ({}) needs at least one input", entry.name));
        whole = false;
    }
    whole.then_some(edges)
}

/// An order in which shapes can be inferred: a register comes after what is written to it, unless that depends on the register.
pub fn inference_order(order: &[usize], edges: &[Vec<Edge>]) -> Vec<usize> {
    let mut out: Vec<usize> = Vec::with_capacity(order.len());
    // what lies in a cycle is in no order, and waited for by nobody
    let mut done = vec![true; edges.len()];
    order.iter().for_each(|i| done[*i] = false);
    let there = |done: &[bool], i: usize, writes: bool| {
        edges[i].iter().filter(|e| writes || e.role != Role::Write).all(|e| match e.target {
            Target::Node { node, .. } => done[node],
            Target::Stage { .. } => true,
        })
    };
    while out.len() < order.len() {
        let waiting = || order.iter().copied().filter(|i| !done[*i]);
        let next = waiting().find(|i| there(&done, *i, true)).or_else(|| waiting().find(|i| there(&done, *i, false)));
        let Some(next) = next else { break };
        done[next] = true;
        out.push(next);
    }
    out
}

/// The nodes after which each comes: those that it reads, those that it is said to be `after`, each once.
pub(crate) fn earlier(stage: &StageDecl, edges: &[Vec<Edge>], faults: &mut Faults) -> Vec<Vec<usize>> {
    let mut lists: Vec<Vec<usize>> = Vec::with_capacity(edges.len());
    for list in edges {
        lists.push(list.iter().filter(|e| e.role != Role::Write).filter_map(|e| e.node()).collect());
    }
    let built = stage.nodes.iter().enumerate().map(|(i, n)| (Some(i), &n.after));
    for (i, after) in built.chain(stage.broken.iter().map(|b| (None, &b.after))) {
        for (name, at) in after {
            let before = stage.index.at(name);
            if before.is_empty() && !stage.index.is_broken(name) {
                faults
                    .add("unknown-node", *at, format!("`after`: there is no node `{name}` in this stage"))
                    .nearest(name, stage.nodes.iter().map(|n| n.path.as_str()));
            }
            if let Some(i) = i {
                lists[i].extend(before);
            }
        }
        if let Some(list) = i.map(|i| &mut lists[i]) {
            list.sort_unstable();
            list.dedup();
        }
    }
    lists
}

/// Nodes in an order in which each comes after those before it; among those that are free, by their paths. A cycle is a fault, and
/// what waits for it is left out.
pub fn order(stage: &StageDecl, edges: &[Vec<Edge>], faults: &mut Faults) -> Vec<usize> {
    let n = stage.nodes.len();
    let earlier = earlier(stage, edges, faults);
    let mut graph = DiGraph::<usize, ()>::with_capacity(n, n);
    let index: Vec<NodeIndex> = (0..n).map(|i| graph.add_node(i)).collect();
    for (i, list) in earlier.iter().enumerate() {
        for j in list {
            graph.add_edge(index[*j], index[i], ());
        }
    }
    for component in petgraph::algo::tarjan_scc(&graph) {
        let own = component.len() == 1 && graph.contains_edge(component[0], component[0]);
        if component.len() > 1 || own {
            let mut members: Vec<usize> = component.iter().map(|c| graph[*c]).collect();
            members.sort_unstable();
            let names = list(members.iter().map(|i| stage.nodes[*i].path.as_str()));
            let message = if own { format!("{names} depends on itself") } else { format!("a cycle: {names} depend on each other") };
            faults.add("cycle", stage.nodes[members[0]].at, message).help("only the `write` edge of a register may lead back");
        }
    }
    let mut waiting: Vec<usize> = earlier.iter().map(Vec::len).collect();
    let mut free: std::collections::BTreeSet<usize> = (0..n).filter(|i| waiting[*i] == 0).collect();
    let mut order = Vec::with_capacity(n);
    while let Some(i) = free.pop_first() {
        order.push(i);
        for next in graph.neighbors(index[i]) {
            let j = graph[next];
            waiting[j] -= 1;
            if waiting[j] == 0 {
                free.insert(j);
            }
        }
    }
    order
}
