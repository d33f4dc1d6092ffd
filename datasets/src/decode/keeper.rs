//! Ends ffmpeg when dv is killed.
//!
//! A process cannot do anything once it is killed with `kill -9`, and `PR_SET_PDEATHSIG` reaches a child but not the children of a
//! script that stands in for ffmpeg. So one shell for all of dv waits on a pipe that the system closes with dv, and then kills the process
//! groups that were under way. It does nothing else, and ends with dv.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard};

use anyhow::{Context, Result};

/// Reads lines `+ GROUP` and `- GROUP`. Signals meant for dv are not for it: it would leave before dv does.
const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM PIPE
all=' '
while read -r what group; do
    case $what in
    +) all="$all$group " ;;
    -) left=' '
       for one in $all; do [ "$one" = "$group" ] || left="$left$one "; done
       all=$left ;;
    esac
done
for group in $all; do kill -9 "-$group"; done
"#;

struct Keeper {
    pipe: Option<ChildStdin>,
    groups: Vec<u32>,
}

static KEEPER: Mutex<Keeper> = Mutex::new(Keeper { pipe: None, groups: Vec::new() });

/// Has the group killed when this process ends, until [`release`].
pub fn keep(group: u32) -> Result<()> {
    let mut keeper = lock();
    keeper.groups.push(group);
    if keeper.say('+', group) {
        return Ok(());
    }
    // There is none yet, or someone has ended it.
    let mut command = Command::new("/bin/sh");
    command.args(["-c", SCRIPT]).current_dir("/").process_group(0);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    keeper.pipe = child.context("cannot start /bin/sh, which ends ffmpeg should dv be killed")?.stdin;
    for group in keeper.groups.clone() {
        keeper.say('+', group);
    }
    Ok(())
}

/// The group is gone: its number may become another's.
pub fn release(group: u32) {
    let mut keeper = lock();
    keeper.groups.retain(|other| *other != group);
    keeper.say('-', group);
}

impl Keeper {
    fn say(&mut self, what: char, group: u32) -> bool {
        self.pipe.as_mut().is_some_and(|pipe| pipe.write_all(format!("{what} {group}\n").as_bytes()).is_ok())
    }
}

fn lock() -> MutexGuard<'static, Keeper> {
    KEEPER.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
