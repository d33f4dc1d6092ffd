//! Sweeps: a graph with `[sweep]` is a grid of points, each an experiment of its own. Of all points together every fault
//! is told once.

use crate::axes::{self, AxisDecl};
use crate::experiment;
use crate::fault::{Fault, Faults};
use crate::kind::Library;
use crate::merge::{self, Reader, Setting};
use crate::order;
use crate::plan::Plan;
use crate::setting::Change;
use crate::source::{At, Sources};
use crate::spelling;
use crate::stages;
use crate::tree::Table;
use std::collections::BTreeSet;
use std::path::Path;

/// A graph file as the experiments that it stands for: one, or the points of its sweep.
pub struct Swept {
    pub sources: Sources,
    pub faults: Faults,
    /// In the file's order; none where the graph is one experiment.
    pub axes: Vec<Axis>,
    /// In the order of the axes, the last varying fastest. None where there is a fault.
    pub points: Vec<Point>,
    /// Where the sweep stands.
    pub at: Option<At>,
}

/// One axis: its name, and those of its values or arms.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    pub name: String,
    pub values: Vec<String>,
}

/// One experiment of a sweep.
pub struct Point {
    /// `seed=0,method=iic`, in letters that a folder's name may have; empty where there is no sweep.
    pub name: String,
    /// For each axis the position of the value.
    pub values: Vec<usize>,
    /// Equal for points that differ in numbers only.
    pub structure: String,
    pub plan: Plan,
}

/// Beyond, a grid is most likely a mistake.
const MOST_POINTS: usize = 1000;

/// Reads and checks a graph file: one experiment, or all points of its sweep.
pub fn check(path: &Path, settings: &[Setting], library: &Library) -> Swept {
    check_adjusted(path, settings, library, &mut |_| ())
}

/// The same with a change of each resolved tree before it is read (`--smoke`).
pub fn check_adjusted(path: &Path, settings: &[Setting], library: &Library, adjust: &mut dyn FnMut(&mut Table)) -> Swept {
    let (mut sources, mut faults) = (Sources::default(), Faults::default());
    let mut reader = Reader::default();
    let mut tree = reader.read(path, None, &mut sources, &mut faults);
    if tree.is_empty() && faults.iter().any(|f| f.code == "no-file") {
        return Swept { sources, faults, axes: Vec::new(), points: Vec::new(), at: None };
    }
    let changes: Vec<Change> = settings.iter().filter_map(|s| Change::of_setting(s, &mut sources, &mut faults)).collect();
    // the grid itself can be set; all else is set in each point, after its arms
    let (of_grid, changes): (Vec<Change>, Vec<Change>) = changes.into_iter().partition(|c| c.starts_with("sweep"));
    of_grid.iter().for_each(|c| c.apply(&mut tree, &mut faults));
    let sweep = tree.take("sweep");
    let at = sweep.as_ref().map(|e| e.key);
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut axes = sweep.map(|e| axes::read(&e.item, folder, &mut reader, &mut sources, &mut faults)).unwrap_or_default();
    let count = axes.iter().map(|a| a.choices.len()).product::<usize>();
    if count > MOST_POINTS {
        faults.add("bad-sweep", at.unwrap_or_default(), format!("the sweep has {count} points; at most {MOST_POINTS} are run"));
        axes.iter_mut().for_each(|a| a.choices.truncate(1));
    }
    // tables that nothing can be looked up in
    let no_tables = ["models", "groups", "stages", "values"].iter().any(|k| tree.get(k).is_some_and(|i| i.as_table().is_none()));
    let unread = faults.iter().any(|f| matches!(f.code, "syntax" | "no-file" | "extends-missing" | "extends-cycle"));
    let broken = unread || reader.unread || no_tables;
    let mut found = Found { told: Vec::new(), points: Vec::new() };
    for values in grid(&axes) {
        let mut own = faults.clone();
        let mut tree = tree.clone();
        apply(&axes, &values, &mut tree, &mut own);
        changes.iter().for_each(|c| c.apply(&mut tree, &mut own));
        spelling::mend_extends(&mut tree, library, &mut own);
        merge::resolve(&mut tree, &sources, &mut own);
        let broken = broken || own.since(&faults).iter().any(|f| matches!(f.code, "extends-missing" | "extends-cycle"));
        spelling::mend_below(&mut tree, library, &mut own);
        order::settle(&mut tree, library);
        adjust(&mut tree);
        let experiment = experiment::read(tree, library, &sources, &mut own);
        let plan = if broken { None } else { stages::plan(&experiment, &sources, &mut own) };
        found.add(values, own, &faults, plan, broken);
    }
    found.finish(sources, faults, axes, at)
}

