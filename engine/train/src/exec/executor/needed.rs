//! Which values of a step are needed, and until when.

use super::Executor;
use dv_graph::plan::{From, NodePlan, Place};
use std::collections::{HashMap, HashSet};

/// What of a step's values somebody reads.
pub(super) struct Needed {
    read: HashSet<(usize, usize)>,
    /// By node: the values of which it is the last reader.
    last_read: HashMap<usize, Vec<(usize, usize)>>,
}

impl Needed {
    pub fn of(executor: &Executor) -> Needed {
        let stage = &executor.stage;
        // what is still needed when the last node has run
        let mut kept: HashSet<(usize, usize)> = stage.minimise.iter().copied().chain(executor.asked.iter().copied()).collect();
        kept.extend(stage.metrics.iter().map(|m| (m.node, m.port)));
        kept.extend(stage.files.iter().map(|(_, at)| *at));
        let mut last: HashMap<(usize, usize), usize> = HashMap::new();
        let mut read = kept.clone();
        for (i, node) in stage.nodes.iter().enumerate().filter(|(i, _)| executor.active[*i]) {
            let writes = node.register.iter().flat_map(|r| &r.writes);
            for input in writes {
                if let From::Node { node, port } = input.from {
                    kept.insert((node, port));
                }
            }
            for input in node.reads() {
                let From::Node { node, port } = input.from else { continue };
                read.insert((node, port));
                match executor.places[i] {
                    Place::Device => drop(last.insert((node, port), i)),
                    Place::End => drop(kept.insert((node, port))),
                    // it has read them before the batch came here
                    Place::Host => {}
                }
            }
            for port in 0..node.outputs.len() {
                last.entry((i, port)).or_insert(i);
            }
        }
        let mut last_read: HashMap<usize, Vec<(usize, usize)>> = HashMap::new();
        for (at, reader) in last.into_iter().filter(|(at, _)| !kept.contains(at)) {
            last_read.entry(reader).or_default().push(at);
        }
        Needed { read, last_read }
    }

    /// Values that nobody reads once this node has run.
    pub fn last_read_by(&self, node: usize) -> impl Iterator<Item = &(usize, usize)> {
        self.last_read.get(&node).into_iter().flatten()
    }

    /// The outputs of a node that somebody reads.
    pub fn outputs(&self, plan: &NodePlan, node: usize) -> Vec<&'static str> {
        let outputs = plan.entry.outputs.iter().enumerate();
        outputs.filter(|(port, _)| self.read.contains(&(node, *port))).map(|(_, o)| o.name).collect()
    }
}
