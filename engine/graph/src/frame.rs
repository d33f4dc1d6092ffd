//! Where a node stands while groups are expanded, and what the expansion has come to.

use crate::budget::{Meter, DEPTH, EDGES, NODES};
use crate::experiment::InputDecl;
use crate::show::thousands;
use crate::source::At;
use crate::tree::Table;

/// Where a node stands: in a stage, or in a group that is applied at `path`.
#[derive(Default)]
pub(crate) struct Frame<'a> {
    /// Of the group: its name, its nodes' names, and the edges at its inputs.
    pub group: Option<(&'a str, &'a [String], &'a [InputDecl])>,
    pub path: &'a str,
    /// What the group as a whole runs after.
    pub after: Vec<(String, At)>,
    pub outer: Option<&'a Frame<'a>>,
}

impl Frame<'_> {
    pub(crate) fn node(&self, path: &str) -> String {
        let head = path.split('/').next().unwrap_or_default();
        match self.group {
            Some((_, names, _)) if names.iter().any(|n| n == head) => format!("{}/{path}", self.path),
            _ => path.to_string(),
        }
    }
    /// The edge as the stage has it, and where it was written. Nothing for an input that the group was not given: that was told.
    pub(crate) fn edge(&self, edge: &str, at: At) -> Option<(String, At)> {
        let Some((_, _, given)) = self.group else { return Some((edge.to_string(), at)) };
        let (path, item) = edge.split_once('[').map_or((edge, None), |(p, i)| (p, Some(i)));
        let (edge, at) = match path.strip_prefix("in.") {
            Some(port) => given.iter().find(|d| d.name == port).map(|d| (d.edge.clone(), d.at))?,
            None => match path.rsplit_once('.') {
                Some((node, port)) => (format!("{}.{port}", self.node(node)), at),
                None => (path.to_string(), at),
            },
        };
        Some((item.map_or(edge.clone(), |i| format!("{edge}[{i}")), at))
    }
    pub(crate) fn is_in(&self, group: &str) -> bool {
        self.group.is_some_and(|(name, _, _)| name == group) || self.outer.is_some_and(|o| o.is_in(group))
    }
    fn depth(&self) -> usize {
        self.outer.map_or(0, |o| o.depth() + 1)
    }
}

/// What the stages of a graph have come to so far.
pub struct Spent {
    /// Nodes, applications of groups among them.
    nodes: usize,
    /// What nodes inherit from `after` of the groups around them.
    after: usize,
    /// Keys and values of nodes that groups bring.
    meter: Meter,
}

impl Default for Spent {
    fn default() -> Spent {
        Spent { nodes: 0, after: 0, meter: Meter::of_graph() }
    }
}

impl Spent {
    /// Counts a node. An error says what there is too much of.
    pub(crate) fn node(&mut self, table: &Table, frame: &Frame) -> Result<(), String> {
        self.nodes += 1;
        self.after += frame.after.len();
        if self.nodes > NODES {
            return Err(format!("the graph has more than {} nodes, groups expanded", thousands(NODES)));
        }
        if self.after > EDGES {
            return Err(format!("the nodes of groups come to more than {} names under `after`", thousands(EDGES)));
        }
        if frame.depth() > DEPTH {
            return Err(format!("groups apply each other more than {DEPTH} deep"));
        }
        match frame.group {
            Some(_) if self.meter.table(table).is_err() => Err(format!("the nodes of groups come to {}", self.meter.words())),
            _ => Ok(()),
        }
    }
}
