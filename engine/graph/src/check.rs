//! From a graph file to a plan: every fault on the way is told, none stops the others.

use crate::defect::ask;
use crate::fault::Faults;
use crate::kind::Library;
use crate::merge::Setting;
use crate::plan::{From, Plan};
use crate::sample::epoch::{how_to_make, Rows};
use crate::source::Sources;
use crate::sweep::{self, Swept};
use dv_datasets::file;
use std::collections::HashMap;
use std::path::Path;

/// The outcome of reading a graph: the texts, the faults, and the plan where there is no fault.
pub struct Checked {
    pub sources: Sources,
    pub faults: Faults,
    pub plan: Option<Plan>,
    /// The names of a sweep's points; empty where the graph is none.
    pub points: Vec<String>,
}

/// Reads and checks a graph file. Nothing heavy is built or opened.
///
/// Of a sweep ([`sweep::check`]) the faults of all points are told, and the plan is that of the point which is
/// named, or of the first; there is none where no point has the name.
pub fn check(path: &Path, settings: &[Setting], library: &Library, point: Option<&str>) -> Checked {
    let Swept { sources, faults, points, at, .. } = sweep::check(path, settings, library);
    let names = points.iter().filter(|_| at.is_some()).map(|p| p.name.clone()).collect();
    let mut plans = points.into_iter().filter(|p| point.is_none_or(|name| at.is_some() && p.name == name)).map(|p| p.plan);
    Checked { sources, plan: plans.next().filter(|_| faults.is_empty()), faults, points: names }
}

/// Checks the sets that the plan reads, each fault of a set told once. A missing set is a note with how to make it, or a
/// fault where the data was named (`strict`); a set of another size, or without the split, is always a fault, and so is one with fewer
/// rows than a setting asks for.
pub fn check_data(plan: &Plan, data: &Path, strict: bool, faults: &mut Faults) {
    let mut opened = HashMap::new();
    let mut told = Vec::new();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for stage in &plan.stages {
        let (Some(index), Some(source)) = (stage.source, stage.source()) else { continue };
        let node = &stage.nodes[index];
        let set = opened.entry(source.set.clone()).or_insert_with(|| {
            // a name that is no folder's was reported with the graph
            if file::below(data, &source.set).is_ok_and(|dir| dir.exists()) {
                return Some(Rows::open_set(data, &source.set));
            }
            let message = match data.is_file() {
                true => format!("{} is a file: the folder that holds the packed sets is meant (--data DIR)", data.display()),
                false => format!("there is no packed set `{}` in {}", source.set, data.display()),
            };
            let fault = if strict { faults.add("no-set", node.at, message) } else { faults.note("no-set", node.at, message) };
            fault.help(how_to_make(&source.set));
            None
        });
        let rows = match set {
            None => continue,
            Some(Err(e)) => Err(format!("{e:#}")),
            Some(Ok(set)) => Rows::of(set.clone(), &source, &node.path).map_err(|e| format!("{e:#}")),
        };
        match rows {
            Ok(rows) => {
                counts.insert(&stage.name, rows.ids.len());
            }
            Err(message) if !told.contains(&message) => {
                faults.add("wrong-set", node.at, message.clone());
                told.push(message);
            }
            Err(_) => {}
        }
    }
    for stage in &plan.stages {
        if let (true, Some(batch), Some(rows)) = (stage.trains(), stage.drive.settings.batch, counts.get(stage.name.as_str())) {
            if batch > *rows {
                let message = format!("`{}` has {rows} samples: not one batch of {batch}", stage.name);
                faults.add("wrong-set", stage.setting_at("batch"), message).help("make `batch` smaller, or take a larger split");
            }
        }
        for node in &stage.nodes {
            let asked = ask(node.entry.name, "the rows that it needs", node.at, faults, || node.kind.rows_needed());
            let Some(needed) = asked.flatten() else { continue };
            let from = node.inputs.iter().find(|i| i.name == needed.input).map(|i| &i.from);
            let from = match from {
                Some(From::Stage { stage, .. }) => stage,
                Some(From::Node { .. }) => &stage.name,
                None => continue,
            };
            let Some(rows) = counts.get(from.as_str()).filter(|rows| **rows < needed.rows) else { continue };
            let (name, asked) = (needed.setting, needed.rows);
            let message = format!("`{name}` asks for {asked} rows of `{}`, and the stage `{from}` has {rows}", needed.input);
            faults.add("wrong-set", node.setting_at(name), message).help(format!("make `{name}` smaller, or take a larger split"));
        }
    }
}
