//! The process, its frames, and the clock over it.

use std::ffi::{OsStr, OsString};
use std::io::{BufReader, ErrorKind, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};

use super::log::Log;
use super::times::Times;
use super::{Decoded, Ffmpeg, Frame, Outcome, MAX_PIXELS};

/// Containers of video files, and of sound alone so that the reason for those is the right one. Not among them: playlists
/// and scripts, which make ffmpeg open other files, and images and text, which it would show as video.
const FORMATS: &str = "3dostr,4xm,aac,ac3,amr,asf,av1,avi,avs2,avs3,cavsvideo,dirac,dv,evc,flac,flv,gxf,h261,h263,h264,\
    hevc,ivf,live_flv,m4v,matroska,mjpeg,mov,mp3,mpeg,mpegts,mpegvideo,mxf,nut,obu,ogg,rm,vc1,vvc,wav,wtv,\
    yuv4mpegpipe,gif,apng,c93,cine,dhav,film_cpk,flic,ifv,mv,nsv,nuv,pva,roq,smk,swf,vivo,r3d,bink";

/// How long a frame may take when none is named: seconds without a byte from ffmpeg.
const PATIENCE: Duration = Duration::from_secs(60);

impl Ffmpeg {
    /// Decodes `file` frame by frame. `each` gets every frame in order; its error ends decoding and is returned.
    /// A file of which nothing decodes is no error but [`Outcome::Rejected`]. Errors: ffmpeg cannot be started, or a signal
    /// stopped it. A process that delivers nothing for 60 s is killed; the frames before count, with a note.
    pub fn decode(&self, file: &Path, each: &mut dyn FnMut(Frame) -> Result<()>) -> Result<Outcome> {
        self.decode_within(file, PATIENCE, each)
    }

    /// [`Ffmpeg::decode`] with another time than 60 s.
    pub fn decode_within(&self, file: &Path, patience: Duration, each: &mut dyn FnMut(Frame) -> Result<()>) -> Result<Outcome> {
        let say = || format!("{}, decoding {}", self.program.display(), file.display());
        // The prefix keeps a name such as `-x` or `http:x` from being anything but a file.
        let mut input = OsString::from("file:");
        input.push(file);
        let (stats, writer) = std::io::pipe().with_context(say)?;
        // The command, and with it this process's end of the pipe, goes with this statement.
        let mut child = self.command(&input, writer.into()).spawn().with_context(say)?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            bail!("{}: no pipe", say());
        };
        let (log, times) = (Log::default(), Times::default());
        let clock = Clock::new(patience);
        let child = Guard(Mutex::new(child));
        std::thread::scope(|scope| {
            // However this closure ends, the child is gone and the clock stopped, so that both threads end.
            let stop = Stop(&child, &clock);
            scope.spawn(|| log.read(stderr, &input, (!self.threaded).then_some(&times)));
            if self.threaded {
                scope.spawn(|| times.read(stats));
            }
            scope.spawn(|| clock.watch(&child));
            let mut pipe = Pipe { stdout, clock: &clock };
            let (frames, size, broken) = read_frames(&mut BufReader::with_capacity(1 << 16, &mut pipe), &times, each)?;
            // Its output has ended, so it is about to exit by itself; what it says last is still to be read.
            drop(pipe);
            let status = child.wait(&clock);
            drop(stop);
            log.wait_end();
            let mut why: Vec<String> = broken.into_iter().collect();
            if clock.fired() {
                why.push(format!("ffmpeg delivered nothing for {} s and was stopped", patience.as_secs_f32()));
            } else if log.interrupted() {
                bail!("{}: interrupted by a signal", say());
            } else if let Some(how) = abnormal(status) {
                why.push(how);
            }
            why.extend(log.complaints());
            let why = (!why.is_empty()).then(|| why.join("; "));
            Ok(match size {
                Some((height, width)) if frames > 0 => {
                    Outcome::Decoded(Decoded { frames, height, width, fps: log.fps(), note: why.map(|why| format!("ffmpeg: {why}")) })
                }
                _ => Outcome::Rejected(reason(file, &log, why)),
            })
        })
    }

    fn command(&self, input: &OsStr, stats: Stdio) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["-nostdin", "-hide_banner", "-nostats", "-loglevel", "level+info"]);
        command.args(["-protocol_whitelist", "file,pipe", "-format_whitelist", FORMATS]);
        command.args(["-threads", "1", "-max_pixels", &MAX_PIXELS.to_string(), "-i"]).arg(input);
        command.args(["-map", "0:V:0", self.passthrough, "passthrough", "-filter_threads", "1"]);
        // The default conversion to RGB is up to two levels off and depends on the processor.
        let scale = "scale=flags=bicubic+accurate_rnd+bitexact";
        // A version that logs from several threads mixes the messages of one with those of another. So the frames' times come by a pipe
        // of their own, which is the process's standard input, as the one other file that it is sure to have. The log has the frame
        // rate, of a branch of the filters that lets no frame through.
        if self.threaded {
            command.args(["-vf", &format!("split[a][b];[b]trim=end_frame=0,showinfo=checksum=0,nullsink;[a]{scale}")]);
            command.args(["-enc_time_base", "filter", "-stats_enc_pre", "pipe:0", "-stats_enc_pre_fmt", "{pts} {tb}"]).stdin(stats);
        } else {
            command.args(["-vf", &format!("{scale},showinfo=checksum=0")]).stdin(Stdio::null());
        }
        // PPM: each frame carries its size, which plain rgb24 does not.
        command.args(["-pix_fmt", "rgb24", "-c:v", "ppm", "-threads", "1", "-f", "image2pipe", "pipe:1"]);
        command.env_remove("FFREPORT").env_remove("AV_LOG_FORCE_COLOR").env("AV_LOG_FORCE_NOCOLOR", "1");
        // A group of its own: Ctrl-C would otherwise make ffmpeg end early and look as if the file were short.
        command.process_group(0);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// How long a frame's time may come after it: only a machine that stands still takes seconds.
