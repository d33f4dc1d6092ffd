//! `set.json`. Written last, so a folder without it is no set.

use std::fs;
use std::path::Path;

use anyhow::{bail, ensure, Context, Result};
use serde::{Deserialize, Serialize};

use super::SET_VERSION;
use crate::file::{self, Limit};
use crate::sealed;
use crate::shard::{Header, Size};
use crate::{Codec, Filter};

const FORMAT: &str = "dv-set";
pub(crate) const FILE: &str = "set.json";
/// A million shards take a fraction of it.
const LIMIT: Limit = Limit::new(64_000_000, "the head of a packed set");
/// Before version 3 it held everything.
const FORMER: Limit = Limit::new(1_000_000_000, "the catalogue of a packed set");

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub format: String,
    pub version: u32,
    pub name: String,
    pub fingerprint: String,
    /// Pixels of every frame; both `null` where videos have sizes of their own.
    pub height: Option<u32>,
    pub width: Option<u32>,
    pub filter: Option<Filter>,
    /// What made it, for the reader of the file.
    pub made_by: String,
    /// What is kept of each video.
    pub streams: Vec<Stream>,
    pub classes: Vec<String>,
    /// Names of the files that the splits' rows are from.
    pub lists: Vec<String>,
    pub splits: Vec<SplitHead>,
    pub videos: u64,
    pub rejected: u64,
    pub catalogue: Table,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stream {
    pub name: String,
    pub codec: Codec,
    pub block_frames: u32,
    /// Bytes of each shard; 0: there is none of that number.
    pub shards: Vec<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SplitHead {
    pub name: String,
    pub rows: u64,
}

/// What `catalogue.dvc` must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Table {
    /// Bytes of the records and strings, which the checksums of their pieces follow.
    pub bytes: u64,
    /// blake3, in hex, of these checksums.
    pub checksum: String,
}

/// The fields that are read before the rest, of any version.
#[derive(Deserialize)]
struct Stamp {
    format: String,
    version: u32,
    #[serde(default)]
    made_by: String,
}

/// What former versions said of how they were packed.
#[derive(Deserialize)]
struct Former {
    height: u32,
    width: u32,
    codec: Codec,
    #[serde(default)]
    filter: Option<Filter>,
}

impl Former {
    /// The command that packs the videos again.
    fn command(&self, dir: &Path) -> String {
        let Former { height, width, codec, filter } = self;
        let filter = filter.map_or("bicubic", Filter::name);
        let preset = format!("folder --size {height}x{width} --filter {filter}");
        format!(
            "dv pack {preset} --codec {} --videos DIR --out {}, with --splits where the set was packed with lists",
            codec.name(),
            dir.display()
        )
    }
}

impl Head {
    /// Of a set whose records [`super::save`] is to write.
    pub fn new(name: String, size: (u32, u32), filter: Option<Filter>, made_by: String, stream: Stream, classes: Vec<String>) -> Head {
        Head {
            format: FORMAT.to_owned(),
            version: SET_VERSION,
            name,
            fingerprint: String::new(),
            height: Some(size.0),
            width: Some(size.1),
            filter,
            made_by,
            streams: vec![stream],
            classes,
            lists: Vec::new(),
            splits: Vec::new(),
            videos: 0,
            rejected: 0,
            catalogue: Table { bytes: 0, checksum: String::new() },
        }
    }

    pub fn load(dir: &Path) -> Result<Head> {
        let path = dir.join(FILE);
        let say = || path.display().to_string();
        let length = match fs::metadata(&path) {
            Ok(meta) if meta.is_dir() => bail!("{} is a folder, where a packed set has a file", say()),
            Ok(meta) => meta.len(),
            Err(_) if dir.is_file() => bail!("{} is a file: a packed set is a folder, give that", dir.display()),
            Err(e) if dir.is_dir() => return Err(e).with_context(|| format!("{} is no packed set: it has no {FILE}", dir.display())),
            Err(e) => return Err(e).with_context(|| format!("no packed set at {}", dir.display())),
        };
        let text = file::read(&path, if length > LIMIT.bytes { FORMER } else { LIMIT })?;
        let stamp: Stamp = serde_json::from_slice(&text).with_context(|| format!("{} is damaged", say()))?;
        ensure!(stamp.format == FORMAT, "{} is not the head of a packed set", say());
        if stamp.version > SET_VERSION {
            let (own, maker) = (env!("CARGO_PKG_VERSION"), stamp.made_by.split(',').next().unwrap_or_default());
            let maker = if maker.is_empty() { "a newer dv" } else { maker };
            bail!(
                "{} has version {}, made by {maker}; this dv ({own}) reads version {SET_VERSION}: use {maker} or a newer one, or pack the videos \
                again with this one",
                say(),
                stamp.version
            );
        }
        if stamp.version < SET_VERSION {
            let again = serde_json::from_slice::<Former>(&text).map_or(String::new(), |former| format!(": {}", former.command(dir)));
            bail!(
                "{} has version {}, which this dv no longer reads: remove the set and pack the videos again{again}",
                say(),
                stamp.version
            );
        }
        ensure!(length <= LIMIT.bytes, "{} is larger than 64 MB", say());
        sealed::check(&text).with_context(|| format!("{}: pack again", say()))?;
        let head: Head = serde_json::from_slice(&text).with_context(say)?;
        head.check().with_context(say)?;
        Ok(head)
    }

    /// Writes `dir/set.json`.
    pub fn save(&self, dir: &Path, fsync: bool) -> Result<()> {
        let path = dir.join(FILE);
        file::write(&path, &sealed::seal(self)?, fsync)
    }

    /// The size of every frame, where there is one.
    pub fn size(&self) -> Option<Size> {
        Some(Size { height: self.height?, width: self.width? })
    }

    /// The stream; `check` has seen that there is one.
    pub fn stream(&self) -> &Stream {
        &self.streams[0]
    }

    /// The header that every shard of the stream must have.
    pub fn header(&self) -> Header {
        let Stream { name, codec, block_frames, .. } = self.stream();
        Header { stream: name.clone(), codec: *codec, filter: self.filter, block_frames: *block_frames }
    }

    /// What every reader relies on.
    fn check(&self) -> Result<()> {
        let names: Vec<&str> = self.streams.iter().map(|stream| stream.name.as_str()).collect();
        ensure!(names.len() == 1, "streams {names:?}: this dv reads sets of one stream");
        ensure!(file::not_plain(names[0]).is_none(), "`{}` cannot be the name of a stream", crate::text::line(names[0]));
        let Some(size) = self.size() else {
            bail!("its videos have frames of several sizes: this dv reads sets of one size");
        };
        self.header().check_size(size)?;
        let rows = self.splits.iter().try_fold(0u64, |sum, split| sum.checked_add(split.rows));
        let counts = [self.videos, rows.unwrap_or(u64::MAX), self.rejected, self.stream().shards.len() as u64];
        ensure!(counts.iter().all(|count| *count < 1 << 32), "it counts more videos, rows, rejected files or shards than there can be");
        ensure!(self.videos > 0, "it holds no video");
        Ok(())
    }
}
