//! Running other programs, and where things are.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Result;

/// The repository's root.
pub fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest.parent().unwrap_or(&manifest).to_path_buf()
}

/// The folder that `cargo build` writes to: `target`, unless the user says otherwise.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// Runs a command with the terminal as its own; `what` names it in the error.
pub fn run(what: &str, command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|fault| format!("{what}: cannot start {:?}: {fault}", command.get_program()))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("{what} failed ({status})"))
}

/// Runs a command quietly and gives its standard output, or None where it fails or is not there.
pub fn capture(program: impl AsRef<OsStr>, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The cargo that runs this, in the repository's root, on the libtorch of `.cargo/config.toml`:
/// what the environment says about another one is left out, so that every build is the same build.
pub fn cargo(args: &[&str]) -> Command {
    let mut command = tool(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root());
    command
}

/// A program of the toolchain, likewise.
pub fn tool(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let mine = text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST");
        if mine || text.starts_with("LIBTORCH") {
            command.env_remove(&name);
        }
    }
    with_libtorch(&mut command);
    command
}

/// Lets a program find libtorch that is started neither by cargo alone nor by `dv`, which sees to it otherwise.
pub fn with_libtorch(command: &mut Command) {
    let mut path = root().join(".deps/libtorch/lib").into_os_string();
    if let Some(old) = std::env::var_os("LD_LIBRARY_PATH") {
        path.push(":");
        path.push(old);
    }
    command.env("LD_LIBRARY_PATH", path);
    command.env("OMP_WAIT_POLICY", "PASSIVE");
}

/// Bytes free on the disk that holds `path`, or its first parent that exists.
pub fn free_bytes(path: &Path) -> Option<u64> {
    let there = path.ancestors().find(|dir| dir.exists())?;
    let text = capture("df", &["-Pk", there.to_str()?])?;
    let kilobytes: u64 = text.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// Fails where the disk of `path` has less than `needed` bytes free.
pub fn need_space(path: &Path, needed: u64, what: &str) -> Result<()> {
    match free_bytes(path) {
        Some(free) if free < needed => Err(format!(
            "{what} needs {:.1} GB of disk and {} has {:.1} GB free: make room, or move the checkout to a larger disk",
            needed as f64 / 1e9,
            path.display(),
            free as f64 / 1e9
        )),
        _ => Ok(()),
    }
}

/// Makes a folder and its parents.
pub fn make_dir(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|fault| format!("cannot make {}: {fault}", path.display()))
}

/// Removes a file or folder; what is not there is fine.
pub fn remove(path: &Path) -> Result<()> {
    let done = match path.symlink_metadata() {
        Err(_) => return Ok(()),
        Ok(meta) if meta.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
    };
    done.map_err(|fault| format!("cannot remove {}: {fault}", path.display()))
}

/// "12.3 s" or "4 min 05 s".
pub fn time(seconds: f64) -> String {
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    format!("{} min {:02} s", whole / 60, whole % 60)
}
