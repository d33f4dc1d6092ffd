//! The final table: stages with the same metrics share one.

use serde_json::{Map, Value};
use std::fmt::Write;
use std::sync::Arc;

use dv_graph::plan::StagePlan;
use dv_graph::sweep::Axis;

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

/// All points of a sweep, a row each: the axes, then every metric of a stage that does not train, as `stage/node.port`.
pub fn sweep(axes: &[Axis], rows: &[(String, Vec<usize>, Map<String, Value>)]) -> String {
    let scores = |result: &Map<String, Value>| -> Vec<(String, f64)> {
        let stages = result["stages"].as_object().into_iter().flatten();
        let metrics =
            stages.filter_map(|(stage, s)| Some((stage, s["metrics"].as_object()?))).filter(|(_, m)| !m.contains_key("clips_per_second"));
        metrics.flat_map(|(stage, m)| m.iter().filter_map(move |(n, v)| Some((format!("{stage}/{n}"), v.as_f64()?)))).collect()
    };
    let mut names: Vec<String> = Vec::new();
    for (name, _) in rows.iter().flat_map(|(_, _, result)| scores(result)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mut lines: Vec<Vec<String>> = vec![axes.iter().map(|a| a.name.clone()).chain(names.iter().cloned()).collect()];
    for (_, values, result) in rows {
        let own = scores(result);
        let metric = |name: &String| own.iter().find(|(n, _)| n == name).map_or("-".to_string(), |(_, v)| format!("{v:.4}"));
        lines.push(axes.iter().zip(values).map(|(a, i)| a.values[*i].clone()).chain(names.iter().map(metric)).collect());
    }
    let width = |column: usize| lines.iter().map(|l| l[column].chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for line in &lines {
        let cells: Vec<String> = line.iter().enumerate().map(|(i, cell)| format!("{cell:>w$}", w = width(i))).collect();
        let _ = writeln!(out, "{}", cells.join("  "));
    }
    out
}
