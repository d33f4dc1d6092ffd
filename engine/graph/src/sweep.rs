//! Sweeps: a graph with `[sweep]` is a grid of points, each an experiment of its own. Of all points together every fault
//! is told once.

use crate::axes::{self, AxisDecl};
use crate::budget::{product, Meter, SWEEP_NODES, SWEEP_POINTS, SWEEP_TEXT, SWEEP_VALUES};
use crate::experiment;
use crate::fault::{Fault, Faults};
use crate::kind::Library;
use crate::merge::{self, Reader, Setting};
use crate::order;
use crate::plan::Plan;
use crate::setting::Change;
use crate::show::thousands;
use crate::source::{At, Sources};
use crate::spelling;
use crate::stages;
use crate::tree::Table;
use dv_datasets::file;
use std::collections::{BTreeSet, HashMap};
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

/// Reads and checks a graph file: one experiment, or all points of its sweep.
pub fn check(path: &Path, settings: &[Setting], library: &Library) -> Swept {
    check_adjusted(path, settings, library, &mut |_| ())
}

/// The same with a change of each resolved tree before it is read (`--smoke`).
pub fn check_adjusted(path: &Path, settings: &[Setting], library: &Library, adjust: &mut dyn FnMut(&mut Table)) -> Swept {
    let (mut sources, mut faults) = (Sources::default(), Faults::default());
    let mut reader = Reader::default();
    let mut tree = reader.read(path, &mut sources, &mut faults);
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
    let count = product(axes.iter().map(|a| a.choices.len()));
    if count > SWEEP_POINTS as u128 {
        let (most, count) = (thousands(SWEEP_POINTS), if count > COUNTED { "countless".into() } else { thousands(count) });
        faults.add("bad-sweep", at.unwrap_or_default(), format!("the sweep has {count} points; at most {most} are run"));
        axes.iter_mut().for_each(|a| a.choices.truncate(1));
    }
    // tables that nothing can be looked up in
    let no_tables = ["models", "groups", "stages", "values"].iter().any(|k| tree.get(k).is_some_and(|i| i.as_table().is_none()));
    let unread = faults.iter().any(|f| matches!(f.code, "syntax" | "no-file" | "extends-missing" | "extends-cycle"));
    let broken = unread || reader.unread || no_tables;
    let mut found = Found::default();
    let (mut meter, mut nodes) = (Meter::new(SWEEP_VALUES, SWEEP_TEXT), 0);
    for values in grid(&axes) {
        // of faults without number those of one point are enough
        if faults.stopped() || found.is_full() {
            break;
        }
        let mut own = faults.clone();
        let mut tree = tree.clone();
        apply(&axes, &values, &mut tree, &mut own);
        changes.iter().for_each(|c| c.apply(&mut tree, &mut own));
        spelling::mend_extends(&mut tree, library, &mut own);
        merge::resolve(&mut tree, &sources, &mut own);
        let broken = broken || own.since(&faults).0.iter().any(|f| matches!(f.code, "extends-missing" | "extends-cycle"));
        let mut plan = None;
        if !own.stopped() {
            spelling::mend_below(&mut tree, library, &mut own);
            order::settle(&mut tree, library);
            adjust(&mut tree);
            let too_much = meter.table(&tree).is_err();
            let experiment = experiment::read(tree, library, &sources, &mut own);
            nodes += experiment.stages.values().map(|s| s.nodes.len()).sum::<usize>();
            if too_much || nodes > SWEEP_NODES {
                let what = if too_much { meter.words() } else { format!("more than {} nodes", thousands(SWEEP_NODES)) };
                own.stop("too-many", at.unwrap_or_default(), format!("the {count} points of the sweep come to {what} together"));
            }
            plan = if broken || own.stopped() { None } else { stages::plan(&experiment, &sources, &mut own) };
        }
        found.add(values, &own, &faults, plan, broken);
    }
    found.finish(sources, faults, axes, at)
}

/// Of a larger grid the number says nothing to a person.
const COUNTED: u128 = 1_000_000_000_000;

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
#[derive(Default)]
struct Found {
    /// Each fault once, with the points that have it.
    told: Vec<(Fault, BTreeSet<usize>)>,
    /// Where each stands among them.
    places: HashMap<u64, usize>,
    /// Faults of a point that are not reported in full.
    more: usize,
    /// Whether a point asks for too much.
    stopped: bool,
    points: Vec<(Vec<usize>, Option<Plan>, bool)>,
}

impl Found {
    fn add(&mut self, values: Vec<usize>, own: &Faults, before: &Faults, plan: Option<Plan>, broken: bool) {
        let point = self.points.len();
        let (faults, more) = own.since(before);
        for fault in faults {
            let place = *self.places.entry(fault.key()).or_insert(self.told.len());
            if place == self.told.len() {
                self.told.push((fault, BTreeSet::new()));
            }
            self.told[place].1.insert(point);
        }
        self.more = self.more.max(more);
        self.stopped |= own.stopped();
        self.points.push((values, plan, broken));
    }

    /// Whether further points could bring nothing that a person would read.
    fn is_full(&self) -> bool {
        self.stopped || self.more > 0
    }

    fn finish(self, sources: Sources, mut faults: Faults, axes: Vec<AxisDecl>, at: Option<At>) -> Swept {
        let names = |a: &AxisDecl| Axis { name: a.name.clone(), values: a.choices.iter().map(|(n, _)| n.clone()).collect() };
        let axes: Vec<Axis> = axes.iter().map(names).collect();
        let grid: Vec<Vec<usize>> = self.points.iter().map(|(v, _, _)| v.clone()).collect();
        for (mut fault, points) in self.told {
            fault.points = (points.len() < grid.len()).then(|| which(&points, &grid, &axes));
            faults.take_over(fault);
        }
        faults.count_more(self.more);
        if let Some(long) = grid.iter().map(|v| name(v, &axes)).find(|n| file::not_plain(n).is_some() && !n.is_empty()) {
            let why = file::not_plain(&long).unwrap_or_default();
            faults.add("bad-sweep", at.unwrap_or_default(), format!("the point `{long}` cannot have a folder of that name: {why}"));
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
    let Some(first) = points.first().map(|p| &grid[*p]) else { return String::new() };
    for (a, axis) in axes.iter().enumerate() {
        if (0..grid.len()).all(|p| (grid[p][a] == first[a]) == points.contains(&p)) {
            return format!("with {}={}", axis.name, axis.values[first[a]]);
        }
    }
    let first = name(first, axes);
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
