//! Stages that points of a sweep share: one point computes such a stage, the others wait and take over what it left. Points may run in
//! processes of their own.

use super::runner::Identities;
use anyhow::{bail, Context, Result};
use dv_datasets::file::{self, Limit};
use rustix::fs::{flock, FlockOperation};
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The folder below that of the sweep: for each identity of a stage a lock, and the point that has it.
const FOLDER: &str = ".shared";
/// How often a point that waits asks.
const TICK: Duration = Duration::from_millis(100);
const NAME: Limit = Limit::new(4096, "the name of a point");

pub(super) struct Shared {
    folder: PathBuf,
    /// The sweep's.
    out: PathBuf,
    point: String,
    identities: Identities,
}

/// The right to compute a stage, until this is dropped.
pub(super) struct Turn {
    file: PathBuf,
    point: String,
    done_by: Option<String>,
    _lock: File,
}

impl Shared {
    pub fn open(out: &Path, point: &str, identities: Identities) -> Result<Shared> {
        let folder = out.join(FOLDER);
        let there = fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some());
        if there && !folder.exists() {
            bail!("{} is a folder of something else (it holds no sweep): give another (--out DIR)", out.display());
        }
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Shared { folder, out: out.to_owned(), point: point.to_owned(), identities })
    }

    /// Waits until no other process computes the stage, or until `go_on` is an error. Nothing of a stage without an identity, which is no one else's.
    pub fn turn(&self, stage: &str, tell: &dyn Fn(&str), go_on: &dyn Fn() -> Result<()>) -> Result<Option<Turn>> {
        let Some(identity) = self.identities.get(stage) else { return Ok(None) };
        let file = file::below(&self.folder, identity)?;
        let lock = file.with_extension("lock");
        let say = || format!("cannot lock {}", lock.display());
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&lock).with_context(say)?;
        if let Err(Errno::WOULDBLOCK) = flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            tell(&format!("stage {stage}: another process computes it for another point; waiting"));
            // asked for again and again: a signal does not end a call that waits
            while let Err(Errno::WOULDBLOCK) = flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                go_on()?;
                std::thread::sleep(TICK);
            }
        }
        let done_by = match file::read_text(&file, NAME) {
            // a point that was removed has nothing to take over
            Ok(name) if name != self.point && file::below(&self.out, &name)?.join(super::record::FILE).exists() => Some(name),
            _ => None,
        };
        Ok(Some(Turn { file, point: self.point.clone(), done_by, _lock: lock }))
    }
}

impl Turn {
    /// The other point that has computed the stage.
    pub fn done_by(&self) -> Option<String> {
        self.done_by.clone()
    }

    /// Notes that this point has computed it.
    pub fn done(self) -> Result<()> {
        file::write(&self.file, self.point.as_bytes(), false)
    }
}
