//! Frames to a lossless video file, through ffmpeg.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{bail, Context, Result};

/// Writes square RGB frames as FFV1 in AVI. No stamp of time or version goes in; the pixels come back bit by bit.
pub fn ffv1(ffmpeg: &Path, path: &Path, side: usize, fps: u32, frames: &[u8]) -> Result<()> {
    let mut child = Command::new(ffmpeg)
        .args(["-v", "error", "-nostdin", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24"])
        .args(["-video_size", &format!("{side}x{side}"), "-framerate", &fps.to_string(), "-i", "pipe:0"])
        .args(["-c:v", "ffv1", "-pix_fmt", "bgr0", "-threads", "1", "-fflags", "+bitexact", "-flags:v", "+bitexact"])
        .args(["-f", "avi"])
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", ffmpeg.display()))?;
    // A write fails where ffmpeg has given up; then its own words say more than the broken pipe.
    let written = child.stdin.take().context("ffmpeg has no stdin")?.write_all(frames);
    let output = child.wait_with_output().context("cannot wait for ffmpeg")?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("{} cannot write {}: {} ({})", ffmpeg.display(), path.display(), words.trim(), output.status);
    }
    written.with_context(|| format!("cannot send frames to {}", ffmpeg.display()))
}