const TIME_PATIENCE: Duration = Duration::from_secs(4);

type Frames = (u32, Option<(usize, usize)>, Option<String>);

/// Every frame until the pipe ends; also the frames' size and, if the pipe did not end between two frames, why.
fn read_frames(pipe: &mut impl Read, times: &Times, each: &mut dyn FnMut(Frame) -> Result<()>) -> Result<Frames> {
    let (mut frames, mut size) = (0u32, None);
    let mut rgb = Vec::new();
    let mut timed = true;
    loop {
        let now = match read_header(pipe) {
            Ok(Some(size)) => size,
            Ok(None) => return Ok((frames, size, None)),
            Err(e) => return Ok((frames, size, Some(format!("{e:#}")))),
        };
        if *size.get_or_insert(now) != now || frames == u32::MAX {
            return Ok((frames, size, Some(format!("after frame {frames} the size changes"))));
        }
        let (height, width) = now;
        rgb.resize(height * width * 3, 0);
        if pipe.read_exact(&mut rgb).is_err() {
            return Ok((frames, size, Some(format!("frame {frames} is cut off"))));
        }
        let time = if timed { times.next(TIME_PATIENCE) } else { None };
        timed &= time.is_some();
        let time = time.flatten();
        each(Frame { rgb: &rgb, height, width, time })?;
        frames += 1;
    }
}

