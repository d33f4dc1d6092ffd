//! `dv check`, and how the other verbs read a graph.

use crate::kinds::Kinds;
use anyhow::{bail, Result};
use dv_cli::args::{Check, Graph, With};
use dv_cli::exit::Exit;
use dv_cli::out;
use dv_datasets::text;
use dv_graph::check::{check, check_data, Checked};
use dv_graph::fault::Faults;
use dv_graph::merge::Setting;
use dv_graph::plan::Plan;
use dv_graph::source::Sources;
use dv_graph::sweep;
use std::path::Path;

pub fn settings(with: &With) -> Vec<Setting> {
    with.settings.iter().map(|s| Setting { path: s.path.clone(), value: s.value.clone() }).collect()
}

/// Whether the data's folder was named: then a missing set is a fault.
fn named(with: &With) -> bool {
    with.data.is_some() || std::env::var_os("DV_DATA").is_some_and(|d| !d.is_empty())
}

/// Reads a graph, and looks at the sets that it names.
pub fn read(graph: &Path, point: Option<&str>, with: &With, kinds: &Kinds) -> Checked {
    let mut checked = check(graph, &settings(with), &kinds.library(), point);
    if let Some(plan) = &checked.plan {
        check_data(plan, &with.data_dir(), named(with), &mut checked.faults);
    }
    checked
}

/// The plan of one graph, or of one point of a sweep. Faults are told, and the status is 1.
pub fn one(graph: &Graph, kinds: &Kinds) -> Result<Plan> {
    let checked = check(&graph.graph, &settings(&graph.with), &kinds.library(), graph.point.as_deref());
    point(&graph.graph, graph.point.as_deref(), &checked)?;
    plan(checked)
}

/// Says which point of a sweep is taken. A name that no point has is a fault.
pub fn point(graph: &Path, asked: Option<&str>, checked: &Checked) -> Result<()> {
    match (asked, checked.points.as_slice()) {
        _ if !checked.faults.is_empty() => {}
        (None, []) => {}
        (None, points) => {
            out::note(format_args!("{}: this is the first point of a sweep (--point POINT selects another):", text::path(graph)));
            points.iter().for_each(|name| out::note(format_args!("  {name}")));
        }
        (Some(_), []) => bail!("--point: {} is not a sweep", graph.display()),
        (Some(name), points) if !points.iter().any(|p| p == name) => bail!("{}", no_point(graph, name, points)),
        _ => {}
    }
    Ok(())
}

pub fn no_point(graph: &Path, name: &str, points: &[String]) -> String {
    format!("--point: {} has no point `{name}`; available: {}", graph.display(), points.join("  "))
}

pub fn verb(args: &Check, kinds: &Kinds) -> Result<()> {
    let mut bad = 0;
    for graph in &args.graphs {
        // all points of a sweep; the one of any other graph
        let mut swept = sweep::check(graph, &settings(&args.with), &kinds.library());
        for point in &swept.points {
            check_data(&point.plan, &args.with.data_dir(), named(&args.with), &mut swept.faults);
        }
        let points = swept.at.map(|_| format!(", {} points", swept.points.len())).unwrap_or_default();
        if tell(graph, &swept.sources, &swept.faults) {
            out::line(format_args!("{}: ok{points}", text::path(graph)))?;
        } else {
            bad += 1;
        }
    }
    if bad > 0 {
        return Err(Exit::INPUT.into());
    }
    Ok(())
}

/// Tells faults and notes, and gives whether there was no fault.
pub fn tell(graph: &Path, sources: &Sources, faults: &Faults) -> bool {
    let text = faults.render(sources);
    if !text.is_empty() {
        out::note(text.trim_end());
    }
    match faults.len() {
        0 => return true,
        n => out::note(format_args!("{}: {n} error{}", text::path(graph), if n == 1 { "" } else { "s" })),
    }
    false
}

/// The plan of a graph without faults; else they are told and the status is 1.
pub fn plan(checked: Checked) -> Result<Plan> {
    let faults = checked.faults.len();
    if faults > 0 {
        out::note(checked.faults.render(&checked.sources).trim_end());
    }
    match checked.plan {
        Some(plan) if faults == 0 => Ok(plan),
        _ => {
            out::note(format_args!("{faults} error{}: nothing was run", if faults == 1 { "" } else { "s" }));
            Err(Exit::INPUT.into())
        }
    }
}
