//! What a plan's stages cost: parameters, arithmetic and memory of a step, and what an epoch reads. `docs/show.md` says what is counted.

use super::{passes, purpose, step, table, thousands, Pass};
use crate::net::Cost;
use crate::plan::{From, Plan, StagePlan};
use crate::port::{Dim, Type};
use crate::stage::Precision;
use serde_json::{json, Value};
use std::fmt::Write;

/// How many videos a stage's source has, where the data says so.
pub type Videos<'a> = &'a dyn Fn(&StagePlan) -> Option<usize>;

/// One model at one node.
struct Applied<'a> {
    pass: Pass<'a>,
    cost: Cost,
    /// Over all of its passes in a step.
    rows: u128,
    forward: u128,
    backward: u128,
    activations: u128,
}

/// What is read once through the data.
struct Epoch {
    steps: usize,
    videos: usize,
    clips: usize,
    bytes: u128,
}

struct StageCost<'a> {
    stage: &'a StagePlan,
    /// Numbers that the stage trains.
    trained: u128,
    applied: Vec<Applied<'a>>,
    /// Bytes of frames that one video's clips take.
    bytes_per_video: u128,
    step: Option<super::Step>,
    epoch: Option<Epoch>,
}

impl StageCost<'_> {
    fn sum(&self, of: impl Fn(&Applied) -> u128) -> u128 {
        self.applied.iter().fold(0, |sum, a| sum.saturating_add(of(a)))
    }
    fn flops(&self) -> u128 {
        self.sum(|a| a.forward.saturating_add(a.backward))
    }
}

/// Two operations for each multiply-add; backward once for the gradient of what it reads, and once for that of its weights.
fn applied<'a>(stage: &StagePlan, pass: Pass<'a>) -> Applied<'a> {
    let cost = pass.node.cost.unwrap_or_default();
    let rows = pass.rows.unwrap_or(0) as u128 * pass.times as u128;
    let forward = rows.saturating_mul(cost.multiply_adds).saturating_mul(2);
    let learns = stage.trains() && pass.node.gradient;
    let times = match (learns, pass.trained) {
        (false, _) => 0,
        (true, false) => 1,
        (true, true) => 2,
    };
    let width = if stage.drive.settings.precision == Some(Precision::Bf16) { 2 } else { 4 };
    let each = cost.kept.saturating_mul(width).saturating_add(cost.positions.saturating_mul(8));
    let activations = if learns { rows.saturating_mul(each) } else { 0 };
    Applied { rows, forward, backward: forward.saturating_mul(times), activations, cost, pass }
}

fn bytes_per_video(stage: &StagePlan) -> u128 {
    let reads = |from: &From| matches!(from, From::Node { node, port } if stage.nodes[*node].outputs[*port].ty == Type::Video);
    let readers = stage.nodes.iter().filter(|n| n.inputs.iter().any(|i| reads(&i.from)));
    let clips = readers.flat_map(|n| &n.outputs).filter(|p| p.ty == Type::Bytes);
    let bytes = clips.map(|p| crate::budget::product(p.shape.iter().filter_map(Dim::known).chain([p.items()])));
    bytes.fold(0, u128::saturating_add)
}

fn cost<'a>(plan: &'a Plan, stage: &'a StagePlan, videos: Videos) -> StageCost<'a> {
    let of_trained = stage.models.iter().filter(|(_, trained)| *trained).filter_map(|(m, _)| plan.models.get(m));
    let (step, bytes_per_video) = (step(plan, stage), bytes_per_video(stage));
    let epoch = step.as_ref().and_then(|step| {
        let all = videos(stage)?;
        let drops = stage.trains() && stage.drive.drops_last();
        let steps = if drops { all / step.videos } else { all.div_ceil(step.videos) };
        let videos = if drops { steps * step.videos } else { all };
        let clips = videos.saturating_mul(stage.clips_per_sample());
        Some(Epoch { steps, videos, clips, bytes: bytes_per_video.saturating_mul(videos as u128) })
    });
    StageCost {
        stage,
        trained: of_trained.fold(0, |sum, m| sum.saturating_add(m.count() as u128)),
        applied: passes(plan, stage).into_iter().map(|pass| applied(stage, pass)).collect(),
        bytes_per_video: if stage.source.is_some() { bytes_per_video } else { 0 },
        step,
        epoch,
    }
}

fn chosen<'a>(plan: &'a Plan, only: Option<&'a str>) -> impl Iterator<Item = &'a StagePlan> {
    plan.stages.iter().filter(move |s| only.is_none_or(|name| name == s.name))
}

