//! Where the nodes of a stage are found by their paths: each edge asks, and a graph may have thousands.

use crate::experiment::{Alias, Broken, NodeDecl};
use std::collections::{HashMap, HashSet};

/// Names that edges and `after` may use.
#[derive(Default)]
pub struct Index {
    nodes: HashMap<String, usize>,
    /// The nodes at a path: the one of that name, or those of the group that is applied there.
    below: HashMap<String, Vec<usize>>,
    /// The outputs of groups, by application.
    aliases: HashMap<String, Vec<usize>>,
    broken: HashSet<String>,
}

impl Index {
    pub(crate) fn new(nodes: &[NodeDecl], broken: &[Broken], aliases: &[Alias]) -> Index {
        let mut index = Index::default();
        for (i, node) in nodes.iter().enumerate() {
            index.nodes.entry(node.path.clone()).or_insert(i);
            for head in heads(&node.path) {
                index.below.entry(head.to_string()).or_default().push(i);
            }
        }
        for (i, alias) in aliases.iter().enumerate() {
            index.aliases.entry(alias.node.clone()).or_default().push(i);
        }
        index.broken.extend(broken.iter().map(|b| b.path.clone()));
        index
    }
    pub fn node(&self, path: &str) -> Option<usize> {
        self.nodes.get(path).copied()
    }
    /// The node of that path, or all nodes of the group that is applied there.
    pub fn at(&self, path: &str) -> &[usize] {
        self.below.get(path).map_or(&[], Vec::as_slice)
    }
    /// Places among the stage's aliases.
    pub fn aliases(&self, path: &str) -> &[usize] {
        self.aliases.get(path).map_or(&[], Vec::as_slice)
    }
    /// Whether a node was left out for a fault that was reported, or lies in a group that was.
    pub fn is_broken(&self, path: &str) -> bool {
        !self.broken.is_empty() && heads(path).any(|head| self.broken.contains(head))
    }
}

/// `a`, `a/b`, `a/b/c` of `a/b/c`.
fn heads(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(i, _)| &path[..i]).chain([path])
}
