//! A plan as one JSON document, for programs. `docs/show.md` says what its fields mean; a test compares.

use super::{carries_gradient, edge, guards, passes, place, step, Norm, Pass};
use crate::plan::{From, InputPlan, NodePlan, Plan, StagePlan};
use crate::port::{Dim, Port};
use crate::stage::{Checkpoint, Origin};
use serde_json::{json, Map, Value};

pub fn json(plan: &Plan) -> Value {
    let models: Map<String, Value> = plan
        .models
        .iter()
        .map(|(name, m)| {
            let average_of = m.ema.as_ref().map(|e| e.of.as_str());
            let model = json!({
                "kind": m.entry.name, "average_of": average_of, "parameters": m.count(), "names": m.names, "tensors": tensors(m),
            });
            (name.clone(), model)
        })
        .collect();
    json!({
        "name": plan.name,
        "about": plan.about,
        "seed": plan.seed,
        "models": models,
        "stages": plan.stages.iter().map(|s| stage(plan, s)).collect::<Vec<_>>(),
    })
}

fn tensors(model: &crate::plan::ModelPlan) -> Vec<Value> {
    model.parameters.iter().map(|p| json!({ "name": p.name, "shape": p.shape, "trained": p.role.trained() })).collect()
}

fn stage(plan: &Plan, stage: &StagePlan) -> Value {
    let s = &stage.drive.settings;
    let weights: Map<String, Value> = stage
        .drive
        .weights
        .iter()
        .map(|(model, origin)| {
            let value = match origin {
                Origin::Initial => json!("initial"),
                Origin::Stage { stage, at: Checkpoint::Last } => json!({ "stage": stage }),
                Origin::Stage { stage, at: Checkpoint::Epoch(epoch) } => json!({ "stage": stage, "epoch": epoch }),
                Origin::Stage { stage, at: Checkpoint::Best } => json!({ "stage": stage, "keep": "best" }),
                Origin::File { file, .. } => json!({ "file": file }),
            };
            (model.clone(), value)
        })
        .collect();
    let source = stage.source().map(
        |s| json!({ "set": s.set, "split": s.split, "hold_out": s.held.as_ref().map_or(0, |h| h.rows), "hold_out_seed": s.held.as_ref().map(|h| h.seed), "part": s.held.as_ref().map(|h| h.part.name()), "height": s.height, "width": s.width, "streams": s.streams }),
    );
    let output = |(n, p): (usize, usize)| format!("{}.{}", stage.nodes[n].path, stage.nodes[n].entry.outputs[p].name);
    json!({
        "name": stage.name,
        "trains": stage.trains(),
        "needs": stage.needs,
        "during": stage.during.as_ref().map(|d| json!({ "stage": d.stage, "every": d.every })),
        "weights": weights,
        "epochs": s.epochs,
        "batch": s.batch,
        "drop_last": stage.trains().then(|| stage.drive.drops_last()),
        "world": stage.drive.world(),
        "minimise": stage.minimise.map(output),
        "metrics": stage.metrics.iter().map(|m| json!({ "name": m.name, "reported": m.reported })).collect::<Vec<_>>(),
        "data": source,
        "models": stage.models.iter().map(|(m, trained)| json!({ "model": m, "trained": trained })).collect::<Vec<_>>(),
        "step": step(plan, stage).map(|s| json!({
            "videos": s.videos,
            "clips": s.clips,
            "model_rows": s.rows.iter().map(|(model, rows)| json!({ "model": model, "rows": rows })).collect::<Vec<_>>(),
        })),
        "nodes": (0..stage.nodes.len()).map(|n| node(stage, n)).collect::<Vec<_>>(),
        "passes": passes(plan, stage).iter().map(pass).collect::<Vec<_>>(),
    })
}

fn node(stage: &StagePlan, index: usize) -> Value {
    let node = &stage.nodes[index];
    let choices = if node.entry.chooses { stage.branches(index) } else { Vec::new() };
    let outputs = node.entry.outputs.iter().zip(&node.outputs).map(|(out, p)| port(out.name, p));
    json!({
        "path": node.path,
        "kind": node.entry.name,
        "model": node.model,
        "place": place(node.place),
        "rate": node.rate.to_string(),
        "gradient": node.gradient,
        "training": node.training,
        "fold": node.fold.iter().map(|a| a.name.as_str()).collect::<Vec<_>>(),
        "only": guards(stage, node),
        "choices": choices,
        "inputs": node.inputs.iter().map(|i| input(stage, node, i)).collect::<Vec<_>>(),
        "outputs": outputs.collect::<Vec<_>>(),
        "register": node.register.as_ref().map(|r| json!({
            "tensors": r.state.iter().map(|s| json!({
                "name": s.name, "type": s.ty.to_string(), "shape": s.shape.iter().map(length).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "writes": r.writes.iter().map(|i| edge(stage, i)).collect::<Vec<_>>(),
            "initial": r.initial.iter().map(|i| edge(stage, i)).collect::<Vec<_>>(),
        })),
    })
}

fn length(d: &Dim) -> Value {
    d.known().map_or_else(|| json!(d.to_string()), |n| json!(n))
}

fn input(stage: &StagePlan, node: &NodePlan, input: &InputPlan) -> Value {
    let (from, other) = match &input.from {
        From::Node { node, port } => (format!("{}.{}", stage.nodes[*node].path, stage.nodes[*node].entry.outputs[*port].name), None),
        From::Stage { stage, node, port } => (format!("{node}.{port}"), Some(stage)),
    };
    let item = match (&input.from, input.item) {
        (From::Node { node, port }, Some((axis, item))) => stage.nodes[*node].outputs[*port].axes[axis].item(item),
        _ => None,
    };
    json!({ "name": input.name, "stage": other, "from": from, "item": item, "gradient": carries_gradient(stage, node, input) })
}

fn port(name: &str, port: &Port) -> Value {
    json!({
        "name": name,
        "type": port.ty.to_string(),
        "rows": port.rows,
        "axes": port.axes.iter().map(|a| json!({ "name": a.name, "items": a.items().collect::<Vec<_>>() })).collect::<Vec<_>>(),
        "shape": port.shape.iter().map(length).collect::<Vec<_>>(),
        "range": port.range.as_ref().map(length),
        "text": port.to_string(),
    })
}

fn pass(pass: &Pass) -> Value {
    let (norm, rows) = match pass.norm {
        Norm::None => (None, None),
        Norm::Running => (Some("running"), None),
        Norm::Batch(rows) => (Some("batch"), rows),
    };
    json!({
        "model": pass.model, "node": pass.node.path, "trained": pass.trained, "times": pass.times, "rows_per_sample": pass.per_sample, "rows": pass.rows,
        "batch_norm": norm, "batch_norm_rows": rows,
    })
}
