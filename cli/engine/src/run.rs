//! `dv run`.

use crate::kinds::Kinds;
use crate::{check, device, smoke, table};
use anyhow::{bail, Context, Result};
use dv_cli::args::Run;
use dv_cli::exit::Exit;
use dv_cli::out;
use dv_datasets::{file, text, PackedSet};
use dv_graph::check::check_data;
use dv_graph::identity;
use dv_graph::plan::{Plan, StagePlan};
use dv_graph::sweep::{self, Axis, Point};
use dv_train::exec::executor::Registry;
use dv_train::run::folder::Folder;
use dv_train::run::stage::{run_stage, Machine, StageContext, Tables};
use serde_json::{json, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

pub fn verb(args: &Run, kinds: &Kinds) -> Result<()> {
    if args.resume {
        bail!("unsupported: `--resume`; run the graph again in another folder (--out DIR)");
    }
    if args.ranks.get() > 1 {
        bail!("unsupported: `--ranks` above 1; one process computes the same mathematics (`world` is a setting of the graph)");
    }
    let (device, compute_threads) = device::set(&args.compute)?;
    let with = &args.graph.with;
    let scratch = if args.smoke { Some(tempfile::tempdir().context("cannot make a folder for the smoke sets")?) } else { None };
    let mut said = Vec::new();
    let mut swept = sweep::check_adjusted(&args.graph.graph, &check::settings(with), &kinds.library(), &mut |tree| {
        if args.smoke {
            smoke::shrink(tree, &mut said);
        }
    });
    said.dedup();
    if let Some(name) = args.graph.point.as_ref().filter(|_| swept.faults.is_empty()) {
        let names: Vec<String> = swept.points.iter().filter(|_| swept.at.is_some()).map(|p| p.name.clone()).collect();
        swept.points.retain(|p| names.contains(name) && p.name == *name);
        if swept.points.is_empty() {
            bail!("{}", check::no_point(&args.graph.graph, name, &names));
        }
    } else if args.smoke && swept.at.is_some() {
        let all = swept.points.len();
        let mut seen = BTreeSet::new();
        swept.points.retain(|p| seen.insert(p.structure()));
        said.push(format!("smoke: {} of {all} points, one of each structure", swept.points.len()));
    }
    let data = match &scratch {
        Some(dir) => {
            smoke::sets(&swept.points.iter().map(|p| &p.plan).collect::<Vec<_>>(), dir.path())?;
            dir.path().to_path_buf()
        }
        None => with.data_dir(),
    };
    for point in &swept.points {
        check_data(&point.plan, &data, true, &mut swept.faults);
    }
    if !check::tell(&args.graph.graph, &swept.sources, &swept.faults) {
        out::note("nothing was run");
        return Err(Exit::INPUT.into());
    }
    for line in said {
        out::note(line);
    }
    let name = swept.points.first().map(|p| p.plan.name.clone()).unwrap_or_default();
    let out_dir = match (&args.out, &scratch) {
        (Some(dir), _) => dir.clone(),
        (None, Some(dir)) => dir.path().join("run"),
        (None, None) => file::below(Path::new("runs"), &name)?,
    };
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let machine = Machine { data, device, threads: args.threads.map_or(cores, |n| n.get()), compute_threads };
    let runner = Runner { registry: &kinds.registry(), asked: &args.stages, machine: &machine, fsync: !args.smoke };
    match (swept.at, &args.graph.point) {
        // beside other points of the sweep, which other calls may run
        (Some(_), Some(point)) => {
            swept.points.into_iter().try_for_each(|p| runner.run(p.plan, &file::below(&out_dir, point)?, &[]).map(drop))
        }
        (None, _) => swept.points.into_iter().try_for_each(|point| runner.run(point.plan, &out_dir, &[]).map(drop)),
        (Some(_), None) => runner.sweep(&swept.axes, swept.points, &out_dir),
    }
}

/// What all points of a sweep are run with.
struct Runner<'a> {
    registry: &'a Registry,
    asked: &'a [String],
    machine: &'a Machine,
    fsync: bool,
}

