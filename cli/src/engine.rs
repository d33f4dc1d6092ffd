//! Starting the engine: another program, since one that is linked to libtorch takes a quarter of a second to start
//! and can no longer choose how its threads wait.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::args::Verb;
use anyhow::{bail, Context, Result};

use crate::libtorch;

/// Becomes the engine process, with the same arguments; returns only where that fails.
pub fn exec(verb: &Verb) -> Result<()> {
    let libtorch = libtorch::find()?;
    let own = std::env::current_exe()?;
    let name = own.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let program = own.with_file_name(format!("{name}-engine"));
    if !program.is_file() {
        bail!("{} is missing: `cargo build --release` makes it beside {name}", program.display());
    }
    let mut command = Command::new(&program);
    command.args(std::env::args_os().skip(1));

    let mut path = libtorch.lib.clone().into_os_string();
    if let Some(old) = std::env::var_os("LD_LIBRARY_PATH").filter(|old| !old.is_empty()) {
        path.push(":");
        path.push(old);
    }
    command.env("LD_LIBRARY_PATH", path);
    // The engine finds libtorch_cuda.so here, and so does every process that it starts.
    command.env("DV_LIBTORCH", &libtorch.lib);
    // Threads that wait by spinning made a step on busy cores thirty times as long.
    command.env("OMP_WAIT_POLICY", "PASSIVE");
    let compute = match verb {
        Verb::Run(run) => Some(&run.compute),
        Verb::Probe(probe) => Some(&probe.compute),
        _ => None,
    };
    if let Some(threads) = compute.and_then(|c| c.compute_threads) {
        command.env("OMP_NUM_THREADS", threads.to_string());
    }
    Err(command.exec()).with_context(|| format!("cannot start {}", program.display()))
}
