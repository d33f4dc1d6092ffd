//! What `examples/read_shards.py` imports, for the test that compares it with dv.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::{sh, Result};

/// Wheels for x86-64 Linux and Python 3.11 to 3.14.
const REQUIREMENTS: &str = include_str!("python.txt");
const IMPORT: [&str; 2] = ["-c", "import numpy, zstandard"];

/// Puts both packages into `.deps/python` unless python3 has them. Only one test needs them, so what fails is told, not an error:
/// the text for the report.
pub fn run(offline: Option<&Path>) -> Result<String> {
    let folder = sh::root().join(".deps/python");
    if imports(None) || imports(Some(&folder)) {
        return Ok("kept numpy and zstandard".into());
    }
    sh::remove(&folder)?;
    sh::make_dir(&folder)?;
    let requirements = folder.join("requirements.txt");
    std::fs::write(&requirements, REQUIREMENTS).map_err(|fault| format!("cannot write {}: {fault}", requirements.display()))?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--require-hashes"]);
    pip.arg("--target").arg(&folder).arg("--requirement").arg(&requirements).env("PIP_REQUIRE_VIRTUALENV", "0");
    // A warning that packages are installed as root does not concern a folder of our own.
    pip.env("PIP_ROOT_USER_ACTION", "ignore");
    if let Some(dir) = offline {
        pip.args(["--no-index", "--find-links"]).arg(dir);
    }
    match sh::run("the installation of numpy and zstandard", &mut pip) {
        Ok(()) if imports(Some(&folder)) => Ok("put numpy and zstandard in .deps/python".into()),
        Ok(()) => Ok("SKIPPED: numpy or zstandard in .deps/python do not load".into()),
        Err(fault) => Ok(format!("SKIPPED: {fault}; the test of examples/read_shards.py will be, too")),
    }
}

fn imports(folder: Option<&Path>) -> bool {
    let mut python = Command::new("python3");
    python.args(IMPORT).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(folder) = folder {
        python.env("PYTHONPATH", folder);
    }
    python.status().is_ok_and(|status| status.success())
}
