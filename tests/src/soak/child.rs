//! Running a program and measuring it: its memory at most, its CPU time, how it ended.

use std::fs::File;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What a program may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub memory: u64,
    pub cpu: f64,
    /// Until it counts as hanging.
    pub wall: Duration,
}

/// What a run came to.
#[derive(Debug)]
pub struct Ended {
    pub end: End,
    /// CPU seconds, of the system's too.
    pub cpu: f64,
    /// Bytes resident at most.
    pub memory: u64,
    pub stderr: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Status(i32),
    Signal(i32),
    /// It was ended here, for its time or its memory.
    Hung,
    TooLarge,
}

/// Of what a program says, more is not read.
const SAID: u64 = 4_000_000;

/// Runs a program to its end. What takes twice its memory is ended there and then, before the machine suffers. `dir` is a folder for what
/// it says.
pub fn run(mut command: Command, limits: Limits, dir: &Path) -> std::io::Result<Ended> {
    let path = dir.join("stderr");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&path)?);
    let (mut child, start) = (command.spawn()?, Instant::now());
    let mut ended_here = None;
    let (status, usage) = loop {
        if let Some(done) = reaped(child.id())? {
            break done;
        }
        let large = resident(child.id()) > 2 * limits.memory;
        if ended_here.is_none() && (large || start.elapsed() > limits.wall) {
            ended_here = Some(if large { End::TooLarge } else { End::Hung });
            child.kill()?;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let mut stderr = Vec::new();
    File::open(&path)?.take(SAID).read_to_end(&mut stderr)?;
    let end = match (ended_here, status.code()) {
        (Some(end), _) => end,
        (None, Some(code)) => End::Status(code),
        (None, None) => End::Signal(status.signal().unwrap_or(0)),
    };
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    Ok(Ended {
        end,
        cpu: seconds(usage.ru_utime) + seconds(usage.ru_stime),
        // Linux counts kilobytes
        memory: usage.ru_maxrss as u64 * 1024,
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    })
}

/// The status and the use of resources of a child that has ended; of that child alone, where `getrusage` adds up all there were.
fn reaped(pid: u32) -> std::io::Result<Option<(ExitStatus, libc::rusage)>> {
    let mut status = 0;
    // SAFETY: a struct of plain numbers, of which zeros are a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers lead to values of this function that live through the call; the process is a child that nobody else waits for.
    let found = unsafe { libc::wait4(pid as libc::pid_t, &mut status, libc::WNOHANG, &mut usage) };
    match found {
        0 => Ok(None),
        -1 => Err(std::io::Error::last_os_error()),
        _ => Ok(Some((ExitStatus::from_raw(status), usage))),
    }
}

/// Bytes resident now; 0 of a process that has just ended.
fn resident(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    text.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(script: &str, limits: Limits) -> Ended {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        run(command, limits, dir.path()).unwrap()
    }

    #[test]
    fn ends_times_and_memory_are_the_childs_own() {
        let limits = Limits { memory: 1 << 33, cpu: 60.0, wall: Duration::from_secs(60) };
        let done = ended("echo said >&2; exit 3", limits);
        assert_eq!((done.end, done.stderr.as_str()), (End::Status(3), "said\n"));
        assert_eq!(ended("kill -9 $$", limits).end, End::Signal(9));
        let busy = ended("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done", limits);
        assert!(busy.cpu > 0.02 && ended("sleep 0.3", limits).cpu < busy.cpu, "{}", busy.cpu);
        assert_eq!(ended("sleep 60", Limits { wall: Duration::from_millis(200), ..limits }).end, End::Hung);
    }
}
