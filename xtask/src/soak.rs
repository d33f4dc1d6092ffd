//! `soak`: builds dv, and tries it on random input for as long as one likes.

use std::process::Command;

use crate::{quickstart, setup, sh, Result};

/// `args` are a subject and its options, as the program `dv-soak` of the tests reads them.
pub fn run(args: &[String]) -> Result<()> {
    setup::run(None)?;
    quickstart::build()?;
    // not `cargo run`: of one package it would build the others again, with fewer features
    let mut command = Command::new(sh::target().join("release/dv-soak"));
    sh::with_libtorch(&mut command);
    sh::run("soak", command.args(args).current_dir(sh::root()))
}
