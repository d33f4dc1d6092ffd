//! Items of a stack of which nothing comes: they are in the rows that a model sees, and no loss, metric or table reads them.

use crate::experiment::Experiment;
use crate::fault::Faults;
use crate::plan::{From, NodePlan, Plan, StagePlan};
use crate::port::Axis;
use crate::show::{passes, Norm};
use std::collections::BTreeSet;

/// Notes each item of a stack that nothing reads but statistics of a batch. Items are never left out by themselves: that
/// would change the rows of a batch norm.
pub(crate) fn check(experiment: &Experiment, plan: &Plan, faults: &mut Faults) {
    for stage in &plan.stages {
        for (stack, node) in stage.nodes.iter().enumerate() {
            let Some(items) = stacked(stage, node) else { continue };
            let used = used(stage, stack);
            for item in (0..items.len()).filter(|i| !used.contains(i)) {
                tell(experiment, plan, stage, stack, item, faults);
            }
        }
    }
}

/// The inputs of a node that makes them the items of a new axis, which is the first of its output.
fn stacked<'a>(stage: &StagePlan, node: &'a NodePlan) -> Option<&'a Axis> {
    let axis = node.outputs.first()?.axes.first()?;
    let inputs = node.inputs.iter().map(|i| i.name.as_str());
    let new = node.inputs.iter().all(|i| match i.from {
        From::Node { node, port } => stage.nodes[node].outputs[port].axes.iter().all(|a| a.name != axis.name),
        From::Stage { .. } => true,
    });
    (new && node.inputs.len() > 1 && inputs.eq(axis.items())).then_some(axis)
}

/// Items of the axis that a node makes which reach something that is wanted for itself.
fn used(stage: &StagePlan, stack: usize) -> BTreeSet<usize> {
    let axis = &stage.nodes[stack].outputs[0].axes[0];
    let all = || (0..axis.len()).collect::<BTreeSet<usize>>();
    // outputs that carry the axis, with what of it is read further down
    let mut reached = BTreeSet::from([(stack, 0)]);
    let mut open = vec![(stack, 0)];
    let mut used = BTreeSet::new();
    while let Some((node, port)) = open.pop() {
        if wanted(stage, node, port) {
            return all();
        }
        for (reader, input) in stage.nodes.iter().enumerate().flat_map(|(n, node)| node.reads().map(move |i| (n, i))) {
            if input.from != (From::Node { node, port }) {
                continue;
            }
            match input.item {
                Some((a, item)) if stage.nodes[node].outputs[port].axes[a].name == axis.name => drop(used.insert(item)),
                _ => {
                    let carries = |p: &crate::port::Port| p.axes.iter().any(|a| a == axis);
                    let outputs = &stage.nodes[reader].outputs;
                    // an output without the axis is made of all of them, if anything reads it
                    let mixed = (0..outputs.len()).any(|p| !carries(&outputs[p]) && is_read(stage, reader, p));
                    if mixed || stage.nodes[reader].register.is_some() {
                        return all();
                    }
                    open.extend((0..outputs.len()).filter(|p| carries(&outputs[*p])).map(|p| (reader, p)).filter(|at| reached.insert(*at)));
                }
            }
        }
    }
    used
}

fn wanted(stage: &StagePlan, node: usize, port: usize) -> bool {
    let metric = |m: &crate::plan::Metric| m.reported && (m.node, m.port) == (node, port);
    stage.minimise == Some((node, port))
        || stage.metrics.iter().any(metric)
        || stage.nodes[node].outputs[port].rate == crate::port::Rate::Stage
}

fn is_read(stage: &StagePlan, node: usize, port: usize) -> bool {
    wanted(stage, node, port) || stage.nodes.iter().flat_map(NodePlan::reads).any(|i| i.from == From::Node { node, port })
}

fn tell(experiment: &Experiment, plan: &Plan, stage: &StagePlan, stack: usize, item: usize, faults: &mut Faults) {
    let node = &stage.nodes[stack];
    let axis = &node.outputs[0].axes[0];
    let Some(name) = axis.item(item) else { return };
    let decl = experiment.stages.get(&stage.name).and_then(|s| s.nodes.iter().find(|n| n.path == node.path));
    let at = decl.and_then(|d| d.inputs.iter().find(|i| i.name == *name)).map_or(node.at, |i| i.here);
    let folds = |p: &crate::show::Pass| p.node.fold.iter().any(|a| a == axis);
    let passes: Vec<_> = passes(plan, stage).into_iter().filter(|p| folds(p) && matches!(p.norm, Norm::Batch(_))).collect();
    let still = match passes.first() {
        Some(pass) => format!("it still takes part in the batch-norm batch of `{}` ({} rows)", pass.model, pass.per()),
        None => "it is computed all the same".to_string(),
    };
    let message =
        format!("item `{name}` of `{}` reaches no loss, metric or table; {still}; to drop it remove it from the stack's `in`", node.path);
    let fault = faults.note("stack-item-unused", at, message);
    if !node.path.contains('/') {
        fault.help(format!("in a graph that extends this one: remove = [\"stages.{}.nodes.{}.in.{name}\"]", stage.name, node.path));
    }
}
