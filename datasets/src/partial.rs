//! The folder that a set is written into before it has its name, and the lock that tells a live one from what a kill has left.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{bail, Context, Result};
use rustix::fs::{flock, FlockOperation};
use rustix::io::Errno;

const LOCK: &str = ".lock";

/// `OUT.partial-PID-N`, this process's own. Removed with all in it when dropped, unless it became `OUT`.
#[derive(Debug)]
pub(crate) struct Partial {
    path: PathBuf,
    /// Leftovers of others that were removed.
    pub removed: Vec<PathBuf>,
    /// Held while this lives; the system lets go of it however the process ends.
    _lock: File,
    finished: bool,
}

impl Partial {
    /// Makes the folder beside `out`, and removes those of the same name that no live process holds. An error where one does.
    pub fn create(out: &Path) -> Result<Partial> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let Some(name) = out.file_name() else {
            bail!("{} cannot be the folder of a set", out.display());
        };
        let mut prefix = name.to_owned();
        prefix.push(".partial-");
        let removed = remove_stale(out, &prefix)?;
        prefix.push(format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)));
        let path = out.with_file_name(prefix);
        if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        }
        let say = || format!("cannot create {}", path.display());
        fs::create_dir(&path).with_context(say)?;
        let lock = File::create(path.join(LOCK)).with_context(say)?;
        // Some network file systems have no locks: then nobody's leftovers are removed, see `is_stale`.
        let _ = flock(&lock, FlockOperation::NonBlockingLockExclusive);
        fs::create_dir(path.join("shards")).with_context(say)?;
        Ok(Partial { path, removed, _lock: lock, finished: false })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the folder its name.
    pub fn become_set(&mut self, out: &Path) -> Result<()> {
        fs::rename(&self.path, out).with_context(|| format!("cannot create {}", out.display()))?;
        self.finished = true;
        // Only now, so that nobody ever sees the folder without it. What stays behind does no harm.
        let _ = fs::remove_file(out.join(LOCK));
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.finished {
            // Nothing to tell anyone here, and a leftover is not taken for a set.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn remove_stale(out: &Path, prefix: &std::ffi::OsStr) -> Result<Vec<PathBuf>> {
    let parent = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut removed = Vec::new();
    // A parent that is not there yet is made later, and one that cannot be read fails then.
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let rest = name.as_encoded_bytes().strip_prefix(prefix.as_encoded_bytes());
        let ours = rest.is_some_and(|rest| rest.iter().all(|b| b.is_ascii_digit() || *b == b'-'));
        let path = out.with_file_name(&name);
        if !ours || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        match crate::file::open(&path.join(LOCK)).map(|lock| (flock(&lock, FlockOperation::NonBlockingLockExclusive), lock)) {
            // The lock is held until the folder is gone: two who tidy up do not meet.
            Ok((Ok(()), _lock)) => {
                fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}, left by a pack that was killed", path.display()))?;
                removed.push(path);
            }
            Ok((Err(Errno::WOULDBLOCK), _)) => {
                bail!("another dv is packing {} just now, in {}: wait for it, or give another --out", out.display(), path.display())
            }
            // No locks here, or a folder of this very moment: whether anyone holds it cannot be known.
            _ => {}
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_go_and_live_ones_stay() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("my set");
        let stale = dir.path().join("my set.partial-4194305-0");
        fs::create_dir_all(stale.join("shards")).unwrap();
        for file in [".lock", "shards/00000.dvs"] {
            fs::write(stale.join(file), "x").unwrap();
        }
        // Not of this set, no folder, without a lock, not named as ours are.
        let kept = ["my set2.partial-1-0", "my set.partial-2-0", "my set.partial-old", "my set.partial-3-0"].map(|n| dir.path().join(n));
        for folder in &kept[..3] {
            fs::create_dir(folder).unwrap();
        }
        fs::write(kept[0].join(".lock"), "").unwrap();
        fs::write(kept[2].join(".lock"), "").unwrap();
        fs::write(&kept[3], "").unwrap();
        let mut one = Partial::create(&out).unwrap();
        assert_eq!(one.removed, [stale.as_path()]);
        assert!(!stale.exists() && kept.iter().all(|k| k.exists()));
        let error = Partial::create(&out).unwrap_err().to_string();
        assert!(error.contains("another dv is packing") && error.contains("my set.partial-"), "{error}");
        one.become_set(&out).unwrap();
        assert!(out.join("shards").is_dir() && !out.join(LOCK).exists());
        let path = Partial::create(&dir.path().join("new/below/set")).unwrap().path().to_owned();
        assert!(!path.exists() && path.parent().unwrap().is_dir());
    }
}
