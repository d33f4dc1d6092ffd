//! `dv verify` of a run's folder, or of a sweep's.

use anyhow::Result;
use dv_cli::args::Verify;
use dv_cli::exit::Exit;
use dv_cli::out;
use dv_datasets::text;
use dv_train::run::verify;

pub fn verb(args: &Verify) -> Result<()> {
    let (files, faults) = verify::verify(&args.dir)?;
    let dir = text::path(&args.dir);
    if faults.is_empty() {
        return out::line(format_args!("{dir} is whole: {files} files"));
    }
    faults.iter().for_each(|fault| out::note(text::line(&format!("error: {fault}"))));
    out::note(format_args!("{dir} is damaged ({} faults)", faults.len()));
    Err(Exit::INPUT.into())
}
