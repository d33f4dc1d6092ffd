//! `dv pack`: video files into frame shards.

use std::time::Instant;

use crate::args::{self, Pack};
use crate::interrupt;
use crate::out;
use anyhow::Result;
use clap::ValueEnum;
use dv_datasets::{prepare, summary as facts, text, Filter, PackOptions, PackedSet};

use crate::progress::Packing;

pub fn run(args: &Pack) -> Result<()> {
    let preset = args.preset.to_possible_value();
    let preset = preset.as_ref().map_or("", |value| value.get_name());
    let size = args.size.map(|size| (size.height, size.width));
    let filter = args.filter.map(|filter| match filter {
        args::Filter::Bicubic => Filter::Bicubic,
        args::Filter::Bilinear => Filter::Bilinear,
    });
    let mut options = PackOptions::preset(preset, &args.videos, &args.out, size, filter)?;
    options.splits = args.splits.clone();
    options.allow_missing = args.allow_missing;
    options.codec = args.codec.unwrap_or(options.codec);
    options.update = args.update;
    options.stop = interrupt::flag()?;
    options.threads = args.threads.map_or(options.threads, Into::into);

    let start = Instant::now();
    let prepared = prepare(&options)?;
    for note in prepared.notes() {
        out::note(text::line(&format!("note: {note}")));
    }
    let progress = Packing::new();
    let summary = prepared.pack(&|at| progress.set(at.done, at.total, at.bytes))?;
    drop(progress);
    let seconds = start.elapsed().as_secs_f64();
    if summary.continued > 0 {
        out::note(format_args!("{} files were done by an earlier call", summary.continued));
    }
    if args.update {
        out::note(format_args!("{} of {} videos are as they were", summary.unchanged, summary.videos));
    }
    let set = PackedSet::open(&args.out)?;
    for note in &summary.notes {
        out::note(text::line(&format!("note: {note}")));
    }
    for (label, line) in facts(&set)? {
        out::note(text::line(&format!("{label}: {line}")));
    }
    let groups = match summary.groups {
        groups if groups < summary.videos => format!(" in {groups} groups"),
        _ => String::new(),
    };
    let missing = match summary.missing {
        0 => String::new(),
        missing => format!(", {missing} rows missing"),
    };
    out::note(format_args!(
        "{}: {} videos{groups}, {} frames of {}x{}, {:.1} MB, {} rejected{missing} ({seconds:.1} s, {:.1} videos/s)",
        text::path(&args.out),
        summary.videos,
        summary.frames,
        set.height,
        set.width,
        set.shard_bytes() as f64 / 1e6,
        summary.rejected,
        summary.videos as f64 / seconds.max(1e-3),
    ));
    out::note(format_args!("fingerprint {}", summary.fingerprint));
    Ok(())
}
