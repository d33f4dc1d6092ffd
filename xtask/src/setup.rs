//! `setup`: what the build needs besides a Rust toolchain, in the ignored folder `.deps`.

use std::path::Path;

use crate::libtorch::{empty_library, WHEELS};
use crate::wheel::Wheel;
use crate::{sh, Result};

const FFMPEG: Wheel = Wheel {
    name: "imageio-ffmpeg",
    version: "0.8.1",
    platform: "manylinux_2_28_x86_64",
    sha256: "050d6850601c3b3890bd2b28306f3b842b3daea390a561101174375a1c460bda",
    bytes: 68_000_000,
    files: &["imageio_ffmpeg/binaries/ffmpeg-linux-x86_64-*=ffmpeg/ffmpeg"],
};

/// The wheel of torch and what of it is unpacked beside it.
const SPACE: u64 = 1_200_000_000;

/// Sets up what is missing and says what was there.
pub fn run(offline: Option<&Path>) -> Result<()> {
    let deps = sh::root().join(".deps");
    machine()?;
    tools()?;
    let offline = match offline {
        None => None,
        Some(dir) => Some(dir.canonicalize().map_err(|fault| format!("--wheels {}: {fault}", dir.display()))?),
    };
    if let Some(dir) = &offline {
        lacking(&deps, dir)?;
    }
    if WHEELS.iter().any(|wheel| !wheel.finished(&deps)) {
        sh::need_space(&deps, SPACE, "the set-up")?;
    }
    let mut fresh = false;
    for wheel in &WHEELS {
        fresh |= wheel.install(&deps, offline.as_deref())?;
    }
    empty_library(&deps.join("libtorch/lib"))?;
    let torch = WHEELS[0].version;
    let state = if fresh { "put" } else { "kept" };
    eprintln!("{state} libtorch {torch} in .deps/libtorch");
    ffmpeg(&deps, offline.as_deref())?;
    sh::remove(&deps.join("wheels"))
}

/// Fetches all wheels into a folder, for a machine that has no network.
pub fn wheels(dir: &Path) -> Result<()> {
    tools()?;
    sh::need_space(dir, SPACE / 2, "the wheels")?;
    for wheel in WHEELS.iter().chain([&FFMPEG]) {
        wheel.fetch(dir, None)?;
        // only tells pip what is asked for
        sh::remove(&dir.join(format!("{}.txt", wheel.name)))?;
    }
    eprintln!("on the other machine: cargo xtask setup --wheels {}", dir.display());
    Ok(())
}

/// Tells all wheels that are needed and not in the folder, before the first is unpacked.
fn lacking(deps: &Path, dir: &Path) -> Result<()> {
    let needed = WHEELS.iter().filter(|wheel| !wheel.finished(deps) && !wheel.is_in(dir));
    let lines: Vec<String> = needed.map(|wheel| format!("\n  {}", wheel.wanted())).collect();
    if lines.is_empty() {
        return Ok(());
    }
    Err(format!("{} lacks wheels that `cargo xtask wheels DIR` fetches where there is a network:{}", dir.display(), lines.concat()))
}

/// What the wheels are built for.
fn machine() -> Result<()> {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    if (os, arch) != ("linux", "x86_64") || !cfg!(target_env = "gnu") {
        return Err(format!("no: dv runs on x86_64 Linux with glibc, and this is {arch} {os}"));
    }
    let glibc = sh::capture("getconf", &["GNU_LIBC_VERSION"]).unwrap_or_default();
    let version = glibc.trim().trim_start_matches("glibc ");
    let mut parts = version.split('.').map(str::parse::<u32>);
    if let (Some(Ok(major)), Some(Ok(minor))) = (parts.next(), parts.next()) {
        if (major, minor) < (2, 28) {
            return Err(format!("no: libtorch needs glibc 2.28 or newer, and this is {version}"));
        }
    }
    Ok(())
}

fn tools() -> Result<()> {
    let needed: [(&str, &[&str], &str); 4] = [
        ("gcc", &["--version"], "a C compiler: `apt install gcc`, `dnf install gcc`"),
        ("g++", &["--version"], "a C++ compiler: `apt install g++`, `dnf install gcc-c++`"),
        ("python3", &["--version"], "only to fetch and unpack: `apt install python3`"),
        ("python3", &["-m", "pip", "--version"], "python3's pip: `apt install python3-pip`, or `python3 -m ensurepip --user`"),
    ];
    let mut missing = Vec::new();
    for (program, args, advice) in needed {
        if sh::capture(program, args).is_none() {
            missing.push(format!("\n  {program} {}: {advice}", args.join(" ")));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("these do not run here:{}", missing.concat()))
}

/// The ffmpeg that `dv` would take where there is one, else a static one.
fn ffmpeg(deps: &Path, offline: Option<&Path>) -> Result<()> {
    let named = std::env::var_os("DV_FFMPEG").filter(|program| !program.is_empty());
    let (program, place) = match named {
        Some(program) => (program, "from DV_FFMPEG"),
        None => ("ffmpeg".into(), "from PATH"),
    };
    if let Some(text) = sh::capture(program, &["-version"]) {
        let version = text.split_whitespace().nth(2).unwrap_or("of unknown version");
        eprintln!("kept ffmpeg {version} {place}");
        return Ok(());
    }
    let state = if FFMPEG.install(deps, offline)? { "put" } else { "kept" };
    let own = deps.join("ffmpeg/ffmpeg");
    let text = sh::capture(&own, &["-version"]).ok_or_else(|| format!("{} does not run: delete it and set up again", own.display()))?;
    let version = text.split_whitespace().nth(2).unwrap_or_default();
    eprintln!("{state} ffmpeg {version} in .deps/ffmpeg");
    Ok(())
}
