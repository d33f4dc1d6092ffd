//! Finding ffmpeg and its version.

use std::env;
use std::ffi::OsStr;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};

use super::log::Log;
use super::pipes::Pipes;
use super::process::Process;

/// An ffmpeg program that was found and answered.
#[derive(Clone, Debug)]
pub struct Ffmpeg {
    pub(super) program: PathBuf,
    version: String,
    /// The option that keeps each frame as it is, whose name depends on the version.
    pub(super) passthrough: &'static str,
    /// Whether frames may come in planes: it has the parts for that, as far as it says.
    pub(super) planes: bool,
    /// Files to be converted by it before one is tried in planes again, as the last one could not be; shared by all copies.
    pub(super) skip: Arc<AtomicU32>,
    /// Its word for the unit of times that the file has.
    pub(super) demuxed: &'static str,
    /// Once it is set, every process under way is killed.
    pub(super) stop: Arc<AtomicBool>,
}

/// How long `ffmpeg -version` may take, and how long its answer may be.
const ANSWER: (Duration, usize) = (Duration::from_secs(10), 1 << 13);

impl Ffmpeg {
    /// The program named by `DV_FFMPEG`, else `ffmpeg` on `PATH`, else `.deps/ffmpeg/ffmpeg` in a folder that holds this executable. Nothing
    /// depends on the current directory, which may hold anything: parts of `PATH` that are relative are passed by. The error says how to
    /// get one.
    pub fn find() -> Result<Ffmpeg> {
        if let Some(program) = env::var_os("DV_FFMPEG").filter(|p| !p.is_empty()) {
            return Ffmpeg::at(Path::new(&program)).context("DV_FFMPEG");
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let found = candidates(&path, env::current_exe().ok().as_deref()).find(|p| is_program(p));
        match found {
            Some(program) => Ffmpeg::at(&program),
            None => {
                bail!("ffmpeg not found: neither on PATH nor at .deps/ffmpeg/ffmpeg above dv; run `cargo xtask setup`, install it, or set DV_FFMPEG")
            }
        }
    }

    /// The program at that path; an error if it does not answer as ffmpeg does, or is older than version 4.4.
    pub fn at(program: &Path) -> Result<Ffmpeg> {
        Ffmpeg::answering(program, ANSWER.0)
    }

    fn answering(program: &Path, patience: Duration) -> Result<Ffmpeg> {
        let say = || format!("{} does not run as ffmpeg: run `cargo xtask setup`, or set DV_FFMPEG", program.display());
        // It is started in the folders of the videos.
        let program = match program.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => std::path::absolute(program).with_context(say)?,
            _ => program.to_owned(),
        };
        let answer = answer(&program, patience).with_context(say)?;
        let version = answer.lines().next().unwrap_or_default().strip_prefix("ffmpeg version ").and_then(|t| t.split_whitespace().next());
        let version = version.with_context(say)?.to_owned();
        ensure!(!before(&version, (4, 4)), "{} is of version {version}: dv needs ffmpeg 4.4 or later", program.display());
        let passthrough = if before(&version, (5, 1)) { "-vsync" } else { "-fps_mode" };
        let demuxed = if before(&version, (7, 0)) { "-1" } else { "demux" };
        // The filter `geq`, which paints, is a part of builds under the GPL alone.
        let planes = answer.contains("--enable-gpl") && answer.contains("libswscale ");
        Ok(Ffmpeg { program, passthrough, demuxed, planes, skip: Arc::default(), version, stop: Arc::default() })
    }

    /// The same program; what it decodes ends with an error once `stop` is set.
    pub(crate) fn stopped_by(&self, stop: &Arc<AtomicBool>) -> Ffmpeg {
        Ffmpeg { stop: Arc::clone(stop), ..self.clone() }
    }

    /// As ffmpeg names it, e.g. `5.1.9-0+deb12u1`.
    pub fn version(&self) -> &str {
        &self.version
    }

    pub fn program(&self) -> &Path {
        &self.program
    }
}

