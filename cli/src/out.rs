//! Text for the terminal. Results go to stdout, all else to stderr; a reader that has gone away is no fault.

use std::fmt::Display;
use std::io::{ErrorKind, Write};

use anyhow::{Context, Result};

use crate::exit::Exit;

/// Writes a line to stdout. Where its reader has gone (`dv nodes | head`), the error ends the process quietly.
pub fn line(text: impl Display) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(fault) if fault.kind() == ErrorKind::BrokenPipe => Err(Exit::DONE.into()),
        done => done.context("cannot write to stdout"),
    }
}

/// Writes a line to stderr, unlike `eprintln!` without a panic where nobody reads it.
pub fn note(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
