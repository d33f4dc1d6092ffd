//! A process of ours with all that it starts.

use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{kill_process_group, waitid, Pid, Signal, WaitId, WaitIdOptions};

use super::keeper;

/// The leader of a process group of its own. The whole group ends at the latest when this is dropped, or when dv itself ends, however
/// that happens ([`keeper`]).
pub struct Process {
    child: Child,
    /// Set once the leader is reaped, from when on its number may belong to another process.
    reaped: bool,
}

impl Process {
    /// Starts it in a group of its own: Ctrl-C would otherwise make ffmpeg end early and look as if the file were short, and where the
    /// program is a script, its children have to end with it.
    pub fn spawn(command: &mut Command) -> Result<Process> {
        let child = command.process_group(0).spawn().with_context(|| match command.get_current_dir() {
            Some(folder) if !folder.is_dir() => format!("the folder {} is gone", folder.display()),
            _ => format!("cannot start {}", command.get_program().display()),
        })?;
        let process = Process { child, reaped: false };
        keeper::keep(process.child.id())?;
        Ok(process)
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Whether the leader has ended. It is not reaped by this, so its number, which is the group's too, stays taken.
    pub fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        self.reaped || self.pid().is_none_or(|pid| !matches!(waitid(WaitId::Pid(pid), options), Ok(None)))
    }

    /// Waits for the leader to end by itself, and ends what is left of its group; `None`: it did not end within `patience`.
    pub fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + patience;
        let mut pause = Duration::from_micros(100);
        while !self.has_ended() {
            if Instant::now() >= until {
                return None;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
        self.end()
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    /// Kills the group.
    pub fn kill(&self) {
        if let Some(pid) = self.pid().filter(|_| !self.reaped) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }

    /// Kills what is left of the group and reaps the leader. How the leader ended.
    fn end(&mut self) -> Option<ExitStatus> {
        self.kill();
        let status = loop {
            match self.child.wait() {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                status => break status.ok(),
            }
        };
        if !std::mem::replace(&mut self.reaped, true) {
            keeper::release(self.child.id());
        }
        status
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
