//! `dv run`.

use crate::kinds::Kinds;
use crate::{check, device, smoke};
use anyhow::{bail, Context, Result};
use dv_cli::args::Run;
use dv_cli::exit::Exit;
use dv_cli::{interrupt, out};
use dv_datasets::{file, text, Interrupted};
use dv_graph::check::check_data;
use dv_graph::sweep;
use dv_train::run::runner::Runner;
use dv_train::run::stage::Machine;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::Arc;

pub fn verb(args: &Run, kinds: &Kinds) -> Result<()> {
    if args.ranks.get() > 1 {
        bail!("unsupported: `--ranks` above 1; one process computes the same mathematics (`world` is a setting of the graph)");
    }
    let (device, compute_threads) = device::set(&args.compute)?;
    let with = &args.graph.with;
    let scratch = if args.smoke { Some(tempfile::tempdir().context("cannot make a folder for the smoke sets")?) } else { None };
    let mut said = Vec::new();
    let library = kinds.library();
    let mut swept = sweep::check_adjusted(&args.graph.graph, &check::settings(with), &library, &mut |tree| {
        if args.smoke {
            smoke::shrink(tree, &library, &mut said);
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
    let stop = interrupt::of_runs()?;
    let stop_after = args.stop_after.map(|n| Arc::new(AtomicU64::new(n.get() as u64)));
    let machine = Machine { data, device, threads: args.threads.map_or(cores, |n| n.get()), compute_threads, stop, stop_after };
    let tell = |line: &str| out::note(text::line(line));
    let runner = Runner {
        registry: &kinds.registry(),
        asked: &args.stages,
        machine: &machine,
        resume: args.resume,
        fsync: !args.smoke,
        tell: &tell,
    };
    let done = match (swept.at, &args.graph.point) {
        (Some(_), None) => runner.sweep(&swept.axes, swept.points, &out_dir),
        // beside other points of the sweep, which other calls may run
        (Some(_), Some(_)) => swept.points.into_iter().try_fold(String::new(), |_, point| runner.point(point, &out_dir)),
        (None, _) => swept.points.into_iter().try_fold(String::new(), |_, point| runner.one(point.plan, &out_dir)),
    };
    let table = done.map_err(|e| how_to_go_on(e, scratch.is_some() && args.out.is_none()))?;
    out::line(table.trim_end())
}

/// Says of a run that was interrupted how it goes on.
fn how_to_go_on(error: anyhow::Error, lost: bool) -> anyhow::Error {
    if error.downcast_ref::<Interrupted>().is_none() {
        return error;
    }
    let saved = error.chain().map(|cause| cause.to_string()).find(|text| text.contains("is saved after"));
    let saved = saved.map_or(String::new(), |saved| format!("{saved}; "));
    if lost {
        return error.context("a smoke run without --out leaves nothing");
    }
    error.context(format!("{saved}continue with: {}", command_to_go_on()))
}

/// This call's command with `--resume`, as a shell takes it.
fn command_to_go_on() -> String {
    let mut words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    if let Some(program) = words.first_mut() {
        let name = program.rsplit('/').next().unwrap_or_default();
        *program = name.strip_suffix("-engine").unwrap_or(name).to_owned();
    }
    if let Some(at) = words.iter().position(|word| word == "--stop-after") {
        words.drain(at..words.len().min(at + 2));
    }
    words.retain(|word| !word.starts_with("--stop-after=") && word != "--resume");
    words.push("--resume".into());
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./=,:@%+-".contains(c);
    let quoted = words.iter().map(|word| match !word.is_empty() && word.chars().all(plain) {
        true => word.clone(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    });
    quoted.collect::<Vec<_>>().join(" ")
}
