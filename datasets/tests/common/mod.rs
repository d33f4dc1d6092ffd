//! What tests on video files share.

// Each test program uses some of it.
#![allow(dead_code)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use dv_datasets::{Ffmpeg, Filter, PackOptions};

/// Says on the terminal, though the test passes, what is not tested.
pub fn skip(why: impl std::fmt::Display) {
    // Not `eprintln!`, which cargo hides for tests that pass.
    let _ = writeln!(std::io::stderr(), "SKIP: {why}");
}

/// The ffmpeg that dv takes; says loudly why there is none.
pub fn ffmpeg() -> Option<Ffmpeg> {
    Ffmpeg::find().map_err(|e| skip(format_args!("{e:#}"))).ok()
}

/// The folder of real videos, beside the workspace; says loudly why there is none.
pub fn videos() -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/videos");
    if !dir.is_dir() {
        skip(format_args!("no real videos at {}", dir.display()));
        return None;
    }
    ffmpeg().map(|_| dir)
}

/// Makes a video with ffmpeg: the arguments before its name. `false`, said loudly: this ffmpeg cannot.
pub fn make(ffmpeg: &Ffmpeg, arguments: &str, file: &Path) -> bool {
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let mut command = Command::new(ffmpeg.program());
    command.args(["-nostdin", "-v", "error", "-y"]).args(arguments.split_whitespace()).arg(file);
    let output = command.output().unwrap();
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        skip(format_args!("ffmpeg {arguments}: {}", why.lines().next().unwrap_or_default()));
    }
    output.status.success()
}

/// Options of two threads, without fsync; `folder` gets a size of its own.
pub fn options(preset: &str, videos: &Path, out: &Path) -> PackOptions {
    let own = preset != "folder";
    let mut options = PackOptions::preset(preset, videos, out, (!own).then_some((96, 128)), (!own).then_some(Filter::Bilinear)).unwrap();
    options.fsync = false;
    options.threads = 2;
    options
}
