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
        Ok(Ffmpeg { program: program.to_owned(), passthrough: if before_5_1(&version) { "-vsync" } else { "-fps_mode" }, version })
    }

    /// As ffmpeg names it, e.g. `5.1.9-0+deb12u1`.
    pub fn version(&self) -> &str {
        &self.version
    }

    pub fn program(&self) -> &Path {
        &self.program
    }
}

/// Versions that do not know `-fps_mode`. Builds from a repository (`N-123-g...`) count as new.
fn before_5_1(version: &str) -> bool {
    let version = version.strip_prefix('n').unwrap_or(version);
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), minor) => (major, minor.unwrap_or(0)) < (5, 1),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (version, old) in [
            ("5.1.9-0+deb12u1", false),
            ("4.4.2-0ubuntu0.22.04.1", true),
            ("n9.0.2-17-g2a571b6068", false),
            ("5.0", true),
            ("10.0", false),
            ("N-112345-gabcdef", false),
            ("2024-01-01-git-abc", false),
        ] {
            assert_eq!(before_5_1(version), old, "{version}");
        }
    }

    #[test]
    fn not_ffmpeg() {
        let error = format!("{:#}", Ffmpeg::at(Path::new("/bin/false")).unwrap_err());
        assert!(error.contains("/bin/false does not run as ffmpeg"), "{error}");
        assert!(Ffmpeg::at(Path::new("/nonexistent")).is_err());
    }
}
