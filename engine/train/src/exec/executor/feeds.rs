//! Values that a person gives, and the part of a stage that is left to run.

use super::{Executor, Registry, Step};
use crate::exec::batch::Table;
use dv_graph::plan::{From, NodePlan, Place, StagePlan};
use std::collections::HashMap;
use std::sync::Arc;
use tch::{Device, Tensor};

/// Values that a person gives in place of what would be computed.
#[derive(Default)]
pub struct Feeds {
    /// By node and output.
    pub outputs: HashMap<(usize, usize), Tensor>,
    /// By node and input, where no output has that name.
    pub inputs: HashMap<(usize, String), Tensor>,
    /// Tables of earlier stages: by stage, node and output.
    pub tables: HashMap<(String, String, String), Table>,
}

impl Feeds {
    /// Whether nothing but draws of a node is fed.
    fn only_draws(&self, plan: &NodePlan, node: usize) -> bool {
        self.outputs.keys().filter(|(n, _)| *n == node).all(|(_, port)| plan.entry.outputs[*port].draw)
            && !self.inputs.keys().any(|(n, _)| *n == node)
    }
    fn touches(&self, node: usize) -> bool {
        self.outputs.keys().any(|(n, _)| *n == node) || self.inputs.keys().any(|(n, _)| *n == node)
    }
}

impl<'a> Executor<'a> {
    /// Only what the asked outputs need, given the feeds; with `commits` also what is written to the registers among that.
    /// Host nodes that a feed touches move to the device.
    pub fn for_outputs(
        stage: Arc<StagePlan>,
        registry: &'a Registry,
        device: Device,
        feeds: Feeds,
        asked: &[(usize, usize)],
        commits: bool,
    ) -> Executor<'a> {
        let mut executor = Executor::new(stage, registry, device);
        executor.feeds = feeds;
        executor.asked = asked.to_vec();
        let n = executor.stage.nodes.len();
        executor.active = vec![false; n];
        let mut open: Vec<(usize, usize)> = asked.to_vec();
        let mut seen: Vec<(usize, usize)> = Vec::new();
        while let Some((node, port)) = open.pop() {
            if seen.contains(&(node, port)) {
                continue;
            }
            seen.push((node, port));
            let plan = &executor.stage.nodes[node];
            let draw = plan.entry.outputs[port].draw;
            if executor.feeds.outputs.contains_key(&(node, port)) && !draw {
                continue;
            }
            if executor.feeds.outputs.contains_key(&(node, port)) && seen.iter().all(|(n, p)| *n != node || *p == port) {
                // only the fed draw is asked for
                continue;
            }
            executor.active[node] = true;
            let reads = plan.inputs.iter().chain(plan.register.iter().flat_map(|r| &r.initial));
            let writes = plan.register.iter().flat_map(|r| &r.writes).filter(|_| commits);
            for input in reads.chain(writes) {
                if executor.feeds.inputs.contains_key(&(node, input.name.clone())) {
                    continue;
                }
                if let From::Node { node, port } = input.from {
                    open.push((node, port));
                }
            }
        }
        for i in 0..n {
            let fed = executor.feeds.touches(i)
                || executor.stage.nodes[i].inputs.iter().any(|input| match input.from {
                    From::Node { node, port } => {
                        executor.feeds.outputs.contains_key(&(node, port))
                            || (executor.active[node] && executor.places[node] != Place::Host)
                    }
                    From::Stage { .. } => false,
                });
            // what runs on the host alone takes fed draws there
            let stays = !executor.stage.nodes[i].entry.batch && executor.feeds.only_draws(&executor.stage.nodes[i], i);
            if executor.places[i] == Place::Host && fed && !stays {
                executor.places[i] = Place::Device;
            }
        }
        executor
    }
}

/// A fed value on some rows of the batch; whole where it does not go by rows.
pub(super) fn rows_of(fed: &Tensor, rows: &[usize], step: &Step) -> Tensor {
    if rows.len() == step.samples.len() || fed.size().first() != Some(&(step.samples.len() as i64)) {
        return fed.shallow_clone();
    }
    let at: Vec<i64> = rows.iter().map(|r| *r as i64).collect();
    fed.index_select(0, &Tensor::from_slice(&at).to_device(fed.device()))
}
