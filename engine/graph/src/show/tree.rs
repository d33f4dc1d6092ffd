//! A stage's nodes by the groups that they stand in, and the lines between them: what every figure is made of.

use super::carries_gradient;
use super::paint::{cut, width};
use crate::plan::{From, StagePlan};

/// A node by its number, or the nodes of one application of a group.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Branch {
    Node(usize),
    Group { path: String, inside: Vec<Branch> },
}

impl Branch {
    pub fn holds(&self, node: usize) -> bool {
        match self {
            Branch::Node(n) => *n == node,
            Branch::Group { inside, .. } => inside.iter().any(|b| b.holds(node)),
        }
    }
    pub fn nodes(&self) -> Vec<usize> {
        match self {
            Branch::Node(n) => vec![*n],
            Branch::Group { inside, .. } => inside.iter().flat_map(Branch::nodes).collect(),
        }
    }
}

/// The nodes as a tree, by the parts of their paths.
pub(super) fn tree(paths: &[&str]) -> Vec<Branch> {
    let mut roots = Vec::new();
    for (node, path) in paths.iter().enumerate() {
        let mut level: &mut Vec<Branch> = &mut roots;
        for (end, _) in path.match_indices('/') {
            let group = &path[..end];
            let known = level.iter().position(|b| matches!(b, Branch::Group { path, .. } if path == group));
            let i = known.unwrap_or_else(|| {
                level.push(Branch::Group { path: group.to_string(), inside: Vec::new() });
                level.len() - 1
            });
            let Branch::Group { inside, .. } = &mut level[i] else { unreachable!("found as a group") };
            level = inside;
        }
        level.push(Branch::Node(node));
    }
    roots
}

/// The branches in an order in which each comes after those that it reads. Where groups feed each other back and forth, they come apart.
pub(super) fn ordered(mut branches: Vec<Branch>, lines: &[(usize, usize)]) -> Vec<Branch> {
    let mut out: Vec<Branch> = Vec::new();
    while !branches.is_empty() {
        let waits = |b: &Branch| {
            let from = |line: &&(usize, usize)| b.holds(line.1) && !b.holds(line.0);
            lines.iter().filter(from).any(|(from, _)| branches.iter().any(|o| o.holds(*from)))
        };
        match branches.iter().position(|b| !waits(b)) {
            Some(ready) => out.push(branches.remove(ready)),
            None => {
                let apart = |b: Branch| match b {
                    Branch::Group { inside, .. } => inside,
                    node => vec![node],
                };
                branches = branches.into_iter().flat_map(apart).collect();
            }
        }
    }
    out
}

/// All that one node reads from one output of another.
pub(super) struct Link {
    /// A node; from its number of nodes on, a table of another stage.
    pub from: usize,
    pub port: usize,
    pub to: usize,
    /// Input and item, as far as they say something: `a=v0`.
    pub inputs: Vec<String>,
    pub gradient: bool,
}

impl Link {
    /// What is written at its head.
    pub fn head(&self) -> String {
        cut(&self.inputs.join(", "), AT_HEAD, 150.0)
    }
    /// Room that its head takes up.
    pub fn room(&self) -> f64 {
        width(&self.head(), AT_HEAD).max(8.0) + 6.0
    }
}

/// Size of the text at a line's head.
pub(super) const AT_HEAD: f64 = 10.0;

/// A table of an earlier stage that this one reads.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Table {
    pub stage: String,
    pub node: String,
    pub port: String,
}

/// Lines between nodes, one for each output and reader, and the tables that come from other stages.
pub(super) fn links(stage: &StagePlan) -> (Vec<Link>, Vec<Table>) {
    let (mut links, mut tables): (Vec<Link>, Vec<Table>) = Default::default();
    for (to, node) in stage.nodes.iter().enumerate() {
        for input in &node.inputs {
            let (from, port, name, item) = match &input.from {
                From::Node { node: from, port } => {
                    let output = &stage.nodes[*from].outputs[*port];
                    let item = input.item.and_then(|(axis, item)| Some(output.axes[axis].item(item)?.into_owned()));
                    let source = &stage.nodes[*from];
                    let known = [source.path.as_str(), source.entry.outputs[*port].name];
                    (*from, *port, Some(input.name.clone()).filter(|n| !known.contains(&n.as_str())), item)
                }
                From::Stage { stage: other, node, port } => {
                    let table = Table { stage: other.clone(), node: node.clone(), port: port.clone() };
                    let i = tables.iter().position(|t| *t == table).unwrap_or_else(|| {
                        tables.push(table);
                        tables.len() - 1
                    });
                    (stage.nodes.len() + i, 0, Some(input.name.clone()), None)
                }
            };
            let name = name.filter(|_| node.inputs.len() > 1);
            let text = match (name, item) {
                (Some(name), Some(item)) => Some(format!("{name} = {item}")),
                (name, item) => name.or(item),
            };
            let gradient = carries_gradient(stage, node, input);
            match links.iter_mut().find(|l| (l.from, l.port, l.to) == (from, port, to)) {
                Some(link) => {
                    link.inputs.extend(text);
                    link.gradient |= gradient;
                }
                None => links.push(Link { from, port, to, inputs: text.into_iter().collect(), gradient }),
            }
        }
    }
    (links, tables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_make_groups() {
        let roots = tree(&["a", "v/crop", "v/in/x", "b", "v/normal"]);
        let group = |path: &str, inside: Vec<Branch>| Branch::Group { path: path.into(), inside };
        let v = group("v", vec![Branch::Node(1), group("v/in", vec![Branch::Node(2)]), Branch::Node(4)]);
        assert_eq!(roots, [Branch::Node(0), v.clone(), Branch::Node(3)]);
        assert_eq!((v.nodes(), v.holds(2), v.holds(3)), (vec![1, 2, 4], true, false));
    }

    #[test]
    fn groups_that_feed_each_other_come_apart() {
        let roots = tree(&["v/a", "w/b", "v/c"]);
        assert_eq!(ordered(roots.clone(), &[(0, 1), (1, 2)]), [0, 1, 2].map(Branch::Node));
        assert_eq!(ordered(roots.clone(), &[(0, 1)]), roots);
        assert_eq!(ordered(roots, &[(1, 2)])[0].nodes(), [1]);
    }
}
