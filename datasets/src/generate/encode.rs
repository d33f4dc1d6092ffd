//! Frames to lossless video files, through ffmpeg.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{bail, Context, Result};

use crate::Ffmpeg;

/// Form of the frames that are written: square, RGB.
#[derive(Clone, Copy)]
pub struct Form {
    pub side: usize,
    pub frames: usize,
    pub fps: u32,
}

/// One ffmpeg that writes many videos one after the other: its start takes longer than a short video.
pub struct Encoder {
    child: Child,
    dir: PathBuf,
    program: PathBuf,
    videos: usize,
}

impl Encoder {
    /// For `videos` videos of the same form, as FFV1 in AVI, into the folder `dir`. No stamp of time or version goes in;
    /// the pixels come back bit by bit.
    pub fn start(ffmpeg: &Ffmpeg, dir: &Path, form: Form, videos: usize) -> Result<Self> {
        let program = std::path::absolute(ffmpeg.program())?; // it starts in another folder
        let size = format!("{0}x{0}", form.side);
        let cuts: Vec<String> = (1..videos).map(|video| (video * form.frames).to_string()).collect();
        let mut command = Command::new(&program);
        command.args(["-v", "error", "-nostdin", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24"]);
        command.args(["-video_size", &size, "-framerate", &form.fps.to_string(), "-i", "pipe:0"]);
        command.args(["-c:v", "ffv1", "-g", "1", "-pix_fmt", "bgr0", "-threads", "1"]);
        command.args(["-fflags", "+bitexact", "-flags:v", "+bitexact"]);
        if videos > 1 {
            command.args(["-f", "segment", "-segment_format", "avi", "-reset_timestamps", "1"]);
            command.args(["-segment_frames", &cuts.join(","), "%d.avi"]);
        } else {
            command.args(["-f", "avi", "0.avi"]);
        }
        command.current_dir(dir).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn().with_context(|| format!("cannot start {} in {}", program.display(), dir.display()))?;
        Ok(Self { child, dir: dir.to_owned(), program, videos })
    }

    /// Sends one video's frames.
    pub fn push(&mut self, frames: &[u8]) -> Result<()> {
        let sent = self.child.stdin.as_mut().context("ffmpeg's stdin is closed")?.write_all(frames);
        match sent {
            Ok(()) => Ok(()),
            // ffmpeg has given up, and its own words say more than a broken pipe.
            Err(fault) => self.end().and(Err(fault).context("cannot send frames to ffmpeg")),
        }
    }

    /// Waits for the files; gives their paths, in the order of the videos.
    pub fn finish(mut self) -> Result<Vec<PathBuf>> {
        self.end()?;
        Ok((0..self.videos).map(|video| self.dir.join(format!("{video}.avi"))).collect())
    }

    fn end(&mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let mut words = String::new();
        if let Some(stderr) = &mut self.child.stderr {
            let _ = std::io::Read::read_to_string(stderr, &mut words); // empty words are still an error below
        }
        let status = self.child.wait().context("cannot wait for ffmpeg")?;
        if !status.success() {
            let words = words.trim();
            bail!("{} cannot write videos to {}: {words} ({status})", self.program.display(), self.dir.display());
        }
        Ok(())
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // Both fail where it has ended already, as it has unless rendering was given up.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
