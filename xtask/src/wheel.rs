//! A pinned wheel of PyPI as an archive of files: fetched with its hash, unpacked in part, then deleted.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{sh, Result};

/// A wheel, and which of its files go where below `.deps`.
pub struct Wheel {
    pub name: &'static str,
    pub version: &'static str,
    pub platform: &'static str,
    pub sha256: &'static str,
    /// Bytes to download, for the messages.
    pub bytes: u64,
    /// `PATTERN=TARGET`, as `unpack.py` reads them.
    pub files: &'static [&'static str],
}

impl Wheel {
    /// Fetches and unpacks the wheel unless all its files are there already; says which.
    pub fn install(&self, deps: &Path, offline: Option<&Path>) -> Result<bool> {
        if self.finished(deps) {
            return Ok(false);
        }
        let folder = deps.join("wheels");
        if let Some(dir) = offline {
            self.look(dir)?;
        }
        let file = self.fetch(&folder, offline)?;
        eprintln!("unpacking {} {}", self.name, self.version);
        let manifest = self.unpack(&file, deps)?;
        // Written last: a set-up that was cut short finds no stamp and goes on.
        let stamp = self.stamp(deps);
        sh::make_dir(&deps.join("stamps"))?;
        std::fs::write(&stamp, manifest).map_err(|fault| format!("cannot write {}: {fault}", stamp.display()))?;
        sh::remove(&file)?;
        Ok(true)
    }

    fn stamp(&self, deps: &Path) -> PathBuf {
        let hash = &self.sha256[..12];
        deps.join("stamps").join(format!("{}-{}-{hash}", self.name, self.version))
    }

    /// Whether the stamp is there and every file that it lists still has its size.
    pub fn finished(&self, deps: &Path) -> bool {
        let Ok(manifest) = std::fs::read_to_string(self.stamp(deps)) else {
            return false;
        };
        !manifest.is_empty()
            && manifest.lines().all(|line| {
                line.split_once(' ').is_some_and(|(size, name)| {
                    let there = std::fs::metadata(deps.join(name)).map(|meta| meta.len());
                    matches!((size.parse::<u64>(), there), (Ok(want), Ok(have)) if want == have)
                })
            })
    }

    /// What is said of a wheel that has to be put into a folder by hand.
    pub fn wanted(&self) -> String {
        let (name, version, platform) = (self.name.replace('-', "_"), self.version, self.platform);
        format!("{name}-{version}-...{platform}.whl ({:.0} MB, sha256 {})", self.bytes as f64 / 1e6, self.sha256)
    }

    /// Whether a folder seems to hold the wheel; pip checks that it is this one.
    pub fn is_in(&self, dir: &Path) -> bool {
        self.find(dir).is_some()
    }

    fn look(&self, dir: &Path) -> Result<()> {
        if self.is_in(dir) {
            return Ok(());
        }
        Err(format!("{} lacks {}: `cargo xtask wheels DIR` fetches it where there is a network", dir.display(), self.wanted()))
    }

    /// Downloads through pip, which checks the hash and keeps a file that is already whole.
    pub fn fetch(&self, folder: &Path, offline: Option<&Path>) -> Result<PathBuf> {
        sh::make_dir(folder)?;
        let pin = format!("{}=={}", self.name, self.version);
        let requirement = folder.join(format!("{}.txt", self.name));
        std::fs::write(&requirement, format!("{pin} --hash=sha256:{}\n", self.sha256))
            .map_err(|fault| format!("cannot write {}: {fault}", requirement.display()))?;
        let from = if offline.is_some() { "copying" } else { "downloading" };
        eprintln!("{from} {pin} ({:.1} MB)", self.bytes as f64 / 1e6);
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "download", "--disable-pip-version-check", "--no-cache-dir"]);
        pip.args(["--no-deps", "--only-binary=:all:", "--require-hashes"]);
        pip.args(["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"]);
        pip.args(["--platform", self.platform, "--dest"]).arg(folder);
        pip.arg("--requirement").arg(&requirement);
        pip.env("PIP_REQUIRE_VIRTUALENV", "0");
        if let Some(dir) = offline {
            pip.args(["--no-index", "--find-links"]).arg(dir);
        }
        sh::run(&format!("the download of {pin}"), &mut pip).map_err(|fault| match offline {
            Some(dir) => {
                format!("{fault}: {} must hold the wheel of {pin} for {} with sha256 {}", dir.display(), self.platform, self.sha256)
            }
            None => format!(
                "{fault}: pip's message is above. It uses pip's own settings (PIP_INDEX_URL for a mirror); \
                 without a network, give a folder with the wheels: --wheels DIR (`cargo xtask wheels DIR` fills one)"
            ),
        })?;
        self.find(folder).ok_or_else(|| format!("pip left no wheel of {pin} in {}", folder.display()))
    }

    fn find(&self, folder: &Path) -> Option<PathBuf> {
        let head = format!("{}-{}-", self.name.replace('-', "_"), self.version);
        let files = std::fs::read_dir(folder).ok()?;
        files.flatten().map(|entry| entry.path()).find(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with(&head) && name.ends_with(".whl"))
        })
    }

    fn unpack(&self, file: &Path, deps: &Path) -> Result<String> {
        let output = Command::new("python3")
            .args(["-c", include_str!("unpack.py")])
            .args([file, deps])
            .args(self.files)
            .stderr(Stdio::inherit())
            .output()
            .map_err(|fault| format!("cannot start python3: {fault}"))?;
        let manifest = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            return Err(format!("cannot unpack {} ({}): delete it and run the set-up again", file.display(), output.status));
        }
        for rule in self.files {
            let target = rule.split('=').nth(1).unwrap_or_default();
            let found = manifest.lines().any(|line| {
                let name = line.split_once(' ').map_or("", |(_, name)| name);
                name == target || target.ends_with('/') && name.starts_with(target)
            });
            if !found {
                return Err(format!("{} holds nothing for {rule}", file.display()));
            }
        }
        Ok(manifest)
    }
}
