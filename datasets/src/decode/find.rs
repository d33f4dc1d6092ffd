//! Finding ffmpeg and its version.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{bail, ensure, Context, Result};

/// An ffmpeg program that was found and answered.
#[derive(Clone, Debug)]
pub struct Ffmpeg {
    pub(super) program: PathBuf,
    version: String,
    /// The option that keeps each frame as it is, whose name depends on the version.
    pub(super) passthrough: &'static str,
    /// Whether it works, and logs, in several threads whatever the options.
    pub(super) threaded: bool,
}

impl Ffmpeg {
    /// The program named by `DV_FFMPEG`, else `ffmpeg` on `PATH`, else `.deps/ffmpeg/ffmpeg` in a folder that holds this
    /// executable or the current directory. The error says how to get one.
    pub fn find() -> Result<Ffmpeg> {
        if let Some(program) = env::var_os("DV_FFMPEG").filter(|p| !p.is_empty()) {
            return Ffmpeg::at(Path::new(&program)).context("DV_FFMPEG");
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let on_path = env::split_paths(&path).map(|dir| dir.join("ffmpeg"));
        let starts = [env::current_exe().ok(), env::current_dir().ok()];
        let beside = starts.iter().flatten().flat_map(|start| start.ancestors());
        let beside = beside.map(|dir| dir.join(".deps/ffmpeg/ffmpeg"));
        match on_path.chain(beside).find(|p| p.is_file()) {
            Some(program) => Ffmpeg::at(&program),
            None => {
                bail!("ffmpeg not found: neither on PATH nor at .deps/ffmpeg/ffmpeg; run `cargo xtask setup`, install it, or set DV_FFMPEG")
            }
        }
    }

    /// The program at that path; an error if it does not answer as ffmpeg does.
    pub fn at(program: &Path) -> Result<Ffmpeg> {
        let say = || format!("{} does not run as ffmpeg: run `cargo xtask setup`, or set DV_FFMPEG", program.display());
        let mut command = Command::new(program);
        let output = command.arg("-version").stdin(Stdio::null()).output().with_context(say)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.strip_prefix("ffmpeg version ").and_then(|t| t.split_whitespace().next());
        ensure!(output.status.success() && version.is_some(), say());
        let version = version.unwrap_or_default().to_owned();
        let passthrough = if before(&version, (5, 1)) { "-vsync" } else { "-fps_mode" };
        Ok(Ffmpeg { program: program.to_owned(), passthrough, threaded: !before(&version, (7, 0)), version })
    }

    /// As ffmpeg names it, e.g. `5.1.9-0+deb12u1`.
    pub fn version(&self) -> &str {
        &self.version
    }

    pub fn program(&self) -> &Path {
        &self.program
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
        for (version, old, single) in [
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
            assert_eq!((before(version, (5, 1)), before(version, (7, 0))), (old, single), "{version}");
        }
    }

    #[test]
    fn not_ffmpeg() {
        let error = format!("{:#}", Ffmpeg::at(Path::new("/bin/false")).unwrap_err());
        assert!(error.contains("/bin/false does not run as ffmpeg"), "{error}");
        assert!(Ffmpeg::at(Path::new("/nonexistent")).is_err());
    }
}
