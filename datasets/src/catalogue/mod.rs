//! What a packed set holds: `set.json`, a small head, and `catalogue.dvc`, a record for each video, row and rejected file.
//!
//! The head is read whole. Of the records only what is asked for is read and checked, so that a set of a million videos opens at once:
//! `table` checks them piece by piece, `record` gives the bytes their meaning, `build` writes both files, `fingerprint` says what a set is.

mod build;
mod fingerprint;
mod head;
mod record;
mod table;

use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};
use serde::{Deserialize, Serialize};

use crate::shard::{Header, Place, Size};
pub(crate) use build::{save, Split};
pub(crate) use fingerprint::Fingerprint;
pub(crate) use head::{Head, SplitHead, Stream, FILE};
use record::Records;

/// The version of `set.json`, `catalogue.dvc` and the folder's layout that this build writes and reads.
pub const SET_VERSION: u32 = 3;

/// One packed video.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Video {
    /// Of the source, below the packed folder, with `/` between its parts.
    pub path: String,
    /// Place in [`crate::PackedSet::classes`].
    pub class: Option<u32>,
    /// What it shares with videos of the same source, such as `v_Punch_g08` of UCF101; its own path where it stands alone.
    pub group: String,
    /// Nominal frames a second, as the source's container or codec gives it.
    pub fps: Option<f64>,
    /// Size before the resize, in pixels; of the first frame where it changes.
    pub source_height: u32,
    pub source_width: u32,
    /// Bytes of the source file; 0 where there was none.
    pub source_bytes: u64,
    /// SHA-256 of the source file, in hex.
    pub source_sha256: Option<String>,
    /// What was wrong with the source, though frames decoded.
    pub note: Option<String>,
    /// Frames that decoded, at least 1.
    pub frames: u32,
    /// Pixels of each frame in the set.
    pub height: u32,
    pub width: u32,
    /// blake3, in hex, over each frame's content hash and timestamp.
    pub content: String,
}

/// A video and where its frames are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub video: Video,
    pub place: Place,
}

/// A file, or a line of a split list, that is not in the set, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rejected {
    pub path: String,
    pub reason: String,
}

/// A row of a split's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// A video's place in the set.
    Video(u32),
    /// The path of a video that is not in the set. The row still counts, so that what is drawn from the list's rows does not
    /// depend on which videos could be packed.
    Missing(String),
}

/// A row with the file and line of the list that it is from; no file where no list names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub row: Row,
    pub list: Option<(String, u32)>,
}

impl From<Row> for Listed {
    fn from(row: Row) -> Listed {
        Listed { row, list: None }
    }
}

/// The file of the shard of that number.
pub(crate) fn shard_file(dir: &Path, stream: &str, number: u32) -> PathBuf {
    dir.join("shards").join(format!("{stream}-{number:05}.dvs"))
}

/// An open catalogue.
#[derive(Debug)]
pub(crate) struct Catalogue {
    pub head: Head,
    records: Records,
}

impl Catalogue {
    /// Reads and checks `dir/set.json`, and opens `dir/catalogue.dvc`.
    pub fn open(dir: &Path) -> Result<Catalogue> {
        let head = Head::load(dir)?;
        let records = Records::open(dir, &head)?;
        Ok(Catalogue { head, records })
    }

    /// How many videos there are.
    pub fn len(&self) -> usize {
        self.head.videos as usize
    }

    pub fn entry(&self, video: usize) -> Result<Entry> {
        let entry = self.records.entry(video)?;
        let class = entry.video.class.is_none_or(|c| (c as usize) < self.head.classes.len());
        ensure!(class && entry.video.frames > 0, self.impossible(video, "class or frame count"));
        let size = self.head.size().is_none_or(|size| size == Size { height: entry.video.height, width: entry.video.width });
        ensure!(size, self.impossible(video, "size"));
        Ok(entry)
    }

    pub fn path(&self, video: usize) -> Result<&str> {
        self.records.path(video)
    }

    pub fn group(&self, video: usize) -> Result<&str> {
        self.records.group(video)
    }

    pub fn class(&self, video: usize) -> Result<Option<u32>> {
        let class = self.records.class(video)?;
        ensure!(class.is_none_or(|c| (c as usize) < self.head.classes.len()), self.impossible(video, "class"));
        Ok(class)
    }

    /// SHA-256 of the source, where it is known.
    pub fn sha256(&self, video: usize) -> Result<Option<&[u8]>> {
        self.records.sha256(video)
    }

    pub fn frames(&self, video: usize) -> Result<u32> {
        let frames = self.records.frames(video)?;
        ensure!(frames > 0, self.impossible(video, "frame count"));
        Ok(frames)
    }

    pub fn place(&self, video: usize) -> Result<Place> {
        self.records.place(video)
    }

    /// A row of a split, by the split's number.
    pub fn row(&self, split: usize, row: u64) -> Result<Listed> {
        let before: u64 = self.head.splits[..split].iter().map(|s| s.rows).sum();
        let listed = self.records.row(before + row, &self.head.lists)?;
        if let Row::Video(video) = listed.row {
            let name = &self.head.splits[split].name;
            ensure!((video as usize) < self.len(), "{}: split {name} names a video that is not there", self.records.file().display());
        }
        Ok(listed)
    }

    pub fn rejected(&self) -> Result<Vec<Rejected>> {
        (0..self.head.rejected).map(|number| self.records.rejected(number)).collect()
    }

    /// The header that every shard of the stream must have.
    pub fn header(&self) -> Header {
        self.head.header()
    }

    /// What the set's fingerprint must be.
    pub fn fingerprint(&self) -> Result<String> {
        let mut fingerprint = Fingerprint::new(&self.head);
        for video in 0..self.len() {
            fingerprint.video(&self.entry(video)?.video);
        }
        for (number, split) in self.head.splits.iter().enumerate() {
            let mut rows = fingerprint.split(&split.name, split.rows);
            for row in 0..split.rows {
                match self.row(number, row)?.row {
                    Row::Video(video) => rows.row(true, self.path(video as usize)?),
                    Row::Missing(path) => rows.row(false, &path),
                }
            }
            fingerprint.end(rows);
        }
        Ok(fingerprint.finish())
    }

    /// Compares every piece of the records with its checksum.
    pub fn verify(&self) -> Result<()> {
        self.records.verify()
    }

    fn impossible(&self, video: usize, what: &str) -> anyhow::Error {
        let path = self.path(video).map_or_else(|_| video.to_string(), str::to_owned);
        anyhow::anyhow!("{}: video {path}: its {what} is impossible", self.records.file().display())
    }
}

/// Makes renames and new files in `dir` durable.
pub(crate) fn sync_dir(dir: &Path, fsync: bool) -> Result<()> {
    if fsync {
        let sync = std::fs::File::open(dir).and_then(|d| d.sync_all());
        sync.with_context(|| format!("cannot sync {}", dir.display()))?;
    }
    Ok(())
}
