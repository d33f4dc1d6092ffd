//! The exit status, and the one place where a fault becomes text.

use std::fmt;
use std::panic::{catch_unwind, AssertUnwindSafe, PanicHookInfo};
use std::process::ExitCode;

use anyhow::Result;
use dv_datasets::{text, Interrupted};
use rustix::process::{getrlimit, setrlimit, Resource};

use crate::out::note;

/// An exit status as an error: whoever returns it has already said why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(pub u8);

impl Exit {
    pub const DONE: Self = Self(0);
    /// Graph, data or checkpoint are at fault.
    pub const INPUT: Self = Self(1);
    pub const USAGE: Self = Self(2);
    /// dv itself is at fault.
    pub const DEFECT: Self = Self(3);
    /// Stopped on request, after a clean checkpoint.
    pub const INTERRUPTED: Self = Self(130);
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit status {}", self.0)
    }
}

impl std::error::Error for Exit {}

/// A fault of the command line that clap cannot see: exit status 2.
#[derive(Debug)]
pub struct Usage(pub String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Runs a program's work: says what went wrong and gives the status.
pub fn guard(work: impl FnOnce() -> Result<()>) -> ExitCode {
    refuse_rather_than_kill();
    allow_open_files();
    std::panic::set_hook(Box::new(tell_defect));
    let status = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => Exit::DONE,
        Ok(Err(fault)) => tell(&fault),
        Err(_) => Exit::DEFECT,
    };
    ExitCode::from(status.0)
}

/// A file that would grow beyond `ulimit -f` is to fail with an error that names it. By default the system ends the process without a word.
fn refuse_rather_than_kill() {
    // SAFETY: the call takes two numbers and no memory; no handler is installed, so no code of ours ever runs in one. SIG_IGN is a
    // disposition that every signal but SIGKILL and SIGSTOP can have.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// A large set has thousands of shards, each an open file: as many are allowed as the system lets a user have. Where it lets none, the
/// error that comes in time names the limit.
fn allow_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}

fn tell(fault: &anyhow::Error) -> Exit {
    if let Some(status) = fault.downcast_ref::<Exit>() {
        return *status;
    }
    if fault.downcast_ref::<Interrupted>().is_some() {
        note(format_args!("interrupted: {}", text::line(&fault.to_string())));
        return Exit::INTERRUPTED;
    }
    note(format_args!("error: {}", told(fault)));
    if fault.downcast_ref::<Usage>().is_some() {
        note("run with --help for the usage");
        return Exit::USAGE;
    }
    Exit::INPUT
}

/// What went wrong, from the outside in. The lines of a message that continue one are indented: a line end in a name begins no line of
/// its own, and so cannot pass for a message of dv.
fn told(fault: &anyhow::Error) -> String {
    const NEXT: &str = "\n  ";
    let text = format!("{fault:#}");
    text.split(NEXT).map(|part| text::line(part).into_owned()).collect::<Vec<_>>().join(NEXT)
}

fn tell_defect(info: &PanicHookInfo<'_>) {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let what = text.unwrap_or("a panic without a message");
    let place = info.location().map_or_else(String::new, |at| format!(" ({}:{})", at.file(), at.line()));
    note(format_args!("error: a defect of dv: {what}{place}"));
    if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
        note(std::backtrace::Backtrace::force_capture());
    } else {
        note("please report it with the command and what RUST_BACKTRACE=1 adds");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_name_begins_no_line_of_its_own() {
        let error = anyhow::anyhow!("a\nerror: forged\u{1b}[2J").context("weights\n  of: x");
        assert_eq!(told(&error), "weights\n  of: x: a\\nerror: forged\\u001b[2J");
    }

    #[test]
    fn a_status_is_found_below_context() {
        let below = Err::<(), _>(anyhow::Error::new(Exit::INTERRUPTED)).context("while training");
        assert_eq!(tell(&below.unwrap_err()), Exit::INTERRUPTED);
        assert_eq!(tell(&anyhow::Error::new(Usage("no".into()))), Exit::USAGE);
        assert_eq!(tell(&anyhow::anyhow!("no")), Exit::INPUT);
    }
}
