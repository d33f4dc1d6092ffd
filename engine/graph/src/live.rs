//! What is used: liveness, guards of branches, and where gradients flow.

use crate::edges::{Edge, Role, Target};
use crate::plan::Guard;

/// Nodes reachable against the edges from these.
pub fn upstream(edges: &[Vec<Edge>], from: impl IntoIterator<Item = usize>) -> Vec<bool> {
    let mut seen = vec![false; edges.len()];
    let mut open: Vec<usize> = from.into_iter().collect();
    while let Some(i) = open.pop() {
        if !std::mem::replace(&mut seen[i], true) {
            open.extend(edges[i].iter().filter_map(|e| match e.target {
                Target::Node { node, .. } => Some(node),
                Target::Stage { .. } => None,
            }));
        }
    }
    seen
}

/// For each node the nodes that come before it, over any number of steps.
pub struct Ancestors {
    words: usize,
    bits: Vec<u64>,
}

impl Ancestors {
    /// Whether `other` comes before `node`.
    pub fn holds(&self, node: usize, other: usize) -> bool {
        self.bits[node * self.words + other / 64] >> (other % 64) & 1 == 1
    }
}

/// `order` has each node after those that come right before it: `earlier[i]` before node i.
pub fn ancestors(order: &[usize], earlier: &[Vec<usize>]) -> Ancestors {
    let words = earlier.len().div_ceil(64);
    let mut bits = vec![0u64; words * earlier.len()];
    for &i in order {
        for &j in &earlier[i] {
            for w in 0..words {
                bits[i * words + w] |= bits[j * words + w];
            }
            bits[i * words + j / 64] |= 1 << (j % 64);
        }
    }
    Ancestors { words, bits }
}

/// For each node the branches that all of its live users sit behind. `choosers[i]`: node i draws one of its inputs.
pub fn guards(
    order: &[usize],
    edges: &[Vec<Edge>],
    live: &[bool],
    choosers: &[bool],
    draws: impl Fn(usize, &str) -> bool,
    roots: &[usize],
) -> Vec<Vec<Guard>> {
    let mut found: Vec<Option<Vec<Guard>>> = vec![None; edges.len()];
    // what a write needs is needed by every sample; a writer may come after its register
    let written = (0..edges.len()).filter(|i| live[*i]).flat_map(|i| &edges[i]).filter(|e| e.role == Role::Write);
    for edge in written {
        if let Target::Node { node, .. } = edge.target {
            found[node] = Some(Vec::new());
        }
    }
    for r in roots {
        found[*r] = Some(Vec::new());
    }
    for &user in order.iter().rev().filter(|i| live[**i]) {
        let own = found[user].clone().unwrap_or_default();
        let mut branch = 0;
        for edge in &edges[user] {
            if edge.role == Role::Write {
                continue;
            }
            let draw = draws(user, &edge.input);
            let mut path = own.clone();
            if choosers[user] && !draw {
                path.push(Guard { choose: user, branch });
                branch += 1;
            }
            if let Target::Node { node, .. } = edge.target {
                found[node] = Some(match found[node].take() {
                    None => path,
                    // users behind different branches: what they share
                    Some(other) => other.into_iter().zip(path).take_while(|(a, b)| a == b).map(|(a, _)| a).collect(),
                });
            }
        }
    }
    found.into_iter().map(Option::unwrap_or_default).collect()
}