impl Runner<'_> {
    /// Each point in a folder of its own. A stage that is the same as in an earlier point is not run again: its results are taken over.
    fn sweep(&self, axes: &[Axis], points: Vec<Point>, out_dir: &Path) -> Result<()> {
        if out_dir.exists() && self.asked.is_empty() {
            bail!("the run folder {} exists: choose another one (--out DIR), or remove it", out_dir.display());
        }
        let mut done: BTreeMap<String, String> = BTreeMap::new();
        let mut rows = Vec::new();
        let count = points.len();
        for (i, point) in points.into_iter().enumerate() {
            out::note(format_args!("point {} of {count}: {}", i + 1, point.name));
            let fingerprint = |set: &str| PackedSet::open(&file::below(&self.machine.data, set).ok()?).ok().map(|s| s.fingerprint.clone());
            let identities = identity::identities(&point.plan, &fingerprint);
            let known: Vec<(String, String)> =
                identities.iter().filter_map(|(stage, id)| Some((stage.clone(), done.get(id)?.clone()))).collect();
            let result =
                self.run(point.plan, &file::below(out_dir, &point.name)?, &known).with_context(|| format!("point `{}`", point.name))?;
            for id in identities.into_values() {
                done.entry(id).or_insert_with(|| point.name.clone());
            }
            rows.push((point.name, point.values, result));
        }
        let text = table::sweep(axes, &rows);
        let points: serde_json::Map<String, Value> = rows.into_iter().map(|(name, _, result)| (name, Value::Object(result))).collect();
        let axes: serde_json::Map<String, Value> = axes.iter().map(|a| (a.name.clone(), json!(a.values))).collect();
        let whole = serde_json::to_string_pretty(&json!({"axes": axes, "points": points}))?;
        dv_train::state::tensors::write_atomically(&out_dir.join("sweep.json"), whole.as_bytes(), self.fsync)?;
        dv_train::state::tensors::write_atomically(&out_dir.join("table.txt"), text.as_bytes(), self.fsync)?;
        out::line(text.trim_end())?;
        out::note(format_args!("{count} points: {}", text::path(out_dir)));
        Ok(())
    }

    /// One experiment. `known` are stages whose results another point left, and which.
    fn run(&self, mut plan: Plan, out_dir: &Path, known: &[(String, String)]) -> Result<serde_json::Map<String, Value>> {
        for name in self.asked {
            if !plan.stages.iter().any(|s| s.name == *name) {
                let names: Vec<&str> = plan.stages.iter().map(|s| s.name.as_str()).collect();
                bail!("there is no stage `{name}`; available: {}", names.join(", "));
            }
        }
        let mut folder = Folder::create(out_dir, &plan.name, &plan.resolved, self.machine.describe()?, !self.asked.is_empty(), self.fsync)?;
        for (stage, point) in known.iter().filter(|(s, _)| self.asked.is_empty() && !folder.has_result(s)).collect::<Vec<_>>() {
            let other = out_dir.parent().unwrap_or(Path::new("")).join(point);
            folder.adopt(stage, &other, point)?;
            out::note(format_args!("stage {stage}: as in {point}"));
        }
        let mut todo = todo(&plan, self.asked, &folder);
        todo.retain(|s| !known.iter().any(|(k, _)| k == s) || !folder.has_result(s));
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
            let (registry, machine) = (self.registry, self.machine);
            let mut cx = StageContext { plan: &plan, stages: &stages, registry, machine, folder: &mut folder, tables: &mut tables };
            run_stage(&mut cx, stage).with_context(|| format!("stage `{}`", stage.name))?;
        }
        let text = table::text(&stages, folder.result());
        folder.write("table.txt", &text)?;
        out::line(text.trim_end())?;
        out::note(format_args!("results, log and checkpoints: {}", text::path(&folder.path)));
        Ok(folder.result().clone())
    }
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
