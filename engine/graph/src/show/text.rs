//! A plan as text: order, shapes and rates, what runs where, passes and batch-norm rows.

use super::{average, choices, guards, origins, passes, place, purpose, register, step, thousands, what, without_gradient, Norm, Pass};
use crate::plan::{Plan, StagePlan};
use std::fmt::Write;

/// Cells below each other, two spaces between the columns.
pub(crate) fn table(rows: &[Vec<String>], indent: &str) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> =
        (0..columns).map(|c| rows.iter().filter_map(|r| r.get(c)).map(|s| s.chars().count()).max().unwrap_or(0)).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = indent.to_string();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

pub fn text(plan: &Plan) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}: {}\nseed {}\n", plan.name, plan.about, plan.seed);
    if !plan.models.is_empty() {
        let _ = writeln!(out, "models");
        let rows: Vec<Vec<String>> = plan
            .models
            .iter()
            .map(|(n, m)| {
                let ema = m.ema.as_ref().map(average).unwrap_or_default();
                vec![n.clone(), m.entry.name.into(), format!("{} parameters", thousands(m.count())), m.names.join(", "), ema]
            })
            .collect();
        let _ = writeln!(out, "{}", table(&rows, "  "));
    }
    if plan.stages.len() > 1 {
        let names: Vec<&str> = plan.stages.iter().map(|s| s.name.as_str()).collect();
        let _ = writeln!(out, "stages run in the order {}\n", names.join(", "));
    }
    for stage in &plan.stages {
        stage_text(plan, stage, &mut out);
    }
    out
}

fn stage_text(plan: &Plan, stage: &StagePlan, out: &mut String) {
    let sort = if stage.trains() { "trains" } else { "evaluates" };
    let _ = writeln!(out, "stage {} ({sort})", stage.name);
    if !stage.needs.is_empty() {
        let _ = writeln!(out, "  after {}", stage.needs.join(", "));
    }
    let purpose = purpose(stage);
    if !purpose.is_empty() {
        let _ = writeln!(out, "  {purpose}");
    }
    let origins = origins(stage);
    if !origins.is_empty() {
        let _ = writeln!(out, "  weights: {}", origins.join("; "));
    }
    if let Some(step) = step(plan, stage) {
        let rows = step.rows.iter().map(|(model, rows)| format!(", {model} {} rows", thousands(*rows)));
        let _ = writeln!(out, "  a step: {} videos, {} clips{}", thousands(step.videos), thousands(step.clips), rows.collect::<String>());
    }
    let rows = stage.nodes.iter().enumerate().map(|(i, node)| {
        let outputs: Vec<String> = node.entry.outputs.iter().zip(&node.outputs).map(|(o, p)| format!("{}: {p}", o.name)).collect();
        let mut marks = guards(stage, node);
        marks.extend(register(stage, node));
        let choices = choices(stage, i);
        if !choices.is_empty() {
            marks.push(format!("choice {}", choices.join(", ")));
        }
        if without_gradient(stage, node) {
            marks.insert(0, "no gradient".to_string());
        }
        vec![place(node.place).into(), node.rate.to_string(), node.path.clone(), what(node), outputs.join("; "), marks.join(", ")]
    });
    out.push_str(&table(&rows.collect::<Vec<_>>(), "  "));
    let passes: Vec<Vec<String>> = passes(plan, stage).iter().map(pass_row).collect();
    if !passes.is_empty() {
        let _ = writeln!(out, "  passes");
        out.push_str(&table(&passes, "    "));
    }
    out.push('\n');
}

fn pass_row(pass: &Pass) -> Vec<String> {
    let state = if pass.trained { "trained" } else { "fixed" };
    vec![pass.model.to_string(), state.into(), pass.node.path.clone(), pass.count(), norm(pass)]
}

/// What the pass's batch norms do, in words.
pub(crate) fn norm(pass: &Pass) -> String {
    match pass.norm {
        Norm::None => "no batch norm".to_string(),
        Norm::Running => "running statistics".to_string(),
        Norm::Batch(rows) if rows == pass.rows => format!("batch norm over {}, running statistics updated", pass.count()),
        Norm::Batch(rows) => format!("batch norm over {} rows, running statistics updated", thousands(rows.unwrap_or(0))),
    }
}
