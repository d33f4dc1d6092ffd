//! What two plans are compared by.

use crate::plan::{Plan, StagePlan};
use crate::show::{average, edge, origins, passes, place, purpose, thousands, Norm};
use indexmap::IndexMap;

/// What is known of one thing: names and texts. The first says what it is.
pub type Fact = Vec<(&'static str, String)>;

pub(super) const SECTIONS: &[&str] = &["stages", "nodes", "passes", "parameters", "data", "metrics"];

pub(super) fn facts(plan: &Plan) -> IndexMap<&'static str, IndexMap<String, Fact>> {
    let mut out: IndexMap<&'static str, IndexMap<String, Fact>> = IndexMap::new();
    let mut add = |section: &'static str, name: String, fact: Fact| {
        out.entry(section).or_default().insert(name, fact);
    };
    for stage in &plan.stages {
        let sort = if stage.trains() { "trains" } else { "evaluates" };
        add(
            "stages",
            stage.name.clone(),
            vec![("", sort.into()), ("drive", purpose(stage)), ("after", stage.needs.join(", ")), ("weights", origins(stage).join("; "))],
        );
        for i in 0..stage.nodes.len() {
            add("nodes", format!("{}/{}", stage.name, stage.nodes[i].path), node(stage, i));
        }
        for pass in passes(plan, stage) {
            let norm = match pass.norm {
                Norm::None => "none".to_string(),
                Norm::Running => "running statistics".to_string(),
                Norm::Batch(rows) => rows.map_or_else(|| pass.per(), |r| format!("{} rows", thousands(r))),
            };
            let trained = if pass.trained { "trained" } else { "not trained" };
            let fact = vec![("", format!("{} {}", pass.model, pass.count())), ("batch norm", norm), ("model", trained.into())];
            add("passes", format!("{}/{}", stage.name, pass.node.path), fact);
        }
        if let Some(source) = stage.source() {
            let fact = vec![
                ("", format!("{} {}", source.set, source.split)),
                ("size", format!("{} high, {} wide", source.height, source.width)),
                ("hold_out", source.held.as_ref().map_or("0".into(), |h| h.to_string())),
                ("streams", source.streams.join(", ")),
            ];
            add("data", stage.name.clone(), fact);
        }
        for metric in stage.metrics.iter().filter(|m| m.reported) {
            add("metrics", format!("{}/{}", stage.name, metric.name), vec![("", "reported".into())]);
        }
    }
    for (name, model) in &plan.models {
        let shapes: Vec<String> = model.parameters.iter().map(|p| format!("{} {:?}", p.name, p.shape)).collect();
        // other shapes may add up to the same count
        let digest = blake3::hash(shapes.join("\n").as_bytes()).to_hex()[..8].to_string();
        let fact = vec![
            ("", format!("{}, {} parameters", model.entry.name, thousands(model.count()))),
            ("shapes", digest),
            ("ema", model.ema.as_ref().map(average).unwrap_or_default()),
        ];
        add("parameters", name.clone(), fact);
    }
    if plan.models.len() > 1 {
        let all: usize = plan.models.values().map(|m| m.count()).sum();
        add("parameters", "all models".into(), vec![("", format!("{} parameters", thousands(all)))]);
    }
    out
}

fn node(stage: &StagePlan, i: usize) -> Fact {
    let node = &stage.nodes[i];
    let kind = node.model.as_ref().map_or_else(|| node.entry.name.to_string(), |m| format!("apply {m} ({})", node.entry.name));
    let mut fact = vec![
        ("", kind),
        ("place", place(node.place).to_string()),
        ("rate", node.rate.to_string()),
        ("gradient", if node.gradient { "flows" } else { "none" }.to_string()),
    ];
    if node.entry.chooses {
        fact.push(("choices", crate::show::choices(stage, i).join(", ")));
    }
    let reads: Vec<String> = node.reads().map(|input| edge(stage, input)).collect();
    fact.push(("reads", reads.join(", ")));
    fact.extend(node.entry.outputs.iter().zip(&node.outputs).map(|(o, p)| (o.name, p.to_string())));
    fact
}
