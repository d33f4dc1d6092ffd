//! `dv check`, and how the other verbs read a graph.

use anyhow::Result;
use dv_cli::args::{Check, With};
use dv_cli::exit::Exit;
use dv_cli::out;
use dv_graph::check::{check_data, Checked};
use dv_graph::merge::Setting;
use dv_graph::plan::Plan;
use dv_graph::sweep::{self, Swept};
use std::path::Path;

pub fn settings(with: &With) -> Vec<Setting> {
    with.settings.iter().map(|s| Setting { path: s.path.clone(), value: s.value.clone() }).collect()
}

/// Whether the data's folder was named: then a missing set is a fault.
fn named(with: &With) -> bool {
    with.data.is_some() || std::env::var_os("DV_DATA").is_some_and(|d| !d.is_empty())
}

/// All points of a sweep; the one of any other graph.
fn read(graph: &Path, with: &With) -> Swept {
    let mut swept = sweep::check(graph, &settings(with), &dv_nodes::library());
    for point in &swept.points {
        check_data(&point.plan, &with.data_dir(), named(with), &mut swept.faults);
    }
    swept
}

pub fn verb(args: &Check) -> Result<()> {
    let mut bad = 0;
    for graph in &args.graphs {
        let checked = read(graph, &args.with);
        let text = checked.faults.render(&checked.sources);
        if !text.is_empty() {
            out::note(text.trim_end());
        }
        match checked.faults.len() {
            0 if checked.axes.is_empty() => out::line(format_args!("{}: ok", graph.display()))?,
            0 => out::line(format_args!("{}: ok, {} points", graph.display(), checked.points.len()))?,
            n => {
                bad += 1;
                out::note(format_args!("{}: {n} fault{}", graph.display(), if n == 1 { "" } else { "s" }));
            }
        }
    }
    if bad > 0 {
        return Err(Exit::INPUT.into());
    }
    Ok(())
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
            out::note(format_args!("{faults} fault{}: nothing was run", if faults == 1 { "" } else { "s" }));
            Err(Exit::INPUT.into())
        }
    }
}
