//! The ffmpegs that tests decode with. Also a part of other crates' tests.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::Ffmpeg;

/// Says on the terminal, though the test passes, what is not tested.
pub fn skip(why: impl std::fmt::Display) {
    // Not `eprintln!`, which cargo hides for tests that pass.
    let _ = writeln!(std::io::stderr(), "SKIP: {why}");
}

/// One ffmpeg of each version on this machine: that which dv takes, that on `PATH`, that of `cargo xtask setup`. Says which is next.
/// Without any, a test that loops over them is skipped loudly; where the environment has `CI=true`, it fails.
pub fn ffmpegs() -> impl Iterator<Item = Ffmpeg> {
    let mut found: Vec<Ffmpeg> = Vec::new();
    match Ffmpeg::find() {
        Ok(ffmpeg) => found.push(ffmpeg),
        Err(e) if std::env::var("CI").is_ok_and(|ci| ci == "true") => panic!("{e:#} (CI is true, so this is no reason to skip a test)"),
        Err(e) => skip(format_args!("{e:#}")),
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|dir| dir.join("ffmpeg"));
    let set_up = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|dir| dir.join(".deps/ffmpeg/ffmpeg"));
    let others: Vec<PathBuf> = on_path.chain(set_up).filter(|program| program.is_file()).collect();
    for ffmpeg in others.iter().filter_map(|program| Ffmpeg::at(program).ok()) {
        if found.iter().all(|other| other.version() != ffmpeg.version()) {
            found.push(ffmpeg);
        }
    }
    found.into_iter().inspect(|ffmpeg| println!("with ffmpeg {} ({})", ffmpeg.version(), ffmpeg.program().display()))
}
