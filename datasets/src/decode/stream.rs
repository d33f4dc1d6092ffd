//! Decoding one file: the process, its frames, and what becomes of it.

use std::ffi::OsString;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::{bail, Context, Result};

use super::command::Way;
use super::ending::Ending;
use super::frames::{Frames, Next};
use super::log::Log;
use super::pipes::Pipes;
use super::process::Process;
use super::{Decoded, Ffmpeg, Frame, Limits, Outcome};
use crate::file::{self, Why};

/// How long a frame's time may come after it: only a machine that stands still takes seconds.
const TIME_PATIENCE: Duration = Duration::from_secs(4);
/// After a file whose frames cannot come in planes, how many of the next are not asked for them: others in a folder are mostly like it.
const SKIP: u32 = 15;

/// What became of one process.
enum Attempt {
    Done(Outcome),
    /// ffmpeg delivered nothing for too long.
    Silent,
    /// Frames in planes are not to be had of this file.
    Unsuited,
    /// They are another sort of frames from some frame on.
    Changes,
}

impl Ffmpeg {
    /// Decodes `file` frame by frame. `each` gets every frame in order; its error ends decoding and is returned.
    ///
    /// A file that is at fault is no error but [`Outcome::Rejected`], and then the frames that `each` got count for nothing: none decodes,
    /// ffmpeg crashes, it delivers nothing for 60 s twice (after the first time the file is tried once more, and `each` gets the frames that
    /// it has not had), the file is beyond the limits. Errors are what the file does not cause: ffmpeg cannot be started, someone or the
    /// system stops it, it lacks what the machine does not give, the file is gone or cannot be read.
    pub fn decode(&self, file: &Path, each: &mut dyn FnMut(Frame) -> Result<()>) -> Result<Outcome> {
        self.decode_within(file, Limits::default(), each)
    }

    /// [`Ffmpeg::decode`] with other limits.
    pub fn decode_within(&self, file: &Path, limits: Limits, each: &mut dyn FnMut(Frame) -> Result<()>) -> Result<Outcome> {
        let (mut given, mut silences) = (0, 0);
        let mut way =
            if self.planes && self.skip.fetch_update(Relaxed, Relaxed, |n| n.checked_sub(1)).is_err() { Way::Planes } else { Way::Rgb };
        let mut unsuited = false;
        while silences < 2 {
            match self.attempt(way, file, limits, &mut given, each)? {
                Attempt::Done(outcome) => {
                    if unsuited && matches!(outcome, Outcome::Decoded(_)) {
                        self.skip.store(SKIP, Relaxed);
                    }
                    return Ok(outcome);
                }
                Attempt::Silent => silences += 1,
                Attempt::Unsuited => unsuited = true,
                Attempt::Changes => {}
            }
            way = Way::Rgb;
        }
        Ok(Outcome::Rejected(format!("ffmpeg delivered nothing for {} s, twice", limits.patience.as_secs_f32())))
    }

