//! Edges: from the text `node.port[item]` to the node and output behind it, and an order in which to run.

use crate::experiment::{Experiment, InputDecl, StageDecl};
use crate::fault::Faults;
use crate::source::At;
use petgraph::graph::{DiGraph, NodeIndex};

#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    Node { node: usize, port: usize },
    Stage { stage: String, node: String, port: String },
}

#[derive(Clone, Debug)]
pub struct Edge {
    pub input: String,
    pub target: Target,
    pub item: Option<String>,
    pub at: At,
}

/// Follows one edge's text. Tells a fault and gives nothing when it leads nowhere.
pub fn follow(experiment: &Experiment, stage: &StageDecl, text: &str, at: At, faults: &mut Faults) -> Option<(Target, Option<String>)> {
    let (path, item) = match text.split_once('[') {
        Some((path, rest)) => match rest.strip_suffix(']') {
            Some(item) if !item.is_empty() => (path, Some(item.to_string())),
            _ => {
                faults.add("bad-edge", at, format!("`{text}` is no edge: an item is taken with \"node.port[item]\""));
                return None;
            }
        },
        None => (text, None),
    };
    let Some((node, port)) = path.rsplit_once('.') else {
        let fault = faults.add("bad-edge", at, format!("`{text}` is no edge: \"node.port\""));
        if let Some(n) = stage.nodes.iter().find(|n| n.path == path) {
            fault.help(format!("`{path}` has the outputs {}", list(n.entry.outputs.iter().map(|o| o.name))));
        }
        return None;
    };
    local(experiment, stage, node, port, text, at, faults).map(|t| (t, item))
}

fn local(experiment: &Experiment, stage: &StageDecl, node: &str, port: &str, text: &str, at: At, faults: &mut Faults) -> Option<Target> {
    let (mut node, mut port) = (node.to_string(), port.to_string());
    while let Some((_, (n, p))) = stage.aliases.iter().find(|((n, p), _)| *n == node && *p == port) {
        (node, port) = (n.clone(), p.clone());
    }
    if let Some(i) = stage.nodes.iter().position(|n| n.path == node) {
        let entry = stage.nodes[i].entry;
        return match entry.output(&port) {
            Some(p) => Some(Target::Node { node: i, port: p }),
            None => {
                faults
                    .add("unknown-port", at, format!("`{node}` ({}) has no output `{port}`", entry.name))
                    .nearest(&port, entry.outputs.iter().map(|o| o.name));
                None
            }
        };
    }
    if let Some((first, rest)) = node.split_once('/') {
        if let Some(other) = experiment.stages.get(first) {
            return match other.nodes.iter().find(|n| n.path == rest) {
                Some(n) if n.entry.output(&port).is_some() => Some(Target::Stage { stage: first.into(), node: rest.into(), port }),
                Some(n) => {
                    faults
                        .add("unknown-port", at, format!("`{node}` ({}) has no output `{port}`", n.entry.name))
                        .nearest(&port, n.entry.outputs.iter().map(|o| o.name));
                    None
                }
                // told there
                None if is_declared(other, rest) => None,
                None => {
                    faults
                        .add("unknown-node", at, format!("the stage `{first}` has no node `{rest}`"))
                        .nearest(rest, other.nodes.iter().map(|n| n.path.as_str()));
                    None
                }
            };
        }
    }
    let ports: Vec<&str> = stage.aliases.iter().filter(|((n, _), _)| *n == node).map(|((_, p), _)| p.as_str()).collect();
    if !ports.is_empty() {
        faults.add("unknown-port", at, format!("the group applied at `{node}` has no output `{port}`")).nearest(&port, ports);
        return None;
    }
    // a node with faults of its own was not built: do not tell a second fault for it
    if !is_declared(stage, &node) {
        let heads = stage.nodes.iter().map(|n| n.path.as_str()).chain(stage.aliases.iter().map(|((n, _), _)| n.as_str()));
        let known: Vec<&str> = heads.collect();
        faults.add("unknown-node", at, format!("`{text}`: there is no node `{node}` in this stage")).nearest(&node, known);
    }
    None
}

/// Whether the stage's text has a node of that name, built or not.
fn declared(stage: &StageDecl, node: &str) -> bool {
    let nodes = stage.table.get("nodes").and_then(|i| i.as_table());
    nodes.is_some_and(|t| t.get(node.split('/').next().unwrap_or(node)).is_some())
}

