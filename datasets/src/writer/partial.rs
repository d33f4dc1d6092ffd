//! The folder that a set is written into before it has its name, and the lock that tells a live writer from one that was killed.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Context, Result};
use rustix::fs::{flock, renameat_with, FlockOperation, RenameFlags, CWD};
use rustix::io::Errno;

const LOCK: &str = ".lock";
const JOURNAL: &str = "journal";
const SET: &str = "set";

/// `OUT.partial`, this process's own as long as it lives: `set`, which becomes `OUT`, and beside it what tells how far it is.
#[derive(Debug)]
pub(crate) struct Partial {
    root: PathBuf,
    /// Held while this lives; the system lets go of it however the process ends.
    _lock: File,
    /// Whether the folder stays when this is dropped.
    pub keep: bool,
}

impl Partial {
    /// Makes the folder beside `out`, or takes over what a writer that ended early has left there. Errors: another process is writing it, it
    /// is in the way and no writer's.
    pub fn open(out: &Path) -> Result<Partial> {
        let Some(name) = out.file_name() else {
            bail!("{} cannot be the folder of a set", out.display());
        };
        let mut own = name.to_owned();
        own.push(".partial");
        let root = out.with_file_name(own);
        if let Some(parent) = root.parent().filter(|p| !p.as_os_str().is_empty()) {
            fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        }
        let say = || format!("cannot create {}", root.display());
        let file = root.join(LOCK);
        loop {
            match fs::create_dir(&root) {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                    let ours = file.exists() || fs::read_dir(&root).is_ok_and(|mut entries| entries.next().is_none());
                    ensure!(ours, "{} is in the way and was not left by a pack: move it elsewhere, or give another --out", root.display());
                }
                Err(e) => return Err(e).with_context(say),
            }
            let lock = match OpenOptions::new().create(true).truncate(false).write(true).open(&file) {
                Ok(lock) => lock,
                // whoever held it has just finished
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                Err(e) => return Err(e).with_context(say),
            };
            if let Err(Errno::WOULDBLOCK) = flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                bail!("another dv is packing {} just now, in {}: wait for it, or give another --out", out.display(), root.display());
            }
            // Any other fault: some network file systems have no locks, and then two packs into one folder are not told apart. Between the
            // opening and the lock another may have finished and removed the file: then the lock is one of nothing.
            let held = lock.metadata().with_context(say)?;
            match fs::metadata(&file) {
                Ok(now) if (now.dev(), now.ino()) == (held.dev(), held.ino()) => return Ok(Partial { root, _lock: lock, keep: false }),
                _ => {}
            }
        }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The set's folder.
    pub fn set(&self) -> PathBuf {
        self.root.join(SET)
    }

    pub fn journal(&self) -> PathBuf {
        self.root.join(JOURNAL)
    }

    /// Whether a pack that has not ended can go on. One that was killed just after the set had its name has ended.
    pub fn goes_on(&self) -> bool {
        self.journal().exists() && self.set().exists()
    }

    /// Removes what was packed, for a fresh start.
    pub fn clear(&self) -> Result<()> {
        for gone in [fs::remove_file(self.journal()), fs::remove_dir_all(self.set())] {
            match gone {
                Err(e) if e.kind() != ErrorKind::NotFound => {
                    return Err(e).with_context(|| format!("cannot remove what is in {}", self.root.display()));
                }
                _ => {}
            }
        }
        let shards = self.set().join("shards");
        fs::create_dir_all(&shards).with_context(|| format!("cannot create {}", shards.display()))
    }

    /// Gives the set its name, where nothing has it.
    pub fn publish(mut self, out: &Path) -> Result<()> {
        fs::rename(self.set(), out).with_context(|| format!("cannot create {}", out.display()))?;
        self.keep = false;
        Ok(())
    }

    /// Gives the set the name of the one that is there, which is removed. Nobody ever sees the place empty, where the file system can.
    pub fn replace(mut self, out: &Path) -> Result<()> {
        let say = || format!("cannot replace {}", out.display());
        match renameat_with(CWD, self.set(), CWD, out, RenameFlags::EXCHANGE) {
            Ok(()) => {}
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                fs::rename(out, self.root.join("old")).with_context(say)?;
                fs::rename(self.set(), out).with_context(say)?;
            }
            Err(e) => return Err(e).with_context(say),
        }
        self.keep = false;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.keep {
            // Nothing to tell anyone here, and a leftover is not taken for a set. The lock goes last, or what is left would be nobody's.
            let _ = fs::remove_dir_all(self.set());
            let _ = fs::remove_dir_all(self.root.join("old"));
            let _ = fs::remove_file(self.journal());
            let _ = fs::remove_dir_all(&self.root);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_writer_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("new/below/my set");
        let mut one = Partial::open(&out).unwrap();
        one.clear().unwrap();
        let error = Partial::open(&out).unwrap_err().to_string();
        assert!(error.contains("another dv is packing") && error.contains("my set.partial"), "{error}");
        one.keep = true;
        drop(one);
        // What an earlier one left is taken over.
        let two = Partial::open(&out).unwrap();
        assert!(two.set().join("shards").is_dir());
        let root = two.root().to_owned();
        two.publish(&out).unwrap();
        assert!(out.join("shards").is_dir() && !root.exists());
        drop(Partial::open(&out).unwrap());
        assert!(!root.exists());
    }

    #[test]
    fn a_set_takes_the_place_of_another() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("set");
        fs::create_dir(&out).unwrap();
        fs::write(out.join("old"), "").unwrap();
        let partial = Partial::open(&out).unwrap();
        partial.clear().unwrap();
        fs::write(partial.set().join("new"), "").unwrap();
        partial.replace(&out).unwrap();
        assert!(out.join("new").exists() && !out.join("old").exists() && !dir.path().join("set.partial").exists());
    }

    #[test]
    fn the_folder_of_someone_else_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("set.partial")).unwrap();
        fs::write(dir.path().join("set.partial/thesis.txt"), "").unwrap();
        let error = Partial::open(&dir.path().join("set")).unwrap_err().to_string();
        assert!(error.contains("set.partial is in the way"), "{error}");
        assert!(dir.path().join("set.partial/thesis.txt").exists());
    }
}