/// `13.2 GFLOP`, `4.10 GB`.
fn scaled(n: u128, unit: &str) -> String {
    let mut value = n as f64;
    for prefix in ["", "k", "M", "G", "T", "P"] {
        if value < 999.5 || prefix == "P" {
            let digits = if prefix.is_empty() || value >= 100.0 { 0 } else { 2 - usize::from(value >= 10.0) };
            return format!("{value:.digits$} {prefix}{unit}");
        }
        value /= 1000.0;
    }
    unreachable!("the last prefix ends the loop")
}

const FOOT: &str = "FLOPs are 2 x the multiply-adds of models' convolutions and linear layers; backward is twice the forward where the stage trains the model, once
where gradients only pass through it. Activations are what layers keep for backward. Packed frames are those of all clips, as u8 RGB.
Not counted: losses, views, other layers, the optimiser.";

/// The cost of all stages, or of one.
pub fn cost_text(plan: &Plan, only: Option<&str>, videos: Videos) -> String {
    let mut out = format!("{}: {}\n\n", plan.name, plan.about);
    for stage in chosen(plan, only) {
        stage_text(&cost(plan, stage, videos), &mut out);
    }
    out + FOOT
}

fn stage_text(c: &StageCost, out: &mut String) {
    let purpose = purpose(c.stage);
    let sort = if c.stage.trains() { "trains" } else { "evaluates" };
    let _ = writeln!(out, "stage {} ({sort}){}{purpose}", c.stage.name, if purpose.is_empty() { "" } else { ": " });
    let _ = writeln!(out, "  trained parameters: {}", thousands(c.trained));
    if let Some(step) = &c.step {
        let (flops, kept) = (scaled(c.flops(), "FLOP"), scaled(c.sum(|a| a.activations), "B"));
        let frames = scaled(c.bytes_per_video.saturating_mul(step.videos as u128), "B");
        let (videos, clips) = (thousands(step.videos), thousands(step.clips));
        let _ = writeln!(out, "  a step: {videos} videos, {clips} clips, {flops}, activations {kept}, packed frames {frames}");
    }
    if let Some(epoch) = &c.epoch {
        let name = if c.stage.trains() { "an epoch" } else { "all of it" };
        let (steps, videos, clips) = (thousands(epoch.steps), thousands(epoch.videos), thousands(epoch.clips));
        let _ = writeln!(out, "  {name}: {steps} steps, {videos} videos, {clips} clips, packed frames {}", scaled(epoch.bytes, "B"));
    }
    let rows = c.applied.iter().map(|a| {
        let state = if a.pass.trained { "trained" } else { "fixed" };
        vec![
            a.pass.model.to_string(),
            state.into(),
            a.pass.node.path.clone(),
            a.pass.count(),
            format!("{} forward a row", scaled(a.cost.multiply_adds.saturating_mul(2), "FLOP")),
            format!("{} forward", scaled(a.forward, "FLOP")),
            format!("{} backward", scaled(a.backward, "FLOP")),
            format!("activations {}", scaled(a.activations, "B")),
        ]
    });
    out.push_str(&table(&rows.collect::<Vec<_>>(), "  "));
    out.push('\n');
}

/// The same as one document.
pub fn cost_json(plan: &Plan, only: Option<&str>, videos: Videos) -> Value {
    let stages: Vec<Value> = chosen(plan, only).map(|stage| stage_json(&cost(plan, stage, videos))).collect();
    json!({ "name": plan.name, "stages": stages })
}

/// JSON's numbers end at 64 bits.
fn number(n: u128) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn stage_json(c: &StageCost) -> Value {
    let applied = |a: &Applied| {
        json!({
            "model": a.pass.model, "node": a.pass.node.path, "trained": a.pass.trained, "rows": number(a.rows),
            "multiply_adds_per_row": number(a.cost.multiply_adds), "forward_flops": number(a.forward),
            "backward_flops": number(a.backward), "activation_bytes": number(a.activations),
        })
    };
    let step = c.step.as_ref().map(|step| {
        json!({
            "videos": step.videos, "clips": step.clips, "flops": number(c.flops()),
            "activation_bytes": number(c.sum(|a| a.activations)),
            "packed_bytes": number(c.bytes_per_video.saturating_mul(step.videos as u128)),
        })
    });
    let epoch = c
        .epoch
        .as_ref()
        .map(|epoch| json!({ "steps": epoch.steps, "videos": epoch.videos, "clips": epoch.clips, "packed_bytes": number(epoch.bytes) }));
    json!({
        "name": c.stage.name, "trained_parameters": number(c.trained), "step": step, "epoch": epoch,
        "passes": c.applied.iter().map(applied).collect::<Vec<_>>(),
    })
}
