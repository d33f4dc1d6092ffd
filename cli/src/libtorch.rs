//! Finding libtorch: the folder of its libraries, checked before the engine is started.

use std::path::{Path, PathBuf};

use anyhow::{bail, Result};
use dv_datasets::file::{self, Limit};

/// The one version that the engine is built on: its C++ interface changes from release to release.
pub const VERSION: &str = "2.11.0";

const ADVICE: &str = "`cargo xtask setup` in dv's checkout puts one into .deps/libtorch; \
    or set DV_LIBTORCH to a Python environment that has torch==2.11.0";

/// A libtorch of the right version, as far as its folder tells.
#[derive(Debug)]
pub struct Libtorch {
    /// Holds `libtorch_cpu.so`.
    pub lib: PathBuf,
    /// As `2.11.0+cu130`; None where nothing beside the libraries says it.
    pub version: Option<String>,
}

/// `DV_LIBTORCH`, else `.deps/libtorch` in a parent folder of this program.
pub fn find() -> Result<Libtorch> {
    let lib = match std::env::var_os("DV_LIBTORCH").filter(|path| !path.is_empty()) {
        Some(path) => named(Path::new(&path))?,
        None => beside(&std::env::current_exe()?)?,
    };
    let lib = std::path::absolute(lib)?;
    check(&lib)
}

/// Checks the libraries in `lib` and the version that stands beside them.
fn check(lib: &Path) -> Result<Libtorch> {
    for file in ["libtorch_cpu.so", "libc10.so"] {
        if !lib.join(file).is_file() {
            bail!("libtorch in {} is incomplete: {file} is missing; {ADVICE}", lib.display());
        }
    }
    let version = version(lib);
    if let Some(found) = &version {
        if found.split('+').next() != Some(VERSION) {
            bail!("libtorch in {} is version {found}, and dv needs exactly {VERSION}; {ADVICE}", lib.display());
        }
    }
    Ok(Libtorch { lib: lib.to_path_buf(), version })
}

/// What `DV_LIBTORCH` may name: an environment's root, its site-packages, its `torch`, or that one's `lib`.
fn named(path: &Path) -> Result<PathBuf> {
    let mut places = vec![path.to_path_buf(), path.join("lib"), path.join("torch/lib")];
    if let Ok(entries) = std::fs::read_dir(path.join("lib")) {
        let mut pythons: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        pythons.sort();
        places.extend(pythons.iter().map(|python| python.join("site-packages/torch/lib")));
    }
    match places.into_iter().find(|place| place.join("libtorch_cpu.so").is_file()) {
        Some(place) => Ok(place),
        None => bail!("DV_LIBTORCH is {}, and no libtorch_cpu.so is there; {ADVICE}", path.display()),
    }
}

fn beside(program: &Path) -> Result<PathBuf> {
    let places = program.ancestors().skip(1).map(|dir| dir.join(".deps/libtorch/lib"));
    match places.into_iter().find(|place| place.is_dir()) {
        Some(place) => Ok(place),
        None => bail!("libtorch is missing: no folder above {} has .deps/libtorch/lib; {ADVICE}", program.display()),
    }
}

const VERSION_FILE: Limit = Limit::new(1_000_000, "libtorch's version");

/// From `version.py` (torch's Python package) or `build-version` (torch's C++ archive).
fn version(lib: &Path) -> Option<String> {
    let home = lib.parent()?;
    if let Ok(text) = file::read_text(&home.join("version.py"), VERSION_FILE) {
        let line = text.lines().find_map(|line| line.strip_prefix("__version__"))?;
        return Some(line.trim_start_matches([' ', '=']).trim_matches(['\'', '"', ' ']).to_string());
    }
    let text = file::read_text(&home.join("build-version"), VERSION_FILE).ok()?;
    Some(text.trim().to_string())
}
