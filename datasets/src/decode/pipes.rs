//! The pipes of one process: its output, read as it is asked for, and meanwhile all that it says on the others.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::io::ioctl_fionbio;

use super::log::Log;
use super::process::Process;
use super::times::Times;

/// How long the pipes of a process that has ended may stay open: a child of its own that keeps them would otherwise be waited for.
const GRACE: Duration = Duration::from_millis(500);
/// How often to look whether the process has ended while nothing comes.
const TICK: Duration = Duration::from_millis(50);
/// How long to leave an empty pipe alone at first: else ffmpeg would wake this thread for every part of a frame, which costs both.
const PAUSE: Duration = Duration::from_micros(300);
/// Bytes of complaints and times taken at once.
const TAKEN: usize = 1 << 12;
/// Bytes that the pipe of frames may hold, where the system lets it: ffmpeg works on while a frame is resized.
#[cfg(target_os = "linux")]
const HELD: usize = 1 << 20;

/// Takes what comes on a pipe.
pub trait Take {
    fn take(&mut self, bytes: &[u8]);
    /// No more will come.
    fn end(&mut self);
}

pub struct Pipes<'a> {
    process: &'a Process,
    patience: Duration,
    /// Once it is set, the process is killed.
    stop: Option<&'a AtomicBool>,
    output: Option<File>,
    stderr: Option<File>,
    stats: Option<File>,
    log: Log,
    times: Times,
}

impl<'a> Pipes<'a> {
    /// Of the output; `patience` is the longest time without a byte from it.
    pub fn new(process: &'a Process, output: OwnedFd, log: Log, patience: Duration) -> io::Result<Pipes<'a>> {
        // No error: a user has only so much memory for pipes, and the least will do.
        #[cfg(target_os = "linux")]
        let _ = rustix::pipe::fcntl_setpipe_size(&output, HELD);
        let output = Some(unblocked(output)?);
        Ok(Pipes { process, patience, stop: None, output, stderr: None, stats: None, log, times: Times::default() })
    }

    /// Takes the complaints and the frames' times too.
    pub fn also(mut self, stderr: OwnedFd, stats: OwnedFd) -> io::Result<Self> {
        (self.stderr, self.stats) = (Some(unblocked(stderr)?), Some(unblocked(stats)?));
        Ok(self)
    }

    /// Kills the process once `stop` is set.
    pub fn stopped_by(mut self, stop: &'a AtomicBool) -> Self {
        self.stop = Some(stop);
        self
    }

    /// Whether the output has ended.
    pub fn at_end(&self) -> bool {
        self.output.is_none()
    }

    /// The time of the next frame in microseconds, if it has one. ffmpeg gives it beside the frame, so this does not wait for long; `None`: it
    /// did not come in `patience`, and to go on asking would give frames the times of others.
    pub fn time(&mut self, patience: Duration) -> Option<Option<i64>> {
        self.await_stats(patience, Times::next)
    }

    /// What ffmpeg made of the painted picture, which comes beside the first frame.
    pub fn probe(&mut self, patience: Duration) -> Option<Vec<u8>> {
        self.await_stats(patience, |times| times.probe().map(<[u8]>::to_vec))
    }

    /// Whether ffmpeg has said that a frame is another than those before. What it said before it gave the frame read last is taken.
    pub fn changes(&mut self) -> bool {
        while take(&mut self.stderr, &mut self.log) == Some(TAKEN) {}
        self.log.changes()
    }

    fn await_stats<T>(&mut self, patience: Duration, get: impl Fn(&mut Times) -> Option<T>) -> Option<T> {
        let until = Instant::now() + patience;
        loop {
            if let Some(got) = get(&mut self.times) {
                return Some(got);
            }
            // Mostly it is there already.
            if take(&mut self.stats, &mut self.times).is_some() {
                continue;
            }
            let left = until.saturating_duration_since(Instant::now());
            if self.stats.is_none() || left.is_zero() || !self.wait(false, left).unwrap_or(false) {
                return None;
            }
        }
    }

    /// Reads complaints and times to their end, and closes everything. `None`: the process goes on in silence.
    pub fn finish(mut self) -> Option<(Log, Times)> {
        self.output = None;
        while self.stderr.is_some() || self.stats.is_some() {
            match self.wait(false, self.patience) {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) => return None,
            }
        }
        if self.stderr.is_some() {
            self.log.end();
        }
        Some((self.log, self.times))
    }

    /// Waits until there is something on the output, if that is asked for, and otherwise on another pipe; what is on these is taken. `false`:
    /// the process has ended and says no more. An error of kind `TimedOut`: it lives and says nothing for `patience`.
    fn wait(&mut self, output: bool, patience: Duration) -> io::Result<bool> {
        let until = Instant::now() + patience;
        let mut ended = None;
        loop {
            if self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
                self.process.kill();
            }
            let pipes = [self.output.as_ref().filter(|_| output), self.stderr.as_ref(), self.stats.as_ref()];
            let mut asked: Vec<usize> = Vec::with_capacity(3);
            let mut fds: Vec<PollFd> = Vec::with_capacity(3);
            for (i, pipe) in pipes.iter().enumerate() {
                if let Some(pipe) = pipe {
                    asked.push(i);
                    fds.push(PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN));
                }
            }
            let tick = Timespec { tv_sec: 0, tv_nsec: TICK.min(patience / 4).as_nanos() as _ };
            match poll(&mut fds, Some(&tick)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
            let mut ready = [false; 3];
            asked.iter().zip(&fds).for_each(|(i, fd)| ready[*i] = !fd.revents().is_empty());
            drop(fds);
            if ready[1] {
                take(&mut self.stderr, &mut self.log);
            }
            if ready[2] {
                take(&mut self.stats, &mut self.times);
            }
            if ready[0] || (!output && (ready[1] || ready[2])) {
                return Ok(true);
            }
            let now = Instant::now();
            if ready == [false; 3] && ended.is_none() && self.process.has_ended() {
                ended = Some(now);
            }
            match ended {
                Some(ended) if now - ended >= GRACE => return Ok(false),
                None if now >= until => return Err(ErrorKind::TimedOut.into()),
                _ => {}
            }
        }
    }
}

/// The output. It ends too where the process has ended and only a child of its own keeps the pipe open. An error of kind `TimedOut`:
/// nothing came within the patience.
impl Read for Pipes<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut paused = false;
        while let Some(output) = &mut self.output {
            match output.read(buffer) {
                Ok(0) => self.output = None,
                Err(e) if e.kind() == ErrorKind::WouldBlock && !std::mem::replace(&mut paused, true) => std::thread::sleep(PAUSE),
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    if !self.wait(true, self.patience)? {
                        self.output = None;
                    }
                }
                other => return other,
            }
        }
        Ok(0)
    }
}

fn unblocked(pipe: OwnedFd) -> io::Result<File> {
    ioctl_fionbio(&pipe, true)?;
    Ok(pipe.into())
}

/// Takes what is on a pipe, up to [`TAKEN`] bytes; none is left of it where it has ended. How many came.
fn take(pipe: &mut Option<File>, to: &mut dyn Take) -> Option<usize> {
    let mut buffer = [0; TAKEN];
    match pipe.as_mut()?.read(&mut buffer) {
        Ok(got) if got > 0 => {
            to.take(&buffer[..got]);
            return Some(got);
        }
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
        _ => {
            to.end();
            *pipe = None;
        }
    }
    None
}
