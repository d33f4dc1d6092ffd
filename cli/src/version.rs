//! `dv --version`: all that a report of a fault should name.

use crate::out;
use anyhow::Result;
use dv_datasets::Ffmpeg;

use crate::libtorch;

/// The versions of dv, torch and ffmpeg, with what is missing.
pub fn print() -> Result<()> {
    out::line(format_args!("dv {}", env!("CARGO_PKG_VERSION")))?;
    match libtorch::find() {
        Ok(found) => {
            let version = found.version.unwrap_or_else(|| "of unknown version".into());
            out::line(format_args!("torch {version} ({})", found.lib.display()))?;
        }
        Err(fault) => out::line(format_args!("torch: {fault:#}"))?,
    }
    match Ffmpeg::find() {
        Ok(found) => out::line(format_args!("ffmpeg {} ({})", found.version(), found.program().display())),
        Err(fault) => out::line(format_args!("ffmpeg: {fault:#}")),
    }
}