/// Height and width from a frame's PPM header, `P6\nW H\n255\n`; `None` at the end of the pipe.
fn read_header(pipe: &mut impl Read) -> Result<Option<(usize, usize)>> {
    let mut fields = Vec::new();
    let mut field = String::new();
    let mut byte = [0u8];
    while fields.len() < 4 {
        match pipe.read(&mut byte) {
            Ok(0) if fields.is_empty() && field.is_empty() => return Ok(None),
            Ok(0) => bail!("a frame's header is cut off"),
            Ok(_) if byte[0].is_ascii_whitespace() => fields.push(std::mem::take(&mut field)),
            Ok(_) if field.len() < 8 => field.push(byte[0] as char),
            Ok(_) => bail!("ffmpeg delivered something that is no frame"),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e.into()),
        }
    }
    let number = |i: usize| fields[i].parse::<usize>().ok().filter(|n| *n > 0);
    match (fields[0].as_str(), number(1), number(2), fields[3].as_str()) {
        ("P6", Some(w), Some(h), "255") if w.saturating_mul(h) <= MAX_PIXELS => Ok(Some((h, w))),
        ("P6", Some(w), Some(h), "255") => bail!("frames of {w}x{h} pixels are too large"),
        _ => bail!("ffmpeg delivered something that is no frame"),
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

/// Why an exit was not a normal one. ffmpeg's own error codes say less than its log, and are left out.
fn abnormal(status: Option<ExitStatus>) -> Option<String> {
    let signal = status?.signal()?;
    Some(format!("ffmpeg was stopped by signal {signal}"))
}

/// Measures how long ffmpeg has been waited for. Time spent on the frames themselves does not count.
struct Clock {
    start: Instant,
    patience: Duration,
    /// Milliseconds since `start`, plus one, when the wait began; 0: nobody waits.
    waiting: AtomicU64,
    fired: AtomicBool,
    stopped: AtomicBool,
    thread: Mutex<Option<std::thread::Thread>>,
}

impl Clock {
    fn new(patience: Duration) -> Clock {
        Clock {
            start: Instant::now(),
            patience,
            waiting: AtomicU64::new(0),
            fired: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            thread: Mutex::new(None),
        }
    }

    fn begin(&self) {
        let now = self.start.elapsed().as_millis() as u64 + 1;
        self.waiting.store(now, Ordering::Relaxed);
    }

    fn end(&self) {
        self.waiting.store(0, Ordering::Relaxed);
    }

    fn fired(&self) -> bool {
        self.fired.load(Ordering::Relaxed)
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.lock().unwrap_or_else(|p| p.into_inner()).as_ref() {
            thread.unpark();
        }
    }

    fn watch(&self, child: &Guard) {
        *self.thread.lock().unwrap_or_else(|p| p.into_inner()) = Some(std::thread::current());
        while !self.stopped.load(Ordering::SeqCst) {
            std::thread::park_timeout((self.patience / 8).min(Duration::from_secs(1)));
            let since = self.waiting.load(Ordering::Relaxed);
            let now = self.start.elapsed().as_millis() as u64 + 1;
            if since > 0 && now.saturating_sub(since) >= self.patience.as_millis() as u64 {
                self.fired.store(true, Ordering::Relaxed);
                child.kill();
                return;
            }
        }
    }
}

/// ffmpeg's output, with the clock running while it is waited for.
struct Pipe<'a> {
    stdout: ChildStdout,
    clock: &'a Clock,
}

impl Read for Pipe<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.clock.begin();
        let got = self.stdout.read(buffer);
        self.clock.end();
        got
    }
}

/// The process; killed and reaped at the latest when this goes.
struct Guard(Mutex<Child>);

impl Guard {
    fn kill(&self) {
        let _ = self.0.lock().unwrap_or_else(|p| p.into_inner()).kill();
    }

    /// Waits for the exit with the clock running. Polls, as a blocking wait would keep the clock from killing.
    fn wait(&self, clock: &Clock) -> Option<ExitStatus> {
        clock.begin();
        let mut pause = Duration::from_micros(100);
        let status = loop {
            match self.0.lock().unwrap_or_else(|p| p.into_inner()).try_wait() {
                Ok(None) => {}
                Ok(status) => break status,
                Err(_) => break None,
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        };
        clock.end();
        status
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.kill();
        let _ = self.0.lock().unwrap_or_else(|p| p.into_inner()).wait();
    }
}

/// Ends both helper threads.
struct Stop<'a>(&'a Guard, &'a Clock);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.kill();
        self.1.stop();
    }
}
