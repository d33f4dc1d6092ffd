//! The stages of an experiment and what they share: their order, tables, models.

use crate::assemble::same_shapes;
use crate::budget::{PARAMETERS, TENSORS};
use crate::during;
use crate::edges::{self, Target};
use crate::experiment::{Experiment, StageDecl};
use crate::fault::{remove_help, Faults};
use crate::items;
use crate::kind::Parameter;
use crate::nodes::{plan_stage, PlannedStage};
use crate::passes;
use crate::plan::*;
use crate::port::Port;
use crate::show::thousands;
use crate::source::{At, Sources};
use crate::stage::Origin;
use indexmap::IndexMap;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Outputs of planned stages, by stage, node and name.
pub(crate) type Tables = HashMap<(String, String, String), Port>;

/// Plans all stages. What comes back is a plan only where no fault was told.
pub(crate) fn plan(experiment: &Experiment, sources: &Sources, faults: &mut Faults) -> Option<Plan> {
    // tables that other stages read keep their nodes alive
    let mut read: HashMap<String, HashSet<String>> = HashMap::new();
    for (stage, node, _) in experiment.stages.values().flat_map(|s| reads(experiment, s)) {
        read.entry(stage).or_default().insert(node);
    }
    let mut tables = Tables::new();
    let mut stages = Vec::new();
    let mut unused = Vec::new();
    let mut parameters: IndexMap<String, (Vec<Parameter>, String)> = IndexMap::new();
    for name in &stage_order(experiment, faults) {
        let wanted = read.remove(name).unwrap_or_default();
        let Some(found) = plan_stage(experiment, name, &wanted, &mut tables, faults) else { continue };
        if faults.stopped() {
            return None;
        }
        let PlannedStage { plan, parameters: found, unused: nodes } = found;
        unused.extend(nodes);
        for (model, list, at) in found {
            match parameters.get(&model) {
                None => {
                    parameters.insert(model, (list, name.clone()));
                }
                Some((known, first)) if !same_shapes(known, &list) => {
                    let other = if first == name { "another pass of this stage".to_string() } else { format!("the stage `{first}`") };
                    let message = format!("`{model}` would have other parameter shapes here than in {other}, because its input differs");
                    faults.add("model-shape", at, message);
                }
                Some(_) => {}
            }
        }
        stages.push(plan);
    }
    // an edge that leads nowhere, or a node that could not be read, might be the reader
    if experiment.stages.values().all(|s| edges_are_known(experiment, s)) {
        for (at, message, help) in unused {
            faults.add("unused", at, message).help(help);
        }
    }
    let models = models(experiment, parameters, sources, faults);
    if faults.stopped() {
        return None;
    }
    during::settle(experiment, &mut stages, faults);
    passes::check_origins(experiment, &stages, faults);
    during::check_averages(experiment, &stages, faults);
    // a stage that could not be planned might have the metric
    if stages.len() == experiment.stages.len() {
        during::check_metrics(experiment, &stages, faults);
    }
    during::check_groups(experiment, &stages, &models, faults);
    if !faults.is_empty() {
        return None;
    }
    assert_eq!(stages.len(), experiment.stages.len(), "a stage was left out, and no fault says why");
    let resolved = experiment.resolved.to_toml();
    let (name, about, seed) = (experiment.name.clone(), experiment.about.clone(), experiment.seed);
    let plan = Plan { name, about, seed, models, stages, resolved };
    items::check(experiment, &plan, faults);
    Some(plan)
}

fn models(
    experiment: &Experiment,
    mut parameters: IndexMap<String, (Vec<Parameter>, String)>,
    sources: &Sources,
    faults: &mut Faults,
) -> IndexMap<String, ModelPlan> {
    // also by nodes that a `false` took away
    let stages = || experiment.stages.values();
    let applied: Vec<&str> = stages()
        .flat_map(|s| s.nodes.iter().filter_map(|n| n.model.as_deref()).chain(s.broken.iter().filter_map(|b| b.model.as_deref())))
        .collect();
    // a node that could not be read might apply any
    let unread = stages().any(|s| s.broken.iter().any(|b| b.entry.is_none() && b.model.is_none()));
    let mut models = IndexMap::new();
    let (mut numbers, mut tensors) = (0u128, 0);
    for (name, decl) in &experiment.models {
        if let Some((list, _)) = parameters.swap_remove(name) {
            numbers = numbers.saturating_add(crate::plan::numbers(list.iter()));
            tensors += list.len();
            if numbers > PARAMETERS as u128 || tensors > TENSORS {
                let (there, most) = (thousands(numbers), thousands(PARAMETERS));
                let message = match numbers > PARAMETERS as u128 {
                    true => format!("with `{name}` the models come to {there} numbers; the limit is {most}"),
                    false => format!("with `{name}` the models come to {tensors} parameters and buffers; the limit is {TENSORS}"),
                };
                faults.stop("too-large", decl.at, message);
                return models;
            }
            let layers = ModelPlan::layers(&list).len();
            if decl.names.len() > 1 && decl.names.len() != layers {
                faults.add(
                    "bad-names",
                    decl.at,
                    format!(
                        "`{name}` has {layers} layers and {} names: give one name for the model, or one for each layer",
                        decl.names.len()
                    ),
                );
            }
            models.insert(
                name.clone(),
                ModelPlan {
                    entry: decl.entry,
                    kind: decl.kind.clone(),
                    ema: decl.ema.clone(),
                    names: decl.names.clone(),
                    parameters: list,
                },
            );
        } else if !applied.contains(&name.as_str()) && !unread {
            let message = format!("no node applies the model `{name}`");
            match sources.is_inherited(decl.at) {
                true => faults.note("unused", decl.at, message).help(remove_help("models", name)),
                false => faults.add("unused", decl.at, message).help("apply it, or remove it"),
            }
        }
    }
    models
}

