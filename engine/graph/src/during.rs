//! What holds while a stage trains: which stages run during it, which metrics steer it, which parameters it sets apart.

use crate::edges;
use crate::experiment::Experiment;
use crate::fault::Faults;
use crate::passes;
use crate::plan::{ModelPlan, StagePlan};
use crate::source::At;
use crate::stage::{Checkpoint, During, Origin, Schedule};
use indexmap::IndexMap;
use std::collections::{BTreeSet, HashMap};

/// Settles for all stages, in their order, during which other they run.
pub(crate) fn settle(experiment: &Experiment, stages: &mut [StagePlan], faults: &mut Faults) {
    let owned = |set: &BTreeSet<&str>| set.iter().map(|s| s.to_string()).collect();
    let needed: HashMap<String, BTreeSet<String>> =
        stages.iter().zip(passes::needed(stages)).map(|(s, set)| (s.name.clone(), owned(&set))).collect();
    // whether a stage is another, or needs it
    let waits = |stage: &StagePlan, other: &str| stage.name == other || needed.get(&stage.name).is_some_and(|n| n.contains(other));
    for i in 0..stages.len() {
        let decl = &experiment.stages[&stages[i].name];
        let at = decl.table.get("during").map_or(decl.at, |d| d.at);
        let (earlier, later) = stages.split_at_mut(i);
        let stage = &mut later[0];
        match stage.during.clone() {
            Some(during) => {
                // one that is not there was told, or could not be planned
                let Some(outer) = earlier.iter().find(|s| s.name == during.stage) else { continue };
                if !outer.trains() {
                    faults.add("bad-during", at, format!("the stage `{}` does not train, so no stage can run during it", outer.name));
                } else if outer.during.is_some() {
                    faults.add("bad-during", at, format!("the stage `{}` itself runs during another", outer.name));
                }
                for need in stage.needs.iter().filter(|n| **n != during.stage) {
                    let Some(needed) = earlier.iter().find(|s| s.name == *need) else { continue };
                    let inside = needed.during.as_ref().is_some_and(|d| d.stage == during.stage);
                    // it would run where the other has not run yet
                    if let Some(d) = needed.during.as_ref().filter(|d| inside && d.every > 0 && during.every % d.every != 0) {
                        let message = format!(
                            "`{}` runs every {} epochs of `{}` and needs `{need}`, which runs every {}",
                            stage.name, during.every, during.stage, d.every
                        );
                        faults.add("bad-during", at, message).help(format!("use a multiple of {0}: every = {0}", d.every));
                    }
                    if !inside && waits(needed, &during.stage) {
                        faults
                            .add(
                                "bad-during",
                                at,
                                format!("`{}` runs during `{}` and needs `{need}`, which runs after that", stage.name, during.stage),
                            )
                            .help(format!("in `{need}`: during = {{ stage = \"{}\", every = {} }}", during.stage, during.every));
                    }
                }
                for (model, origin) in &stage.drive.weights {
                    if matches!(origin, Origin::Stage { stage, at } if *stage == during.stage && *at != Checkpoint::Last) {
                        let at = crate::passes::origin_at(decl, model, at);
                        faults.add(
                            "bad-during",
                            at,
                            format!(
                                "a stage that runs during `{0}` uses its current weights, so it names the stage alone: \"{0}\"",
                                during.stage
                            ),
                        );
                    }
                }
            }
            None => stage.during = follows(earlier, stage, &waits),
        }
    }
}

/// A stage that reads from one that runs during a third runs with it, unless it waits for something after that.
fn follows(earlier: &[StagePlan], stage: &StagePlan, waits: &dyn Fn(&StagePlan, &str) -> bool) -> Option<During> {
    let needs = || stage.needs.iter().filter_map(|n| earlier.iter().find(|s| s.name == *n));
    let outer = needs().find_map(|s| s.during.as_ref())?.stage.clone();
    let every = needs().filter_map(|s| s.during.as_ref()).filter(|d| d.stage == outer).fold(1, |e, d| lcm(e, d.every));
    let fits = needs().all(|s| s.name == outer || s.during.as_ref().is_some_and(|d| d.stage == outer) || !waits(s, &outer));
    fits.then_some(During { stage: outer, every })
}

fn lcm(a: u64, b: u64) -> u64 {
    let (mut x, mut y) = (a, b);
    while y > 0 {
        (x, y) = (y, x % y);
    }
    // beyond all epochs is after the last
    (a / x.max(1)).saturating_mul(b)
}

