//! Text for the terminal. Results go to stdout, all else to stderr; a reader that has gone away is no fault. Names and excerpts of files
//! may stand in it: nothing that a terminal would obey gets through, see [`dv_datasets::text`].

use std::fmt::Display;
use std::io::{ErrorKind, Write};

use anyhow::{Context, Result};
use dv_datasets::text;

use crate::exit::Exit;

/// Writes a line to stdout. Where its reader has gone (`dv nodes | head`), the error ends the process quietly.
pub fn line(content: impl Display) -> Result<()> {
    let content = content.to_string();
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{}", text::lines(&content)).and_then(|()| stdout.flush()) {
        Err(fault) if fault.kind() == ErrorKind::BrokenPipe => Err(Exit::DONE.into()),
        done => done.context("cannot write to stdout"),
    }
}

/// Writes a line to stderr, unlike `eprintln!` without a panic where nobody reads it.
pub fn note(content: impl Display) {
    let content = content.to_string();
    let _ = writeln!(std::io::stderr(), "{}", text::lines(&content));
}
