//! A plan for people and for programs: as text, as a figure (SVG, DOT), as JSON. All of them say the same.

mod dot;
mod figure;
mod json;
mod layout;
mod paint;
mod svg;
mod text;
mod tree;

pub use dot::dot;
pub use json::json;
pub use svg::svg;
pub(crate) use text::table;
pub use text::text;

use crate::plan::{From, InputPlan, NodePlan, Place, Plan, StagePlan};
use crate::port::Port;
use crate::stage::{BatchNorm, Checkpoint, Ema, Momentum, Origin};

/// `14356544` as `14,356,544`.
pub fn thousands(n: usize) -> String {
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
            format!("{epochs} epochs, {} {world}, minimises {loss}", batch.unwrap_or_default())
        }
        _ => batch.unwrap_or_default(),
    };
    during.into_iter().chain(Some(what).filter(|w| !w.is_empty())).collect::<Vec<_>>().join(", ")
}

/// Whether a node computes something that the loss would have to flow through, and does not: what the figures mark.
fn without_gradient(stage: &StagePlan, node: &NodePlan) -> bool {
    stage.trains() && node.place == Place::Device && !node.gradient
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
            let item = item.map(|(axis, item)| format!("[{}]", from.outputs[*port].axes[axis].items[item])).unwrap_or_default();
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

/// One application of a model to a batch.
pub struct Pass<'a> {
    pub model: &'a str,
    pub node: &'a NodePlan,
    /// Whether the stage trains the model.
    pub trained: bool,
    /// How often it is applied: once, or once for each item.
    pub times: usize,
    /// Rows for each sample of the batch: the items that are folded into one pass.
    pub per_sample: usize,
    /// Rows of one pass, where the stage has a batch.
    pub rows: Option<usize>,
    pub norm: Norm,
}

/// What the batch norms of a pass do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// There are none.
    None,
    /// Statistics of so many rows, where known; running statistics are updated.
    Batch(Option<usize>),
    /// Running statistics are used.
    Running,
}

impl Pass<'_> {
    /// `3B`.
    pub fn per(&self) -> String {
        if self.per_sample == 1 {
            "B".to_string()
        } else {
            format!("{}B", self.per_sample)
        }
    }
    /// `3B = 192 rows`, or `3 times B = 64 rows`.
    pub fn count(&self) -> String {
        let times = if self.times == 1 { String::new() } else { format!("{} times ", self.times) };
        let rows = self.rows.map_or_else(String::new, |rows| format!(" = {} rows", thousands(rows)));
        format!("{times}{}{rows}", self.per())
    }
}

/// Each model's passes, in order.
pub fn passes<'a>(plan: &'a Plan, stage: &'a StagePlan) -> Vec<Pass<'a>> {
    let batch = stage.drive.settings.batch;
    let parts = match stage.drive.settings.batch_norm {
        Some(BatchNorm::PerRank) => stage.drive.world(),
        _ => 1,
    };
    let mut out = Vec::new();
    for (model, trained) in &stage.models {
        let buffers = plan.models.get(model).is_some_and(|m| m.has_buffers());
        for node in stage.nodes.iter().filter(|n| n.model.as_ref() == Some(model)) {
            let times = node.passes.map_or(1, |axis| node.fold[axis].len());
            let items: usize = node.fold.iter().map(|a| a.len()).product();
            let per_sample = items / times.max(1);
            let rows = batch.filter(|_| node.outputs.iter().any(|p| p.rows)).map(|b| b * per_sample);
            let norm = match (buffers, node.training) {
                (false, _) => Norm::None,
                (true, true) => Norm::Batch(rows.map(|r| r / parts)),
                (true, false) => Norm::Running,
            };
            out.push(Pass { model, node, trained: *trained, times, per_sample, rows, norm });
        }
    }
    out
}
