//! A plan for Graphviz: stages and groups as clusters.

use super::tree::{links, tree, Branch};
use super::{guards, passes, place, purpose, register, shape, weights, what, without_gradient};
use crate::plan::{From, Place, Plan, StagePlan};
use std::fmt::Write;

/// A text as a DOT string.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// A label of several lines.
fn lines(list: &[String]) -> String {
    quoted(&list.join("\n"))
}

pub fn dot(plan: &Plan) -> String {
    let mut out = String::new();
    let title = format!("{}\n{}", plan.name, plan.about);
    let _ = writeln!(out, "digraph {} {{", quoted(&plan.name));
    let _ = writeln!(out, "  label={}; labelloc=t; compound=true; fontname=\"Helvetica\";", quoted(&title));
    let _ = writeln!(out, "  node [shape=box, style=filled, fontname=\"Helvetica\", fontsize=11];");
    let _ = writeln!(out, "  edge [fontname=\"Helvetica\", fontsize=9];");
    for stage in &plan.stages {
        stage_dot(plan, stage, &mut out);
    }
    for stage in &plan.stages {
        between(plan, stage, &mut out);
    }
    out.push_str("}\n");
    out
}

fn id(stage: &StagePlan, node: usize) -> String {
    quoted(&format!("{}/{}", stage.name, stage.nodes[node].path))
}

fn stage_dot(plan: &Plan, stage: &StagePlan, out: &mut String) {
    let _ = writeln!(out, "  subgraph {} {{", quoted(&format!("cluster_{}", stage.name)));
    let sort = if stage.trains() { "trains" } else { "evaluates" };
    let _ = writeln!(out, "    label={}; style=rounded;", quoted(&format!("{} ({sort})\n{}", stage.name, purpose(stage))));
    let paths: Vec<&str> = stage.nodes.iter().map(|n| n.path.as_str()).collect();
    for branch in tree(&paths) {
        branch_dot(plan, stage, &branch, 2, out);
    }
    for link in links(stage).0.iter().filter(|l| l.from < stage.nodes.len()) {
        let port = &stage.nodes[link.from].outputs[link.port];
        let mut label = shape(port);
        if !link.inputs.is_empty() {
            let _ = write!(label, "\n{}", link.inputs.join(", "));
        }
        let style = if link.gradient { "penwidth=2" } else { "color=gray60" };
        let _ = writeln!(out, "    {} -> {} [label={}, {style}];", id(stage, link.from), id(stage, link.to), quoted(&label));
    }
    out.push_str("  }\n");
}

fn branch_dot(plan: &Plan, stage: &StagePlan, branch: &Branch, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match branch {
        Branch::Group { path, inside } => {
            let _ = writeln!(out, "{indent}subgraph {} {{", quoted(&format!("cluster_{}/{path}", stage.name)));
            let _ = writeln!(out, "{indent}  label={}; style=dashed;", quoted(path.rsplit('/').next().unwrap_or(path)));
            inside.iter().for_each(|b| branch_dot(plan, stage, b, depth + 1, out));
            let _ = writeln!(out, "{indent}}}");
        }
        Branch::Node(i) => {
            let node = &stage.nodes[*i];
            let colour = match node.place {
                Place::Host => "#dfebf9",
                Place::Device => "#fdeccf",
                Place::End => "#e9e1f6",
            };
            let mut rows = vec![node.path.rsplit('/').next().unwrap_or(&node.path).to_string(), what(node)];
            rows.push(format!("{}, {}", place(node.place), node.rate));
            for pass in passes(plan, stage).iter().filter(|p| p.node.path == node.path) {
                rows.push(pass.count());
                rows.push(super::text::norm(pass));
            }
            if without_gradient(stage, node) {
                rows.push("no gradient".into());
            }
            rows.extend(guards(stage, node));
            rows.extend(register(stage, node));
            let shape = if node.model.is_some() { ", style=\"filled,rounded\"" } else { "" };
            let pen = if node.gradient { ", penwidth=2" } else { "" };
            let _ = writeln!(out, "{indent}{} [label={}, fillcolor=\"{colour}\"{shape}{pen}];", id(stage, *i), lines(&rows));
        }
    }
}

/// Tables that a stage reads from others, and the stages whose weights it takes.
fn between(plan: &Plan, stage: &StagePlan, out: &mut String) {
    for (i, node) in stage.nodes.iter().enumerate() {
        for input in &node.inputs {
            if let From::Stage { stage: other, node, port } = &input.from {
                let from = quoted(&format!("{other}/{node}"));
                let _ = writeln!(out, "  {from} -> {} [label={}, style=dashed];", id(stage, i), quoted(&format!("{port}\n{}", input.name)));
            }
        }
    }
    for (model, from) in weights(stage) {
        let Some(other) = plan.stages.iter().find(|s| s.name == from) else { continue };
        let (Some(last), false) = (other.nodes.len().checked_sub(1), stage.nodes.is_empty()) else { continue };
        let clusters = [other, stage].map(|s| quoted(&format!("cluster_{}", s.name)));
        let label = if model == "*" { "weights".to_string() } else { format!("weights of {model}") };
        let (a, b) = (id(other, last), id(stage, 0));
        let _ = writeln!(out, "  {a} -> {b} [ltail={}, lhead={}, label={}, style=bold];", clusters[0], clusters[1], quoted(&label));
    }
}
