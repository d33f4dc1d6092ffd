//! Signals that ask the program to end: the work stops where it can go on later.

use std::sync::atomic::AtomicBool;
use std::sync::Arc;

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;

use crate::exit::Exit;

/// A flag that Ctrl-C, SIGTERM or a closed terminal sets. A second signal ends the program at once. A signal that was ignored when the program
/// began, as `nohup` has it, stays so.
pub fn flag() -> Result<Arc<AtomicBool>> {
    set_by(&[SIGINT, SIGTERM, SIGHUP])
}

/// The same of a run, which SIGUSR1 stops too: SLURM sends it before the time is over (`--signal=USR1@120`).
pub fn of_runs() -> Result<Arc<AtomicBool>> {
    set_by(&[SIGINT, SIGTERM, SIGHUP, SIGUSR1])
}

fn set_by(signals: &[i32]) -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in signals.iter().copied() {
        if is_ignored(signal) {
            continue;
        }
        // In this order: the first one finds the flag as the signal before has left it.
        flag::register_conditional_shutdown(signal, Exit::INTERRUPTED.0.into(), Arc::clone(&stop))
            .and_then(|_| flag::register(signal, Arc::clone(&stop)))
            .context("cannot watch for signals")?;
    }
    Ok(stop)
}

fn is_ignored(signal: i32) -> bool {
    // SAFETY: `sigaction` is a C struct of integers, a pointer and a set of bits, for which zeros are valid. The call reads nothing through the
    // null pointer, which asks it to change nothing, and writes the one struct that the other pointer is to, which lives until it returns.
    unsafe {
        let mut now: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut now) == 0 && now.sa_sigaction == libc::SIG_IGN
    }
}
