//! The final table: stages with the same metrics share one.

use serde_json::{Map, Value};
use std::fmt::Write;
use std::sync::Arc;

use dv_graph::plan::StagePlan;

/// The reported metrics of all finished stages, in the plan's order; `result.json` holds the others as well.
pub fn text(stages: &[Arc<StagePlan>], result: &Map<String, Value>) -> String {
    let mut groups: Vec<(Vec<String>, Vec<(String, Vec<f64>)>)> = Vec::new();
    for stage in stages {
        let Some(metrics) = result["stages"].get(&stage.name).and_then(|s| s["metrics"].as_object()) else { continue };
        let (names, values): (Vec<String>, Vec<f64>) = metrics
            .iter()
            .filter(|(n, _)| stage.metrics.iter().all(|m| m.name != **n || m.reported))
            .filter_map(|(n, v)| Some((n.clone(), v.as_f64()?)))
            .unzip();
        if names.is_empty() {
            continue;
        }
        match groups.iter_mut().find(|(n, _)| *n == names) {
            Some((_, rows)) => rows.push((stage.name.clone(), values)),
            None => groups.push((names, vec![(stage.name.clone(), values)])),
        }
    }
    let mut out = String::new();
    for (names, rows) in groups {
        let width = rows.iter().map(|(n, _)| n.len()).max().unwrap_or(0).max(5);
        let _ = write!(out, "{:width$}", "stage");
        for name in &names {
            let _ = write!(out, "  {name:>10}");
        }
        out.push('\n');
        for (stage, values) in rows {
            let _ = write!(out, "{stage:width$}");
            for (name, value) in names.iter().zip(values) {
                let w = name.len().max(10);
                let _ = if value.abs() >= 100.0 { write!(out, "  {value:>w$.0}") } else { write!(out, "  {value:>w$.4}") };
            }
            out.push('\n');
        }
        out.push('\n');
    }
    out
}
