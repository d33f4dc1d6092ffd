//! A plan as text for people: order, shapes and rates, what runs where, passes and batch-norm rows.

use crate::plan::{Place, Plan, StagePlan};
use std::fmt::Write;

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

fn table(rows: &[Vec<String>], indent: &str) -> String {
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
            .map(|(n, m)| vec![n.clone(), m.entry.name.into(), format!("{} parameters", thousands(m.count())), m.names.join(", ")])
            .collect();
        let _ = writeln!(out, "{}", table(&rows, "  "));
    }
    for stage in &plan.stages {
        stage_text(plan, stage, &mut out);
    }
    out
}

fn stage_text(plan: &Plan, stage: &StagePlan, out: &mut String) {
    let d = &stage.drive;
    let s = &d.settings;
    let what = if stage.trains() { "trains" } else { "evaluates" };
    let _ = writeln!(out, "stage {} ({what})", stage.name);
    if !stage.needs.is_empty() {
        let _ = writeln!(out, "  after {}", stage.needs.join(", "));
    }
    if let (Some(epochs), Some(batch)) = (s.epochs, s.batch) {
        let _ = writeln!(
            out,
            "  {epochs} epochs, batch {batch} in a world of {}, minimises {}",
            d.world(),
            s.minimise.as_deref().unwrap_or("")
        );
    } else if let Some(batch) = s.batch {
        let _ = writeln!(out, "  batch {batch}");
    }
    let mut rows = Vec::new();
    for node in &stage.nodes {
        let place = match node.place {
            Place::Host => "host",
            Place::Device => "device",
            Place::End => "end",
        };
        let kind = node.model.as_ref().map_or_else(|| node.entry.name.to_string(), |m| format!("apply {m}"));
        let outputs: Vec<String> = node.entry.outputs.iter().zip(&node.outputs).map(|(o, p)| format!("{}: {p}", o.name)).collect();
        let mut marks = Vec::new();
        if stage.trains() && node.place == Place::Device && !node.gradient {
            marks.push("no gradient".to_string());
        }
        for g in &node.guards {
            let chooser = &stage.nodes[g.choose];
            marks.push(format!("rows of {} = {}", chooser.path, stage.branches(g.choose)[g.branch]));
        }
        rows.push(vec![place.into(), node.rate.to_string(), node.path.clone(), kind, outputs.join("; "), marks.join(", ")]);
    }
    out.push_str(&table(&rows, "  "));
    let passes = passes(plan, stage);
    if !passes.is_empty() {
        let _ = writeln!(out, "  passes");
        out.push_str(&table(&passes, "    "));
    }
    out.push('\n');
}

/// Each model's passes in order, with the rows of its batch norms.
fn passes(plan: &Plan, stage: &StagePlan) -> Vec<Vec<String>> {
    let batch = stage.drive.settings.batch;
    let mut rows = Vec::new();
    for (model, trained) in &stage.models {
        let buffers = plan.models.get(model).is_some_and(|m| m.has_buffers());
        for node in stage.nodes.iter().filter(|n| n.model.as_ref() == Some(model)) {
            let items: usize = node.fold.iter().map(|a| a.len()).product();
            let per = if items == 1 { "B".to_string() } else { format!("{items}B") };
            let count = batch.map_or(per.clone(), |b| format!("{per} = {} rows", b * items));
            let norm = match (buffers, node.training) {
                (false, _) => "no batch norm".to_string(),
                (true, true) => format!("batch norm over {count}, running statistics updated"),
                (true, false) => "running statistics".to_string(),
            };
            let state = if *trained { "trained" } else { "fixed" };
            rows.push(vec![model.clone(), state.into(), node.path.clone(), count, norm]);
        }
    }
    rows
}
