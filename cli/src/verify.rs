//! `dv verify`: every checksum of a packed set.

use anyhow::Result;
use dv_cli::args::Verify;
use dv_cli::exit::Exit;
use dv_cli::out;
use dv_datasets::verify;

use crate::progress::Bar;

pub fn run(args: &Verify) -> Result<()> {
    let bar = Bar::new("verifying frames");
    let faults = verify(&args.dir, &|done, total| bar.set(done, total));
    drop(bar);
    if faults.is_empty() {
        return out::line(format_args!("{} is whole", args.dir.display()));
    }
    for fault in &faults {
        out::note(format_args!("error: {fault}"));
    }
    out::note(format_args!("{} is damaged ({} faults): pack it again", args.dir.display(), faults.len()));
    Err(Exit::INPUT.into())
}
