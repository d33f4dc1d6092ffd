//! What tests on video files share.

// Each test program uses some of it.
#![allow(dead_code, unused_imports)]

mod ffmpegs;
pub mod seal;

use std::path::{Path, PathBuf};
use std::process::Command;

use dv_datasets::{Ffmpeg, Filter, PackOptions, PackedSet, Rejected, Video};
pub use ffmpegs::{ffmpegs, skip};

/// The folder of real videos, beside the workspace; says loudly that there is none.
pub fn videos() -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/videos");
    if !dir.is_dir() {
        skip(format_args!("no real videos at {}", dir.display()));
        return None;
    }
    Some(dir)
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
pub fn options(ffmpeg: &Ffmpeg, preset: &str, videos: &Path, out: &Path) -> PackOptions {
    let own = preset != "folder";
    let mut options = PackOptions::preset(preset, videos, out, (!own).then_some((96, 128)), (!own).then_some(Filter::Bilinear)).unwrap();
    options.ffmpeg = Some(ffmpeg.clone());
    options.fsync = false;
    options.threads = 2;
    options
}

/// A program that answers as ffmpeg and then does what `body`, lines of a shell script, says.
pub fn pretend(dir: &Path, body: &str) -> Ffmpeg {
    let program = dir.join("ffmpeg");
    let script = format!("#!/bin/sh\nif [ \"$1\" = -version ]; then echo ffmpeg version 7.0; exit; fi\n{body}\n");
    // Another process writes it: while this one had it open, one that another test starts would have it too, and none could run it.
    let mut write = Command::new("sh");
    write.args(["-c", "printf %s \"$0\" > \"$1\" && chmod 755 \"$1\"", &script]).arg(&program);
    assert!(write.status().unwrap().success());
    Ffmpeg::at(&program).unwrap()
}

/// All that a set says, where a damaged one is no part of the test.
pub trait Whole {
    fn all(&self) -> Vec<Video>;
    fn gone(&self) -> Vec<Rejected>;
}

impl Whole for PackedSet {
    fn all(&self) -> Vec<Video> {
        self.videos().collect::<Result<_, _>>().unwrap()
    }

    fn gone(&self) -> Vec<Rejected> {
        self.rejected().unwrap()
    }
}