/// The metrics that a schedule or `keep.best` goes by are there when an epoch ends.
pub(crate) fn check_metrics(experiment: &Experiment, stages: &[StagePlan], faults: &mut Faults) {
    for stage in stages.iter().filter(|s| s.trains()) {
        let decl = &experiment.stages[&stage.name];
        let place = |table: &str, key: &str| -> At {
            let item = decl.table.get(table);
            item.and_then(|t| t.as_table()?.get(key)).or(item).map_or(decl.at, |i| i.at)
        };
        let plateau = match &stage.drive.schedule {
            Some(Schedule::Plateau(p)) => Some((p.on.as_str(), place("schedule", "on"))),
            _ => None,
        };
        let best = stage.drive.keep.as_ref().and_then(|k| Some((k.best.as_deref()?, place("keep", "best"))));
        for (name, at) in plateau.into_iter().chain(best) {
            let known = metrics_during(stages, stage);
            if !known.iter().any(|k| k == name) {
                faults
                    .add("unknown-metric", at, format!("`{name}` is not a metric of `{}` or of a stage that runs during it", stage.name))
                    .nearest(name, known.iter().map(String::as_str));
            }
        }
    }
}

/// Names of what is known at the end of an epoch.
fn metrics_during(stages: &[StagePlan], stage: &StagePlan) -> Vec<String> {
    let own = stage.metrics.iter().map(|m| m.name.clone());
    let inner = stages.iter().filter(|s| s.during.as_ref().is_some_and(|d| d.stage == stage.name));
    own.chain(inner.flat_map(|s| s.metrics.iter().map(move |m| format!("{}/{}", s.name, m.name)))).collect()
}

/// Each group of parameters has some, and no parameter is in two.
pub(crate) fn check_groups(experiment: &Experiment, stages: &[StagePlan], models: &IndexMap<String, ModelPlan>, faults: &mut Faults) {
    for stage in stages.iter().filter(|s| s.trains()) {
        let decl = &experiment.stages[&stage.name];
        let table = decl.table.get("parameters").and_then(|t| t.as_table());
        let place = |name: &str| table.and_then(|t| t.entry(name)).map_or(decl.at, |e| e.key);
        let trained = stage.models.iter().filter(|(_, trained)| *trained).filter_map(|(m, _)| Some((m, models.get(m)?)));
        let all: Vec<(String, crate::kind::Role)> = trained
            .flat_map(|(m, plan)| plan.parameters.iter().filter(|p| p.role.trained()).map(move |p| (format!("{m}/{}", p.name), p.role)))
            .collect();
        let groups = &stage.drive.parameters;
        for (g, group) in groups.iter().enumerate() {
            let own: Vec<&(String, crate::kind::Role)> = all.iter().filter(|(p, r)| group.matches(p, *r)).collect();
            if own.is_empty() {
                let models = edges::list(stage.models.iter().filter(|(_, t)| *t).map(|(m, _)| m.as_str()));
                faults
                    .add(
                        "empty-group",
                        place(&group.name),
                        format!("the parameter group `{}` matches no parameter that `{}` trains", group.name, stage.name),
                    )
                    .help(format!("a pattern matches model/parameter; this stage trains the models {models}"));
            }
            for other in &groups[..g] {
                if let Some((path, _)) = own.iter().find(|(p, r)| other.matches(p, *r)) {
                    let message = format!("`{path}` is in both parameter groups `{}` and `{}`", other.name, group.name);
                    faults.add("groups-overlap", place(&group.name), message);
                }
            }
        }
    }
}

/// A model that averages another needs that one beside it in training, and somewhere to start from.
pub(crate) fn check_averages(experiment: &Experiment, stages: &[StagePlan], faults: &mut Faults) {
    for stage in stages {
        let decl = &experiment.stages[&stage.name];
        for (model, _) in &stage.models {
            let Some(ema) = experiment.models.get(model).and_then(|m| m.ema.as_ref()) else { continue };
            let beside = stage.models.iter().any(|(m, _)| *m == ema.of);
            let frozen = stage.drive.settings.frozen.contains(model);
            if !beside && stage.trains() && !frozen {
                faults
                    .add("no-average", decl.at, format!("`{model}` averages `{}`, which the stage `{}` does not apply", ema.of, stage.name))
                    .help(format!("apply `{}`, or freeze `{model}`", ema.of));
            } else if !beside && stage.drive.origin(model).is_none() {
                faults
                    .add(
                        "no-origin",
                        decl.at,
                        format!(
                            "`{model}` averages `{}`, which the stage `{}` does not apply, so the graph must say which weights it uses",
                            ema.of, stage.name
                        ),
                    )
                    .help("weights = \"STAGE\", a stage that trains");
            }
        }
    }
}