/// Tells that `after` names nothing, unless it names a node.
fn unknown_after(stage: &StageDecl, name: &str, at: At, faults: &mut Faults) {
    if !declared(stage, name) {
        faults
            .add("unknown-node", at, format!("`after`: there is no node `{name}` in this stage"))
            .nearest(name, stage.nodes.iter().map(|n| n.path.as_str()));
    }
}

/// Whether the file has a node of that name, built or not.
fn is_declared(stage: &StageDecl, path: &str) -> bool {
    let head = path.split('/').next().unwrap_or(path);
    stage.table.get("nodes").and_then(|i| i.as_table()).is_some_and(|t| t.get(head).is_some())
}

pub(crate) fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
}

/// The edges of each node, inputs checked against what the kind declares.
pub fn resolve(experiment: &Experiment, stage: &StageDecl, faults: &mut Faults) -> Vec<Vec<Edge>> {
    stage
        .nodes
        .iter()
        .map(|node| {
            let many = node.entry.inputs.iter().any(|i| i.many);
            let mut edges: Vec<Edge> = Vec::new();
            for InputDecl { name, edge, at } in &node.inputs {
                let draw = node.entry.outputs.iter().any(|o| o.draw && o.name == name);
                if !many && !draw && !node.entry.inputs.iter().any(|i| i.name == name) {
                    let known = node.entry.inputs.iter().map(|i| i.name);
                    faults.add("unknown-input", *at, format!("`{}` has no input `{name}`", node.entry.name)).nearest(name, known);
                    continue;
                }
                if let Some((target, item)) = follow(experiment, stage, edge, *at, faults) {
                    edges.push(Edge { input: name.clone(), target, item, at: *at });
                }
            }
            for input in node.entry.inputs.iter().filter(|i| !i.optional && !i.many) {
                if !node.inputs.iter().any(|i| i.name == input.name) {
                    faults
                        .add("missing-input", node.at, format!("`{}` ({}) needs the input `{}`", node.path, node.entry.name, input.name))
                        .help(format!("{}: {}", input.name, input.doc));
                }
            }
            if many && node.inputs.is_empty() {
                faults.add("missing-input", node.at, format!("`{}` ({}) needs at least one input", node.path, node.entry.name));
            }
            edges
        })
        .collect()
}

/// Nodes in an order in which each comes after what it reads and what it is said to be `after`; among those that are
/// free, as the file has them. A cycle is a fault.
pub fn order(stage: &StageDecl, edges: &[Vec<Edge>], faults: &mut Faults) -> Option<Vec<usize>> {
    let n = stage.nodes.len();
    let mut graph = DiGraph::<usize, ()>::with_capacity(n, n);
    let index: Vec<NodeIndex> = (0..n).map(|i| graph.add_node(i)).collect();
    for (i, list) in edges.iter().enumerate() {
        for edge in list {
            if let Target::Node { node, .. } = edge.target {
                graph.update_edge(index[node], index[i], ());
            }
        }
    }
    for (i, node) in stage.nodes.iter().enumerate() {
        for (name, at) in &node.after {
            let before: Vec<usize> =
                (0..n).filter(|j| stage.nodes[*j].path == *name || stage.nodes[*j].path.starts_with(&format!("{name}/"))).collect();
            if before.is_empty() {
                unknown_after(stage, name, *at, faults);
            }
            for j in before {
                graph.update_edge(index[j], index[i], ());
            }
        }
    }
    for (name, at) in &stage.loose_after {
        unknown_after(stage, name, *at, faults);
    }
    let mut cyclic = false;
    for component in petgraph::algo::tarjan_scc(&graph) {
        let own = component.len() == 1 && graph.contains_edge(component[0], component[0]);
        if component.len() > 1 || own {
            let mut members: Vec<usize> = component.iter().map(|c| graph[*c]).collect();
            members.sort_unstable();
            let names = list(members.iter().map(|i| stage.nodes[*i].path.as_str()));
            faults
                .add("cycle", stage.nodes[members[0]].at, format!("a cycle: {names} wait for each other"))
                .help("only a register's `write` edge may lead back");
            cyclic = true;
        }
    }
    if cyclic {
        return None;
    }
    let mut waiting: Vec<usize> = (0..n).map(|i| graph.neighbors_directed(index[i], petgraph::Incoming).count()).collect();
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
    Some(order)
}
