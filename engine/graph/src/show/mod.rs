//! A plan for people and for programs: as text, as a figure (SVG, DOT), as JSON. All of them say the same.

mod cost;
mod dot;
mod figure;
mod json;
mod layout;
mod paint;
mod passes;
mod svg;
mod text;
mod tree;

pub use cost::{cost_json, cost_text};
pub use dot::dot;
pub use json::json;
pub use passes::{passes, Norm, Pass};
pub use svg::svg;
pub(crate) use text::table;
pub use text::text;

use crate::plan::{From, InputPlan, NodePlan, Place, Plan, StagePlan};
use crate::port::Port;
use crate::stage::{Checkpoint, Ema, Momentum, Origin};

/// `14356544` as `14,356,544`.
pub fn thousands(n: impl std::fmt::Display) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

pub(crate) fn place(place: Place) -> &'static str {
    match place {
        Place::Host => "host",
        Place::Device => "device",
        Place::End => "end",
    }
}

/// The kind, or the model that is applied.
fn what(node: &NodePlan) -> String {
    node.model.as_ref().map_or_else(|| node.entry.name.to_string(), |m| format!("apply {m}"))
}

/// A shape without its type: `[B, view 3, 128]`, or `scalar`.
fn shape(port: &Port) -> String {
    match port.to_string().split_once(' ') {
        Some((_, shape)) => shape.to_string(),
        None => "scalar".to_string(),
    }
}

/// What a stage does, in a line.
pub(crate) fn purpose(stage: &StagePlan) -> String {
    let s = &stage.drive.settings;
    let batch = s.batch.map(|b| format!("batch {b}"));
    let during = stage.during.as_ref().map(|d| match d.every {
        1 => format!("during {}", d.stage),
        n => format!("during {}, every {n} epochs", d.stage),
    });
    let what = match (s.epochs, stage.trains()) {
        (Some(epochs), true) => {
            let world = format!("in a world of {}", stage.drive.world());
            let loss = s.minimise.as_deref().unwrap_or_default();
            let last = if stage.drive.drops_last() { "" } else { ", keeps a shorter last batch" };
            format!("{epochs} epochs, {} {world}, minimises {loss}{last}", batch.unwrap_or_default())
        }
        _ => batch.unwrap_or_default(),
    };
    during.into_iter().chain(Some(what).filter(|w| !w.is_empty())).collect::<Vec<_>>().join(", ")
}

/// Whether a node computes something that the loss would have to flow through, and does not: what the figures mark.
fn without_gradient(stage: &StagePlan, node: &NodePlan) -> bool {
    stage.trains() && node.place == Place::Device && !node.gradient
}

/// What the numbers of a drawn choice mean: `0 = plain`, `1 = base`. Nothing for a node that draws none.
pub(crate) fn choices(stage: &StagePlan, node: usize) -> Vec<String> {
    let branches = if stage.nodes[node].entry.chooses { stage.branches(node) } else { Vec::new() };
    branches.into_iter().enumerate().map(|(i, name)| format!("{i} = {name}")).collect()
}

/// What a step of a stage takes: videos, clips that are read of them, rows of each model over all of its passes.
pub(crate) struct Step {
    pub videos: usize,
    pub clips: usize,
    pub rows: Vec<(String, usize)>,
}

/// Nothing for a stage that reads no videos.
pub(crate) fn step(plan: &Plan, stage: &StagePlan) -> Option<Step> {
    let videos = stage.drive.settings.batch.filter(|_| stage.source.is_some())?;
    let mut rows: Vec<(String, usize)> = Vec::new();
    for pass in passes(plan, stage) {
        let own = pass.rows.unwrap_or(0) * pass.times;
        match rows.iter_mut().find(|(model, _)| model == pass.model) {
            Some((_, all)) => *all += own,
            None => rows.push((pass.model.to_string(), own)),
        }
    }
    Some(Step { videos, clips: videos * stage.clips_per_sample(), rows })
}

/// Which rows of the batch reach a node: `rows of view_0 = plain`.
fn guards(stage: &StagePlan, node: &NodePlan) -> Vec<String> {
    let text = |g: &crate::plan::Guard| format!("rows of {} = {}", stage.nodes[g.choose].path, stage.branches(g.choose)[g.branch]);
    node.guards.iter().map(text).collect()
}

/// Whether gradients flow back along an edge.
fn carries_gradient(stage: &StagePlan, node: &NodePlan, input: &InputPlan) -> bool {
    match input.from {
        From::Node { node: from, port } => {
            let from = &stage.nodes[from];
            node.gradient && from.gradient && from.outputs[port].ty == crate::port::Type::Float
        }
        From::Stage { .. } => false,
    }
}

/// What a register keeps and what changes it: `rows float [64, 8]`, `written: rows = key.features`.
fn register(stage: &StagePlan, node: &NodePlan) -> Vec<String> {
    let Some(register) = &node.register else { return Vec::new() };
    let lengths = |shape: &[crate::port::Dim]| shape.iter().map(|d| d.to_string()).collect::<Vec<_>>().join(", ");
    let kept = register.state.iter().map(|s| format!("keeps {} {} [{}]", s.name, s.ty, lengths(&s.shape)));
    let edges = |what: &'static str, list: &'_ [InputPlan]| list.iter().map(|i| format!("{what} {}", edge(stage, i))).collect::<Vec<_>>();
    kept.chain(edges("after a step", &register.writes)).chain(edges("starts from", &register.initial)).collect()
}

/// `input = node.port[item]`.
pub(crate) fn edge(stage: &StagePlan, input: &InputPlan) -> String {
    match (&input.from, input.item) {
        (From::Node { node, port }, item) => {
            let from = &stage.nodes[*node];
            let item =
                item.map(|(axis, item)| format!("[{}]", from.outputs[*port].axes[axis].item(item).unwrap_or_default())).unwrap_or_default();
            format!("{} = {}.{}{item}", input.name, from.path, from.entry.outputs[*port].name)
        }
        (From::Stage { stage, node, port }, _) => format!("{} = {stage}/{node}.{port}", input.name),
    }
}

/// `averages encoder, momentum 0.999`.
pub(crate) fn average(ema: &Ema) -> String {
    let momentum = match &ema.momentum {
        Momentum::Constant(m) => m.to_string(),
        Momentum::Cosine(c) => format!("{} to {}", c.from, c.to),
    };
    format!("averages {}, momentum {momentum}", ema.of)
}

/// Where the values of models come from, as a person says it: `encoder: pretrain, epoch 190`.
pub(crate) fn origins(stage: &StagePlan) -> Vec<String> {
    let text = |origin: &Origin| match origin {
        Origin::Initial => "initial".to_string(),
        Origin::Stage { stage, at: Checkpoint::Last } => stage.clone(),
        Origin::Stage { stage, at: Checkpoint::Epoch(epoch) } => format!("{stage}, epoch {epoch}"),
        Origin::Stage { stage, at: Checkpoint::Best } => format!("{stage}, its best"),
        Origin::File { file, .. } => file.display().to_string(),
    };
    let all = stage.drive.weights.iter();
    all.map(|(model, origin)| if model == "*" { text(origin) } else { format!("{model}: {}", text(origin)) }).collect()
}

/// Stages whose weights a stage takes, with the model (`*`: those that are not named).
fn weights(stage: &StagePlan) -> impl Iterator<Item = (&str, &str)> {
    stage.drive.weights.iter().filter_map(|(model, origin)| match origin {
        Origin::Stage { stage: from, .. } => Some((model.as_str(), from.as_str())),
        _ => None,
    })
}
