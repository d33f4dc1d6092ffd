//! `dv generate`: the generated data set's video files.

use std::time::Instant;

use crate::args::{Generate, Generated};
use crate::out;
use anyhow::Result;
use dv_datasets::generate::{motion, MotionSet};
use dv_datasets::{text, Ffmpeg};

use crate::progress::Bar;

pub fn run(args: &Generate) -> Result<()> {
    let Generated::Motion = args.name;
    let ffmpeg = Ffmpeg::find()?;
    let start = Instant::now();
    let bar = Bar::new("generating videos");
    let videos = motion(&MotionSet {
        seed: args.seed,
        out: &args.out,
        threads: args.threads.map(Into::into),
        ffmpeg: &ffmpeg,
        progress: &|done, total| bar.set(done as u64, total as u64),
    })?;
    drop(bar);
    let seconds = start.elapsed().as_secs_f64();
    out::note(format_args!("{videos} videos in {} ({seconds:.1} s)", text::path(&args.out.join("videos"))));
    out::note(format_args!("splits in {}", text::path(&args.out.join("splits"))));
    Ok(())
}
