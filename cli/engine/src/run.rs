//! `dv run`.

use crate::kinds::Kinds;
use crate::{check, device, smoke, table};
use anyhow::{bail, Context, Result};
use dv_cli::args::Run;
use dv_cli::out;
use dv_graph::check::{check_adjusted, check_data};
use dv_graph::plan::{Plan, StagePlan};
use dv_train::executor::Registry;
use dv_train::folder::Folder;
use dv_train::stage::{run_stage, Machine, StageContext, Tables};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

pub fn verb(args: &Run, kinds: &Kinds) -> Result<()> {
    if args.resume {
        bail!("--resume: not yet; start afresh in another folder (--out DIR)");
    }
    if args.ranks.get() > 1 {
        bail!("--ranks above 1: not yet; one process computes the same mathematics (`world` is the graph's)");
    }
    let (device, compute_threads) = device::set(&args.compute)?;
    let with = &args.graph.with;
    let scratch = if args.smoke { Some(tempfile::tempdir().context("cannot make a folder for the smoke sets")?) } else { None };
    let mut said = Vec::new();
    let library = kinds.library();
    let mut checked = check_adjusted(&args.graph.graph, &check::settings(with), &library, &mut |tree| {
        if args.smoke {
            smoke::shrink(tree, &mut said);
        }
    });
    let data = match (&scratch, &checked.plan) {
        (Some(dir), Some(plan)) => {
            smoke::sets(plan, dir.path())?;
            dir.path().to_path_buf()
        }
        _ => with.data_dir(),
    };
    if let Some(plan) = &checked.plan {
        check_data(plan, &data, true, &mut checked.faults);
    }
    let plan = check::plan(checked)?;
    for line in said {
        out::note(line);
    }
    let out_dir = match (&args.out, &scratch) {
        (Some(dir), _) => dir.clone(),
        (None, Some(dir)) => dir.path().join("run"),
        (None, None) => PathBuf::from("runs").join(&plan.name),
    };
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let machine = Machine { data, device, threads: args.threads.map_or(cores, |n| n.get()), compute_threads };
    run(plan, &kinds.registry(), &args.stages, &out_dir, &machine, !args.smoke)
}

fn run(plan: Plan, registry: &Registry, asked: &[String], out_dir: &std::path::Path, machine: &Machine, fsync: bool) -> Result<()> {
    for name in asked {
        if !plan.stages.iter().any(|s| s.name == *name) {
            let names: Vec<&str> = plan.stages.iter().map(|s| s.name.as_str()).collect();
            bail!("there is no stage `{name}`; there are {}", names.join(", "));
        }
    }
    let mut folder = Folder::create(out_dir, &plan.name, &plan.resolved, !asked.is_empty(), fsync)?;
    let todo = todo(&plan, asked, &folder);
    let mut plan = plan;
    let stages: Vec<Arc<StagePlan>> = std::mem::take(&mut plan.stages).into_iter().map(Arc::new).collect();
    let mut tables = Tables::new();
    for stage in &stages {
        if !todo.contains(&stage.name) {
            continue;
        }
        // one that ran with the stage that it runs during has its result
        if stage.during.as_ref().is_some_and(|d| todo.contains(&d.stage)) {
            continue;
        }
        out::note(format_args!("stage {}", stage.name));
        let mut cx = StageContext { plan: &plan, stages: &stages, registry, machine, folder: &mut folder, tables: &mut tables };
        run_stage(&mut cx, stage).with_context(|| format!("stage `{}`", stage.name))?;
    }
    let text = table::text(&stages, folder.result());
    folder.write("table.txt", &text)?;
    out::line(text.trim_end())?;
    out::note(format_args!("results, log and checkpoints: {}", folder.path.display()));
    Ok(())
}

/// All stages; or the asked ones, and what upstream of them has no result yet.
fn todo(plan: &Plan, asked: &[String], folder: &Folder) -> BTreeSet<String> {
    if asked.is_empty() {
        return plan.stages.iter().map(|s| s.name.clone()).collect();
    }
    let mut todo: BTreeSet<String> = BTreeSet::new();
    let mut open: Vec<String> = asked.to_vec();
    while let Some(name) = open.pop() {
        if todo.insert(name.clone()) {
            let needs = plan.stages.iter().find(|s| s.name == name).map(|s| s.needs.clone()).unwrap_or_default();
            open.extend(needs.into_iter().filter(|n| !folder.has_result(n)));
        }
    }
    todo
}
