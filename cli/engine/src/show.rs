//! `dv show`.

use crate::check;
use crate::kinds::Kinds;
use anyhow::{bail, Result};
use dv_cli::args::{Show, ShowFormat};
use dv_cli::exit::Usage;
use dv_cli::out;
use dv_graph::plan::{Plan, StagePlan};
use dv_graph::sample::epoch::Rows;
use dv_graph::show;
use std::collections::HashMap;

pub fn verb(args: &Show, kinds: &Kinds) -> Result<()> {
    if args.cost && !matches!(args.format, ShowFormat::Text | ShowFormat::Json) {
        return Err(Usage("--cost is shown as text or json".into()).into());
    }
    let plan = check::one(&args.graph, kinds)?;
    if args.cost {
        return cost(args, &plan);
    }
    let text = match args.format {
        ShowFormat::Text => show::text(&plan),
        ShowFormat::Dot => show::dot(&plan),
        ShowFormat::Svg => show::svg(&plan),
        ShowFormat::Json => serde_json::to_string_pretty(&show::json(&plan))?,
    };
    out::line(text.trim_end())
}

fn cost(args: &Show, plan: &Plan) -> Result<()> {
    let only = args.stage.as_deref();
    if let Some(name) = only.filter(|name| !plan.stages.iter().any(|s| s.name == *name)) {
        let names: Vec<&str> = plan.stages.iter().map(|s| s.name.as_str()).collect();
        bail!("--stage: {} has no stage `{name}`; it has {}", args.graph.graph.display(), names.join(", "));
    }
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for stage in &plan.stages {
        let (Some(source), Some(node)) = (stage.source(), stage.source) else { continue };
        match Rows::open(&args.graph.with.data_dir(), &source, &stage.nodes[node].path) {
            Ok(rows) => drop(counts.insert(&stage.name, rows.len())),
            // a set is needed only where the data was named
            Err(e) if args.graph.with.data.is_some() => return Err(e),
            Err(_) => {}
        }
    }
    let videos = |stage: &StagePlan| counts.get(stage.name.as_str()).copied();
    let text = match args.format {
        ShowFormat::Json => serde_json::to_string_pretty(&show::cost_json(plan, only, &videos))?,
        _ => show::cost_text(plan, only, &videos),
    };
    out::line(text.trim_end())
}