/// Stages, each after those whose tables or weights it needs; else in the order of the file.
fn stage_order(experiment: &Experiment, faults: &mut Faults) -> Vec<String> {
    let mut needs: BTreeMap<&str, Vec<(String, At)>> =
        experiment.stages.iter().map(|(n, s)| (n.as_str(), stage_needs(experiment, s))).collect();
    for (name, list) in &mut needs {
        list.retain(|(other, at)| {
            if other == name {
                faults.add("cycle", *at, format!("the stage `{name}` depends on itself"));
            }
            other != name
        });
        for (other, at) in list {
            if !experiment.stages.contains_key(other) {
                faults
                    .add("unknown-stage", *at, format!("there is no stage `{other}`"))
                    .nearest(other, experiment.stages.keys().map(String::as_str));
            }
        }
    }
    let mut order: Vec<String> = Vec::new();
    while order.len() < experiment.stages.len() {
        let ready = |name: &&String| {
            !order.contains(name) && needs[name.as_str()].iter().all(|(n, _)| order.contains(n) || !experiment.stages.contains_key(n))
        };
        let Some(next) = experiment.stages.keys().find(ready).cloned() else {
            let left: Vec<&str> = experiment.stages.keys().filter(|n| !order.contains(n)).map(String::as_str).collect();
            let circle = circle(&needs, &left);
            faults.add(
                "cycle",
                experiment.stages[circle[0]].at,
                format!("a cycle: the stages {} depend on each other", edges::list(circle.iter().copied())),
            );
            // the others are looked at all the same
            order.push(circle[0].to_string());
            continue;
        };
        order.push(next);
    }
    order
}

/// Of stages that all wait for another of them, some that wait for each other.
fn circle<'a>(needs: &BTreeMap<&str, Vec<(String, At)>>, left: &[&'a str]) -> Vec<&'a str> {
    let mut way = vec![left[0]];
    loop {
        let last = way[way.len() - 1];
        let next = left.iter().copied().find(|l| needs[last].iter().any(|(n, _)| n == l)).unwrap_or(last);
        if let Some(start) = way.iter().position(|w| *w == next) {
            return way.split_off(start);
        }
        way.push(next);
    }
}

/// Stages whose tables or weights one needs, and where it says so.
pub(crate) fn stage_needs(experiment: &Experiment, stage: &StageDecl) -> Vec<(String, At)> {
    let weights_at = stage.table.get("weights").map_or(stage.at, |i| i.at);
    let mut out: Vec<(String, At)> = Vec::new();
    for (model, origin) in &stage.drive.weights {
        match origin {
            Origin::Stage { stage: other, .. } if !out.iter().any(|(n, _)| n == other) => {
                out.push((other.clone(), passes::origin_at(stage, model, weights_at)));
            }
            _ => {}
        }
    }
    if let Some(during) = &stage.drive.during {
        if !out.iter().any(|(n, _)| *n == during.stage) {
            out.push((during.stage.clone(), stage.table.get("during").map_or(stage.at, |i| i.at)));
        }
    }
    for (other, _, at) in reads(experiment, stage) {
        if !out.iter().any(|(n, _)| *n == other) {
            out.push((other, at));
        }
    }
    out
}

fn edges_are_known(experiment: &Experiment, stage: &StageDecl) -> bool {
    let mut quiet = Faults::default();
    let inputs = stage
        .nodes
        .iter()
        .flat_map(|n| n.inputs.iter().chain(&n.writes).chain(&n.initial))
        .chain(stage.broken.iter().flat_map(|b| b.inputs.iter().chain(&b.state)));
    inputs.for_each(|i| drop(edges::follow(experiment, stage, &i.edge, i.at, &mut quiet)));
    quiet.is_empty() && stage.broken.iter().all(|b| b.entry.is_some() || b.model.is_some())
}

/// What a stage reads from others: the stage, the node there, and where it says so.
fn reads(experiment: &Experiment, stage: &StageDecl) -> Vec<(String, String, At)> {
    // faults of edges are told where their nodes are planned
    let mut quiet = Faults::default();
    let inputs = stage
        .nodes
        .iter()
        .flat_map(|n| n.inputs.iter().chain(&n.writes).chain(&n.initial))
        .chain(stage.broken.iter().flat_map(|b| &b.inputs));
    inputs
        .filter_map(|input| match edges::follow(experiment, stage, &input.edge, input.at, &mut quiet) {
            Some((Target::Stage { stage, node, .. }, _)) => Some((stage, node, input.at)),
            _ => None,
        })
        .collect()
}
