//! What holds between passes and between stages: who updates buffers first, and where weights come from.

use crate::assemble::Wired;
use crate::edges;
use crate::experiment::{Experiment, Mode, StageDecl};
use crate::fault::Faults;
use crate::kind::Parameter;
use crate::live;
use crate::plan::StagePlan;
use crate::source::At;
use crate::stage::{Checkpoint, Origin};
use std::collections::BTreeSet;

/// Two passes that update the same buffers, neither feeding the other, need `after`.
pub(crate) fn check_passes(
    wired: &Wired,
    live: &[usize],
    parameters: &[(String, Vec<Parameter>, At)],
    in_training: &dyn Fn(&str) -> bool,
    faults: &mut Faults,
) {
    let buffered = |model: &str| parameters.iter().any(|(m, list, _)| m == model && list.iter().any(|p| !p.role.trained()));
    // an `after` that names nothing was reported with the order
    let (stage, before) = (wired.stage, edges::earlier(wired.stage, &wired.edges, &mut Faults::default()));
    let before = live::ancestors(&wired.order, &before);
    let passes: Vec<usize> = live
        .iter()
        .copied()
        .filter(|i| {
            let node = &stage.nodes[*i];
            let training = node.mode.map_or_else(|| node.model.as_deref().is_some_and(in_training), |m| m == Mode::Train);
            training && node.model.as_deref().is_some_and(buffered)
        })
        .collect();
    for (n, &a) in passes.iter().enumerate() {
        for &b in &passes[n + 1..] {
            if stage.nodes[a].model != stage.nodes[b].model {
                continue;
            }
            if !before.holds(a, b) && !before.holds(b, a) {
                if faults.is_full() {
                    faults.count_more(1);
                    continue;
                }
                let (first, second) = (&stage.nodes[a].path, &stage.nodes[b].path);
                let model = stage.nodes[a].model.as_deref().unwrap_or_default();
                faults
                    .add(
                        "needs-after",
                        stage.nodes[b].at,
                        format!("`{first}` and `{second}` both update the running statistics of `{model}`, and their order is not given"),
                    )
                    .help(format!("to run `{first}` first: after = \"{first}\""));
            }
        }
    }
}

/// For each stage, those that it needs and those that these need. Needs lead to earlier stages only.
pub(crate) fn needed(stages: &[StagePlan]) -> Vec<BTreeSet<&str>> {
    let mut all: Vec<BTreeSet<&str>> = Vec::with_capacity(stages.len());
    for stage in stages {
        let mut own: BTreeSet<&str> = stage.needs.iter().map(String::as_str).collect();
        for (earlier, theirs) in stages.iter().zip(&all).filter(|(s, _)| stage.needs.contains(&s.name)) {
            own.insert(&earlier.name);
            own.extend(theirs);
        }
        all.push(own);
    }
    all
}

/// Where the origin of a model is written.
pub(crate) fn origin_at(decl: &StageDecl, model: &str, whole: At) -> At {
    let weights = decl.table.get("weights").and_then(|w| w.as_table());
    weights.and_then(|t| t.get(model).or_else(|| t.get("*"))).map_or(whole, |i| i.at)
}

/// One list of a file's paths cannot be that of two models.
fn check_names(stage: &StagePlan, at: At, faults: &mut Faults) {
    let origin = |name: &str| stage.drive.weights.iter().find(|(n, _)| n == name).map(|(_, origin)| origin);
    if let Some(Origin::File { names: Some(_), .. }) = origin("*") {
        let models: Vec<&str> = stage.models.iter().map(|(m, _)| m.as_str()).filter(|m| origin(m).is_none()).collect();
        if let [first, _, ..] = models[..] {
            faults
                .add(
                    "bad-names",
                    at,
                    format!("`names` says what the file calls one model; here it would be that of {}", edges::list(models.into_iter())),
                )
                .help(format!("give each its own: weights = {{ {first} = {{ file = \"...\", names = [\"...\"] }}, ... }}"));
        }
    }
}

/// A model that an earlier stage trained must have an origin, and an origin must be a stage that trains the model.
pub(crate) fn check_origins(experiment: &Experiment, stages: &[StagePlan], faults: &mut Faults) {
    let needed = needed(stages);
    for (i, stage) in stages.iter().enumerate() {
        let decl = &experiment.stages[&stage.name];
        let at = decl.table.get("weights").map_or(decl.at, |w| w.at);
        check_names(stage, at, faults);
        for (model, _) in &stage.models {
            match stage.drive.origin(model) {
                None => {
                    // a stage that trains may be the first to do so; one that only reads never is
                    let first = |j: usize| if stage.trains() { j > i } else { needed[j].contains(stage.name.as_str()) };
                    let trained: Vec<&str> = (0..stages.len())
                        .filter(|j| *j != i && !first(*j) && stages[*j].models.iter().any(|(m, t)| m == model && *t))
                        .map(|j| stages[j].name.as_str())
                        .collect();
                    if !trained.is_empty() {
                        faults
                            .add(
                                "no-origin",
                                decl.at,
                                format!(
                                    "the stage `{}` applies `{model}`, which {} trains: `weights` must say which values it uses",
                                    stage.name,
                                    edges::list(trained.iter().copied())
                                ),
                            )
                            .help(format!("weights = \"{}\", or weights = \"initial\"", trained[0]));
                    }
                }
                Some(Origin::Initial | Origin::File { .. }) => {}
                Some(Origin::Stage { stage: from, at: checkpoint }) => {
                    // one that does not come before was told as a cycle, or could not be planned
                    let Some(other) = stages[..i].iter().find(|s| s.name == *from) else { continue };
                    let at = origin_at(decl, model, at);
                    // a checkpoint holds all models of its stage, those that it kept as they were included
                    if !other.trains() {
                        faults.add("no-origin", at, format!("the stage `{from}` does not train, so it has no weights to take"));
                    } else if !other.models.iter().any(|(m, _)| m == model) {
                        faults.add("no-origin", at, format!("the stage `{from}` does not apply `{model}`")).help(format!(
                            "weights = {{ {model} = \"initial\", \"*\" = \"{from}\" }}, or name the stage that trains `{model}`"
                        ));
                    } else if let (Checkpoint::Epoch(epoch), Some(epochs)) = (checkpoint, other.drive.settings.epochs) {
                        if !(1..=epochs).contains(epoch) {
                            faults.add("no-origin", at, format!("the stage `{from}` has epochs 1 to {epochs}"));
                        }
                    } else if *checkpoint == Checkpoint::Best && other.drive.keep.as_ref().is_none_or(|k| k.best.is_none()) {
                        faults
                            .add("no-origin", at, format!("the stage `{from}` keeps no best checkpoint"))
                            .help(format!("in `{from}`: keep = {{ best = \"node.port\" }}"));
                    }
                }
            }
        }
    }
}
