//! Running a graph's stages in their order: one experiment, or the points of a sweep.

use super::folder::{Folder, Open};
use super::shared::Shared;
use super::space;
use super::stage::{run_stage, Machine, StageContext, Tables};
use super::table;
use crate::exec::executor::Registry;
use anyhow::{bail, Context, Result};
use dv_datasets::{file, text, PackedSet};
use dv_graph::identity;
use dv_graph::plan::{Plan, StagePlan};
use dv_graph::sweep::{Axis, Point};
use serde_json::{json, Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// What all points of a sweep are run with.
pub struct Runner<'a> {
    pub registry: &'a Registry,
    /// Stages that were asked for; all where none was.
    pub asked: &'a [String],
    pub machine: &'a Machine,
    pub resume: bool,
    pub fsync: bool,
    /// Takes a line for the person who waits.
    pub tell: &'a dyn Fn(&str),
}

impl Runner<'_> {
    /// One experiment in its folder. The table of its results.
    pub fn one(&self, plan: Plan, out_dir: &Path) -> Result<String> {
        self.run(plan, out_dir, None).map(|(table, _)| table)
    }

    /// One point of a sweep, in a folder of its own below that of the sweep, beside others that other processes may run.
    pub fn point(&self, point: Point, out_dir: &Path) -> Result<String> {
        self.in_sweep(point, out_dir).map(|(table, _)| table)
    }

    /// Every point of a sweep. A stage that is the same in several points is run once. The table of all.
    pub fn sweep(&self, axes: &[Axis], points: Vec<Point>, out_dir: &Path) -> Result<String> {
        if out_dir.exists() && self.asked.is_empty() && !self.resume {
            bail!("the run folder {} exists: go on with it (--resume), give another (--out DIR), or remove it", out_dir.display());
        }
        let mut rows = Vec::new();
        let count = points.len();
        for (i, point) in points.into_iter().enumerate() {
            (self.tell)(&format!("point {} of {count}: {}", i + 1, point.name));
            let (name, values) = (point.name.clone(), point.values.clone());
            let (_, result) = self.in_sweep(point, out_dir).with_context(|| format!("point `{name}`"))?;
            rows.push((name, values, result));
        }
        let text = table::sweep(axes, &rows);
        let points: Map<String, Value> = rows.into_iter().map(|(name, _, result)| (name, Value::Object(result))).collect();
        let axes: Map<String, Value> = axes.iter().map(|a| (a.name.clone(), json!(a.values))).collect();
        let whole = serde_json::to_string_pretty(&json!({"axes": axes, "points": points}))?;
        file::write(&out_dir.join("sweep.json"), whole.as_bytes(), self.fsync)?;
        file::write(&out_dir.join("table.txt"), text.as_bytes(), self.fsync)?;
        (self.tell)(&format!("{count} points: {}", text::path(out_dir)));
        Ok(text)
    }

    fn in_sweep(&self, point: Point, out_dir: &Path) -> Result<(String, Map<String, Value>)> {
        let fingerprint = |set: &str| PackedSet::open(&file::below(&self.machine.data, set).ok()?).ok().map(|s| s.fingerprint);
        let identities = identity::identities(&point.plan, &fingerprint);
        let folder = file::below(out_dir, &point.name)?;
        let shared = Shared::open(out_dir, &point.name, identities)?;
        self.run(point.plan, &folder, Some(&shared))
    }

    fn run(&self, mut plan: Plan, out_dir: &Path, shared: Option<&Shared>) -> Result<(String, Map<String, Value>)> {
        for name in self.asked {
            if !plan.stages.iter().any(|s| s.name == *name) {
                let names: Vec<&str> = plan.stages.iter().map(|s| s.name.as_str()).collect();
                bail!("there is no stage `{name}`; available: {}", names.join(", "));
            }
        }
        let open = match (self.resume, self.asked.is_empty()) {
            // a sweep goes on with points that it has not begun
            (true, _) if shared.is_some() && !out_dir.exists() => Open::New,
            (true, _) => Open::Resume,
            (false, false) => Open::Stages,
            (false, true) => Open::New,
        };
        let mut folder = Folder::open(out_dir, &plan.name, &plan.resolved, self.machine.describe()?, open, self.fsync)?;
        std::mem::take(&mut folder.notes).iter().for_each(|note| (self.tell)(&format!("note: {note}")));
        let todo = self.todo(&plan, &folder);
        let stages: Vec<Arc<StagePlan>> = std::mem::take(&mut plan.stages).into_iter().map(Arc::new).collect();
        space::check(&plan, &stages, &|name| todo.contains(name), &folder.path)?;
        let mut tables = Tables::new();
        for stage in &stages {
            if !todo.contains(&stage.name) {
                continue;
            }
            // one that ran with the stage that it runs during has its result
            if stage.during.as_ref().is_some_and(|d| todo.contains(&d.stage)) {
                continue;
            }
            // held while the stage runs: another point that shares it waits
            let turn = shared.map(|shared| shared.turn(&stage.name, self.tell, &|| self.machine.go_on())).transpose()?.flatten();
            if let Some(point) = turn.as_ref().and_then(|turn| turn.done_by()) {
                let inner = stages.iter().filter(|s| s.during.as_ref().is_some_and(|d| d.stage == stage.name));
                for own in [stage].into_iter().chain(inner) {
                    folder.adopt(&own.name, &file::below(out_dir.parent().unwrap_or(Path::new("")), &point)?, &point)?;
                }
                (self.tell)(&format!("stage {}: as in {point}", stage.name));
                continue;
            }
            (self.tell)(&format!("stage {}", stage.name));
            if self.resume {
                folder.resume_stage(&stage.name)?;
            } else {
                folder.begin_stage(&stage.name)?;
            }
            let (registry, machine) = (self.registry, self.machine);
            let mut cx = StageContext { plan: &plan, stages: &stages, registry, machine, folder: &mut folder, tables: &mut tables };
            run_stage(&mut cx, stage).with_context(|| format!("stage `{}`", stage.name))?;
            if let Some(turn) = turn {
                turn.done()?;
            }
        }
        let result = folder.result();
        let text = table::text(&stages, &result);
        folder.write("table.txt", &text)?;
        (self.tell)(&format!("results, log and checkpoints: {}", text::path(&folder.path)));
        Ok((text, result))
    }

    /// All stages, or those that were asked for and what upstream of them has no result yet. A run that goes on does not repeat what is finished.
    fn todo(&self, plan: &Plan, folder: &Folder) -> BTreeSet<String> {
        if self.asked.is_empty() {
            let all = plan.stages.iter().map(|s| s.name.clone());
            return all.filter(|name| !self.resume || !folder.has_result(name)).collect();
        }
        let mut todo: BTreeSet<String> = BTreeSet::new();
        let mut open: Vec<String> = self.asked.iter().filter(|name| !self.resume || !folder.has_result(name)).cloned().collect();
        while let Some(name) = open.pop() {
            if todo.insert(name.clone()) {
                let needs = plan.stages.iter().find(|s| s.name == name).map(|s| s.needs.clone()).unwrap_or_default();
                open.extend(needs.into_iter().filter(|n| !folder.has_result(n)));
            }
        }
        todo
    }
}

/// How stages are known to other points: by what their results depend on.
pub(super) type Identities = BTreeMap<String, String>;