/// All combinations, the last axis varying fastest.
fn grid(axes: &[AxisDecl]) -> Vec<Vec<usize>> {
    axes.iter().fold(vec![Vec::new()], |points, axis| {
        let longer = |p: &Vec<usize>| (0..axis.choices.len()).map(|i| [p.as_slice(), &[i]].concat()).collect::<Vec<_>>();
        points.iter().flat_map(longer).collect()
    })
}

/// Arms first: a path may lead into what an arm brings.
fn apply(axes: &[AxisDecl], values: &[usize], tree: &mut Table, faults: &mut Faults) {
    let chosen = || axes.iter().zip(values).map(|(axis, i)| &axis.choices[*i].1);
    for choice in chosen().filter(|c| matches!(c, axes::Choice::Arm(_))) {
        choice.apply(tree, faults);
    }
    for choice in chosen().filter(|c| matches!(c, axes::Choice::Value(_))) {
        choice.apply(tree, faults);
    }
}

/// What the points gave.
struct Found {
    /// Each fault once, with the points that have it.
    told: Vec<(Fault, Faults, BTreeSet<usize>)>,
    points: Vec<(Vec<usize>, Option<Plan>, bool)>,
}

impl Found {
    fn add(&mut self, values: Vec<usize>, own: Faults, before: &Faults, plan: Option<Plan>, broken: bool) {
        let point = self.points.len();
        for fault in own.since(before) {
            match self.told.iter_mut().find(|(f, _, _)| f.is_same(fault)) {
                Some((_, _, points)) => drop(points.insert(point)),
                None => self.told.push((fault.clone(), own.clone(), BTreeSet::from([point]))),
            }
        }
        self.points.push((values, plan, broken));
    }

    fn finish(self, sources: Sources, mut faults: Faults, axes: Vec<AxisDecl>, at: Option<At>) -> Swept {
        let names = |a: &AxisDecl| Axis { name: a.name.clone(), values: a.choices.iter().map(|(n, _)| n.clone()).collect() };
        let axes: Vec<Axis> = axes.iter().map(names).collect();
        let grid: Vec<Vec<usize>> = self.points.iter().map(|(v, _, _)| v.clone()).collect();
        for (mut fault, own, points) in self.told {
            fault.points = (points.len() < grid.len()).then(|| which(&points, &grid, &axes));
            faults.take_over(fault, &own);
        }
        if self.points.iter().any(|(_, _, broken)| *broken) {
            without_consequences(&sources, &mut faults);
        }
        let mut points = Vec::new();
        for (values, plan, _) in self.points {
            let Some(plan) = plan.filter(|_| faults.is_empty()) else { continue };
            let structure = crate::identity::structure(&plan);
            points.push(Point { name: name(&values, &axes), values, structure, plan });
        }
        assert!(!faults.is_empty() || points.len() == grid.len(), "a point has no plan, and no fault says why");
        Swept { sources, faults, axes, points, at }
    }
}

fn name(values: &[usize], axes: &[Axis]) -> String {
    let parts = axes.iter().zip(values).map(|(axis, i)| format!("{}={}", axis.name, axis.values[*i]));
    parts.collect::<Vec<_>>().join(",")
}

/// Says of a part of the points which they are.
fn which(points: &BTreeSet<usize>, grid: &[Vec<usize>], axes: &[Axis]) -> String {
    for (a, axis) in axes.iter().enumerate() {
        for (i, value) in axis.values.iter().enumerate() {
            if (0..grid.len()).filter(|p| grid[*p][a] == i).eq(points.iter().copied()) {
                return format!("with {}={value}", axis.name);
            }
        }
    }
    let first = name(&grid[*points.first().unwrap_or(&0)], axes);
    match points.len() {
        1 => format!("in {first}"),
        n => format!("in {n} of {} points, the first of them {first}", grid.len()),
    }
}

/// What a syntax fault swallowed, or what could not be extended, would be told as missing; what it left, as odd.
fn without_consequences(sources: &Sources, faults: &mut Faults) {
    let line = |f: &Fault| (f.at.file, sources.line_column(f.at).0);
    let lines: Vec<(u32, usize)> = faults.iter().filter(|f| f.code == "syntax").map(line).collect();
    faults.retain(|f| f.code == "syntax" || !(CONSEQUENCES.contains(&f.code) || lines.contains(&line(f))));
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