    /// Decodes once. `given` counts the frames that `each` has had.
    fn attempt(
        &self,
        way: Way,
        file: &Path,
        limits: Limits,
        given: &mut u32,
        each: &mut dyn FnMut(Frame) -> Result<()>,
    ) -> Result<Attempt> {
        let say = || format!("{}, decoding {}", self.program.display(), file.display());
        let name = file.file_name().with_context(|| format!("{} is not the path of a file", file.display()))?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // The prefix keeps a name such as `-x` or `http:x` from being anything but a file.
        let mut input = OsString::from("file:");
        input.push(name);
        let (stats, writer) = std::io::pipe().with_context(say)?;
        // The command, and with it this process's end of the pipe, goes with this statement.
        let mut process = Process::spawn(&mut self.command(way, folder, &input, writer.into())).with_context(say)?;
        let (Some(stdout), Some(stderr)) = (process.child().stdout.take(), process.child().stderr.take()) else {
            bail!("{}: no pipe", say());
        };
        let pipes = Pipes::new(&process, stdout.into(), Log::new(&input), limits.patience).with_context(say)?;
        let mut frames = Frames::new(pipes.stopped_by(&self.stop).also(stderr.into(), stats.into()).with_context(say)?, way);
        let patience = TIME_PATIENCE.min(limits.patience);
        let (mut count, mut timed) = (0, true);
        let broken = loop {
            match frames.next() {
                Next::Frame if count == limits.frames => {
                    return Ok(Attempt::Done(Outcome::Rejected(format!("it has more than {count} frames: cut it into several files"))));
                }
                Next::Frame => {
                    if way == Way::Planes {
                        if count == 0 && !frames.source().probe(patience).is_some_and(|probe| frames.learn(&probe)) {
                            return Ok(Attempt::Unsuited);
                        }
                        if frames.source().changes() {
                            return Ok(Attempt::Changes);
                        }
                    }
                    let time = if timed { frames.source().time(patience) } else { None };
                    timed &= time.is_some();
                    count += 1;
                    if count > *given {
                        *given = count;
                        each(frames.frame(time.flatten()))?;
                    }
                }
                Next::Stalled => return Ok(Attempt::Silent),
                Next::Unsuited => return Ok(Attempt::Unsuited),
                Next::End(why) => break why,
            }
        };
        let (size, pipes) = frames.end();
        // Otherwise it says what is no frame, and how it ends tells nothing.
        let by_itself = pipes.at_end();
        if !by_itself {
            process.kill();
        }
        let Some((log, times)) = pipes.finish() else { return Ok(Attempt::Silent) };
        let Some(status) = process.wait(limits.patience) else { return Ok(Attempt::Silent) };
        if way == Way::Planes && (count == 0 || log.changes()) {
            return Ok(if log.changes() { Attempt::Changes } else { Attempt::Unsuited });
        }
        let mut why: Vec<String> = broken.into_iter().collect();
        let mut crashed = false;
        match Ending::of(status, &log) {
            _ if !by_itself => {}
            Ending::Stopped(how) => bail!("{}: {how}, which says nothing of the file: pack again", say()),
            Ending::Crash(how) => {
                crashed = true;
                why.push(how);
            }
            Ending::Exit(0) => {}
            Ending::Exit(code) => {
                if let Some(lack) = log.machine() {
                    bail!("{}: ffmpeg: {lack}", say());
                }
                if count > 0 && why.is_empty() && log.complaints().is_none() {
                    why.push(format!("it gave up without a reason (exit status {code})"));
                }
            }
        }
        why.extend(log.complaints());
        let why = (!why.is_empty()).then(|| why.join("; "));
        if why.is_some() || count == 0 {
            still_there(file, log.input_output())?;
        }
        Ok(Attempt::Done(match size {
            _ if crashed => Outcome::Rejected(why.unwrap_or_default()),
            _ if count < *given => Outcome::Rejected(format!("ffmpeg delivers {given} frames of it the first time and {count} the second")),
            Some((height, width)) if count > 0 => {
                let fps = times.rate().filter(|_| !log.no_rate());
                Outcome::Decoded(Decoded { frames: count, height, width, fps, note: why.map(|why| format!("ffmpeg: {why}")) })
            }
            _ => Outcome::Rejected(reason(file, &log, why)),
        }))
    }
}

/// An error where a file of which ffmpeg complains is gone or cannot be read by dv either, all of it where `whole`.
fn still_there(file: &Path, whole: bool) -> Result<()> {
    let read = || -> std::result::Result<(), Why> {
        let mut file = file::open(file).map_err(|e| e.why)?;
        let mut buffer = vec![0; if whole { 1 << 16 } else { 0 }];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
    };
    match read() {
        Err(why @ Why::Io(_)) => bail!("{} could be read before, and now: {why}", file.display()),
        _ => Ok(()),
    }
}

/// Why no frame came, in words that help.
fn reason(file: &Path, log: &Log, why: Option<String>) -> String {
    if std::fs::metadata(file).is_ok_and(|m| m.len() == 0) {
        return "the file is empty".to_owned();
    }
    if log.no_stream() {
        return "it has no video stream".to_owned();
    }
    if log.foreign_format() {
        return "it is of no format that dv takes for video".to_owned();
    }
    format!("no frame decodes; ffmpeg: {}", why.as_deref().unwrap_or("found no frame in it"))
}