/// Where ffmpeg may be, the first to be taken first.
fn candidates<'a>(path: &'a OsStr, executable: Option<&'a Path>) -> impl Iterator<Item = PathBuf> + 'a {
    let on_path = env::split_paths(path).filter(|folder| folder.is_absolute()).map(|folder| folder.join("ffmpeg"));
    let above = executable.into_iter().flat_map(|executable| executable.ancestors().skip(1));
    on_path.chain(above.map(|folder| folder.join(".deps/ffmpeg/ffmpeg")))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// What `PROGRAM -version` says. After its first line it need not end, but is killed.
fn answer(program: &Path, patience: Duration) -> Result<String> {
    let start = Instant::now();
    let mut command = Command::new(program);
    command.arg("-version").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = Process::spawn(&mut command)?;
    let stdout = process.child().stdout.take().context("no pipe")?;
    let mut pipes = Pipes::new(&process, stdout.into(), Log::new(program.as_os_str()), patience)?;
    let mut answer = Vec::new();
    let mut buffer = [0; 1 << 10];
    loop {
        let begun = answer.contains(&b'\n');
        let got = match pipes.read(&mut buffer) {
            Err(e) if e.kind() == ErrorKind::TimedOut && begun => 0,
            Err(e) if e.kind() == ErrorKind::TimedOut => bail!("`-version` has no answer in {} s", patience.as_secs_f32()),
            got => got?,
        };
        answer.extend_from_slice(&buffer[..got]);
        let enough = answer.len() >= ANSWER.1 || start.elapsed() >= patience;
        if got == 0 || (enough && answer.contains(&b'\n')) {
            return Ok(String::from_utf8_lossy(&answer).into_owned());
        }
        ensure!(!enough, "the answer to `-version` does not end");
    }
}

/// Whether a version is older than `than`. Builds from a repository (`N-123-g...`) count as new.
fn before(version: &str, than: (u32, u32)) -> bool {
    let version = version.strip_prefix('n').unwrap_or(version);
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), minor) => (major, minor.unwrap_or(0)) < than,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (version, vsync, number) in [
            ("5.1.9-0+deb12u1", false, true),
            ("4.4.2-0ubuntu0.22.04.1", true, true),
            ("n9.0.2-17-g2a571b6068", false, false),
            ("5.0", true, true),
            ("6.1.1-3ubuntu5", false, true),
            ("7.0.2-static", false, false),
            ("10.0", false, false),
            ("N-112345-gabcdef", false, false),
            ("2024-01-01-git-abc", false, false),
        ] {
            assert_eq!((before(version, (5, 1)), before(version, (7, 0))), (vsync, number), "{version}");
        }
    }

    #[test]
    fn not_ffmpeg() {
        let error = format!("{:#}", Ffmpeg::at(Path::new("/bin/false")).unwrap_err());
        assert!(error.contains("/bin/false does not run as ffmpeg"), "{error}");
        assert!(Ffmpeg::at(Path::new("/nonexistent")).is_err());
    }

    #[test]
    fn answers_have_limits() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("ffmpeg");
        let answer = |body: &str| {
            // Another process writes it: while this one had it open, one that another test starts would have it too, and none could run it.
            let mut write = Command::new("sh");
            write.args(["-c", "printf '#!/bin/sh\\n%s\\n' \"$0\" > \"$1\" && chmod 755 \"$1\"", body]).arg(&program);
            assert!(write.status().unwrap().success());
            let start = Instant::now();
            let ffmpeg = Ffmpeg::answering(&program, Duration::from_millis(600));
            assert!(start.elapsed() < Duration::from_secs(5), "{body}: {:?}", start.elapsed());
            ffmpeg.map(|ffmpeg| ffmpeg.version).map_err(|e| format!("{e:#}"))
        };
        assert!(answer("exec sleep 60").unwrap_err().contains("no answer in 0.6 s"));
        assert!(answer("exec cat /dev/zero").unwrap_err().contains("does not end"));
        assert!(answer("while :; do printf x; sleep 0.1; done").unwrap_err().contains("does not end"));
        assert!(answer("echo ffmpeg version 4.2.7").unwrap_err().contains("dv needs ffmpeg 4.4"));
        // What else it does is of no interest, and ends.
        assert_eq!(answer("echo ffmpeg version 5.1; sleep 60 & exec yes").unwrap(), "5.1");
    }

    #[test]
    fn on_path_and_above_the_executable_alone() {
        let path = env::join_paths(["/a/bin", "", ".", "bin", "/b"]).unwrap();
        let found: Vec<PathBuf> = candidates(&path, Some(Path::new("/home/dv/target/dv"))).collect();
        let deps = ["/home/dv/target", "/home/dv", "/home", ""].map(|dir| format!("{dir}/.deps/ffmpeg/ffmpeg"));
        assert_eq!(
            found,
            ["/a/bin/ffmpeg", "/b/ffmpeg"].into_iter().chain(deps.iter().map(String::as_str)).map(PathBuf::from).collect::<Vec<_>>()
        );
    }
}
