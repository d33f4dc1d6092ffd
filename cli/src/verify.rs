//! `dv verify`: every checksum of a packed set.

use crate::args::Verify;
use crate::exit::Exit;
use crate::out;
use anyhow::Result;
use dv_datasets::{text, verify};

use crate::progress::Bar;

/// Whether the folder is that of a run, or of a sweep of runs.
pub fn is_run(args: &Verify) -> bool {
    args.dir.join("run.json").exists() || args.dir.join(".shared").is_dir()
}

pub fn run(args: &Verify) -> Result<()> {
    let bar = Bar::new("verifying frames");
    let faults = verify(&args.dir, &|done, total| bar.set(done, total));
    drop(bar);
    if faults.is_empty() {
        return out::line(format_args!("{} is whole", text::path(&args.dir)));
    }
    for fault in &faults {
        out::note(format_args!("error: {fault}"));
    }
    out::note(format_args!("{} is damaged ({} faults): pack it again", text::path(&args.dir), faults.len()));
    Err(Exit::INPUT.into())
}
