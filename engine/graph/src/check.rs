//! From a graph file to a plan: every fault on the way is told, none stops the others.

use crate::experiment;
use crate::fault::{Fault, Faults};
use crate::kind::Library;
use crate::merge::{self, Setting};
use crate::plan::Plan;
use crate::sample::epoch::{how_to_make, Rows};
use crate::source::Sources;
use crate::stages;
use crate::tree::Table;
use std::collections::HashMap;
use std::path::Path;

/// The outcome of reading a graph: the texts, the faults, and the plan where there is no fault.
pub struct Checked {
    pub sources: Sources,
    pub faults: Faults,
    pub plan: Option<Plan>,
}

/// Reads and checks a graph file. Nothing heavy is built or opened.
pub fn check(path: &Path, settings: &[Setting], library: &Library) -> Checked {
    check_adjusted(path, settings, library, &mut |_| ())
}

/// The same with a change of the resolved tree before it is read (`--smoke`).
pub fn check_adjusted(path: &Path, settings: &[Setting], library: &Library, adjust: &mut dyn FnMut(&mut Table)) -> Checked {
    let (mut sources, mut faults) = (Sources::default(), Faults::default());
    let mut tree = merge::load(path, settings, &mut sources, &mut faults);
    if tree.is_empty() && faults.iter().any(|f| f.code == "no-file") {
        return Checked { sources, faults, plan: None };
    }
    adjust(&mut tree);
    let broken = faults.iter().any(|f| matches!(f.code, "syntax" | "no-file" | "extends-missing" | "extends-cycle"));
    let experiment = experiment::read(tree, library, &mut faults);
    let plan = if broken { None } else { stages::plan(&experiment, &mut faults) };
    if broken {
        // what a syntax fault swallowed, or what could not be extended, would be told as missing; what it left, as odd
        let line = |f: &Fault| (f.at.file, sources.line_column(f.at).0);
        let lines: Vec<(u32, usize)> = faults.iter().filter(|f| f.code == "syntax").map(line).collect();
        faults.retain(|f| f.code == "syntax" || !(CONSEQUENCES.contains(&f.code) || lines.contains(&line(f))));
    }
    let plan = plan.filter(|_| faults.is_empty());
    Checked { sources, faults, plan }
}

/// Faults that one of those brings about elsewhere.
const CONSEQUENCES: &[&str] = &[
    "missing-setting",
    "missing-input",
    "remove-missing",
    "remove-without-extends",
    "set-missing",
    "unknown-input",
    "unknown-model",
    "unknown-value",
    "unused",
    "unused-value",
];

/// Checks the sets that the plan reads, each fault of a set told once. A missing set is a note with how to make it, or a
/// fault where the data was named (`strict`); a set of another size, or without the split, is always a fault.
pub fn check_data(plan: &Plan, data: &Path, strict: bool, faults: &mut Faults) {
    let mut opened = HashMap::new();
    let mut told = Vec::new();
    for stage in &plan.stages {
        let (Some(index), Some(source)) = (stage.source, stage.source()) else { continue };
        let node = &stage.nodes[index];
        let set = opened.entry(source.set.clone()).or_insert_with(|| {
            let dir = data.join(&source.set);
            if dir.exists() {
                return Some(Rows::open_set(data, &source.set));
            }
            let message = format!("there is no packed set `{}` in {}", source.set, data.display());
            let fault = if strict { faults.add("no-set", node.at, message) } else { faults.note("no-set", node.at, message) };
            fault.help(how_to_make(&source.set));
            None
        });
        let rows = match set {
            None => continue,
            Some(Err(e)) => Err(format!("{e:#}")),
            Some(Ok(set)) => Rows::of(set.clone(), &source, &node.path).map_err(|e| format!("{e:#}")),
        };
        if let Err(message) = rows {
            if !told.contains(&message) {
                faults.add("wrong-set", node.at, message.clone());
                told.push(message);
            }
        }
    }
}
