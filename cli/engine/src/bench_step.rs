//! `dv bench step`: what a step takes.

use crate::kinds::Kinds;
use crate::{check, device};
use anyhow::{Context, Result};
use dv_cli::args::BenchStep;
use dv_cli::{interrupt, out};
use dv_train::run::measure::{measure, Steps};
use dv_train::run::stage::Machine;
use serde_json::{json, Value};
use std::sync::Arc;
use std::time::Duration;

pub fn verb(args: &BenchStep, kinds: &Kinds) -> Result<()> {
    let (device, compute_threads) = device::set(&args.compute)?;
    let mut plan = check::one(&args.graph, kinds)?;
    let names: Vec<String> = plan.stages.iter().filter(|s| s.source.is_some()).map(|s| s.name.clone()).collect();
    let name = args.stage.as_ref().or(names.first()).context("no stage reads videos")?.clone();
    let place = plan.stages.iter().position(|s| s.name == name && s.source.is_some());
    let place = place.with_context(|| format!("there is no stage `{name}` that reads videos; there are: {}", names.join(", ")))?;
    let stage = Arc::new(plan.stages.remove(place));
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let threads = args.threads.map_or(cores, |n| n.get());
    let data = args.graph.with.data_dir();
    let machine = Machine { data, device, threads, compute_threads, stop: interrupt::of_runs()?, stop_after: None };
    let found = measure(&plan, &stage, &kinds.registry(), &machine, Duration::from_secs(args.seconds.get() as u64))?;
    let machine = machine.describe()?;
    if args.json {
        let result = json!({
            "stage": name, "trains": found.trains, "batch": found.batch, "nodes": found.nodes,
            "resident": steps(&found.resident), "loaded": steps(&found.loaded),
            "memory_peak_bytes": found.memory_peak, "machine": machine,
        });
        return out::line(serde_json::to_string_pretty(&result)?);
    }
    let does = if found.trains { "forward, backward and the optimiser's step" } else { "forward" };
    out::line(format_args!("{name}: {does}, batch {}, {} nodes on the device", found.batch, found.nodes))?;
    out::line("                    ms a step    clips/s   CPU s a step")?;
    for (what, steps) in [("resident data", &found.resident), ("with the loader", &found.loaded)] {
        let n = steps.steps.max(1) as f64;
        let (time, clips) = (1e3 * steps.seconds / n, steps.clips as f64 / steps.seconds.max(1e-9));
        let waiting = if steps.waiting > 0.0 { format!("   waiting for data {:.0} %", 100.0 * steps.waiting) } else { String::new() };
        out::line(format_args!("{what:18} {time:10.1} {clips:10.1} {:14.3}{waiting}", steps.cpu_seconds / n))?;
    }
    let word = |key: &str| machine[key].as_str().map_or_else(|| machine[key].to_string(), str::to_owned);
    out::line(format_args!(
        "peak memory {:.2} GB; {} ({}), {} compute threads, {} loader threads",
        found.memory_peak as f64 / 1e9,
        word("device"),
        word("cpu_capability"),
        word("compute_threads"),
        word("threads"),
    ))
}

fn steps(steps: &Steps) -> Value {
    let n = steps.steps.max(1) as f64;
    json!({
        "steps": steps.steps, "seconds_per_step": steps.seconds / n, "clips_per_second": steps.clips as f64 / steps.seconds.max(1e-9),
        "cpu_seconds_per_step": steps.cpu_seconds / n, "waiting": steps.waiting,
    })
}
