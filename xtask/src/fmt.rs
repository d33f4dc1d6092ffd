//! Formatting: cargo's, and the node files, whose modules a macro declares, so that `cargo fmt` does not see them.

use std::path::PathBuf;
use std::process::Command;

use crate::{sh, Result};

/// xtask is no part of the workspace.
const OWN: [&str; 2] = ["--manifest-path", "xtask/Cargo.toml"];

/// The files of the node library.
fn nodes() -> Vec<PathBuf> {
    let src = sh::root().join("nodes/src");
    let folders = std::fs::read_dir(src).into_iter().flatten().flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten()).map(|entry| entry.path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|e| e == "rs")).collect();
    files.sort();
    files
}

/// The commands that format everything, or check that everything is.
pub fn commands(check: bool) -> [Command; 3] {
    let mut nodes_of = sh::tool("rustfmt");
    nodes_of.args(["--edition", "2021"]).args(nodes()).current_dir(sh::root());
    let mut all = [sh::cargo(&["fmt", "--all"]), sh::cargo(&[&["fmt"], &OWN[..]].concat()), nodes_of];
    if check {
        for command in &mut all {
            command.arg("--check");
        }
    }
    all
}

pub fn run() -> Result<()> {
    commands(false).iter_mut().try_for_each(|command| sh::run("rustfmt", command))
}
