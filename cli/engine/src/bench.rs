//! `dv bench data`: what the loader delivers.

use crate::check;
use crate::kinds::Kinds;
use anyhow::{Context, Result};
use dv_cli::args::BenchData;
use dv_cli::out;
use dv_graph::draw::Pass;
use dv_graph::plan::StagePlan;
use dv_graph::sample::epoch::Rows;
use dv_graph::sample::loader::{Column, Loader};
use dv_graph::sample::runner::HostPlan;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub fn verb(args: &BenchData, kinds: &Kinds) -> Result<()> {
    let with = &args.graph.with;
    let plan = check::one(&args.graph, kinds)?;
    let seed = plan.seed;
    let mut stages = plan.stages.into_iter();
    let stage: StagePlan = match &args.stage {
        Some(name) => stages.find(|s| s.name == *name).with_context(|| format!("there is no stage `{name}`"))?,
        None => stages.find(|s| s.source.is_some()).context("no stage has a source")?,
    };
    let source = stage.source().with_context(|| format!("the stage `{}` has no source", stage.name))?;
    let rows = Rows::open(&with.data_dir(), &source, &stage.nodes[stage.source.unwrap_or(0)].path)?;
    let (codec, block_frames) = (rows.set.codec, rows.set.block_frames);
    let batch = stage.drive.settings.batch.unwrap_or(1).min(rows.len());
    let stage = Arc::new(stage);
    let places = stage.nodes.iter().map(|n| n.place).collect();
    let host = HostPlan::new(Arc::clone(&stage), places, &[])?;
    let clips_of_sample = stage.clips_per_sample();
    let rows = Arc::new(rows);
    let order = Arc::clone(&rows);
    let name = stage.name.clone();
    let endless = (0u64..).flat_map(move |epoch| order.training(&Pass { seed, stage: name.clone(), epoch }, batch, true).0);
    let threads = args.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get()), |n| n.get());
    let limit = Duration::from_secs(args.seconds.get() as u64);
    let mut loader = Loader::start(host, rows, Box::new(endless), threads, 4);
    let _ = loader.next_batch()?;
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let (mut delivered, mut bytes) = (0usize, 0usize);
    while start.elapsed() < limit {
        let Some(batch) = loader.next_batch()? else { break };
        delivered += batch.samples.len() * clips_of_sample;
        bytes += batch
            .columns
            .iter()
            .map(|c| match c {
                Column::Bytes { data, .. } => data.len(),
                Column::Float { data, .. } => 4 * data.len(),
                Column::Index { data, .. } => 8 * data.len(),
                Column::Absent => 0,
            })
            .sum::<usize>();
    }
    let seconds = start.elapsed().as_secs_f64();
    let cpu = cpu_seconds() - cpu;
    let (anon, file) = resident();
    let n = delivered.max(1) as f64;
    let result = json!({
        "clips_per_second": delivered as f64 / seconds, "cpu_seconds_per_clip": cpu / n, "threads": threads, "seconds": seconds,
        "codec": codec.name(), "block_frames": block_frames, "delivered": delivered,
        "rss_anon_bytes": anon, "rss_file_bytes": file, "bytes_per_clip": bytes as f64 / n,
    });
    if args.json {
        return out::line(serde_json::to_string_pretty(&result)?);
    }
    out::line(format_args!(
        "{:.1} clips/s, {:.2} ms CPU a clip, {threads} threads, {delivered} clips in {seconds:.1} s, codec {}, {:.0} bytes a clip",
        delivered as f64 / seconds,
        1000.0 * cpu / n,
        codec.name(),
        bytes as f64 / n
    ))
}

/// CPU seconds of this process so far (user and system, all threads), from /proc.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    // Linux counts in hundredths
    (ticks(11) + ticks(12)) / 100.0
}

/// Resident bytes of this process: anonymous, and of files.
fn resident() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |key: &str| {
        let line = status.lines().find(|l| l.starts_with(key)).unwrap_or("");
        line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) * 1024
    };
    (of("RssAnon"), of("RssFile"))
}
