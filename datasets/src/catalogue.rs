//! `set.json`: what a packed set holds. Written last, so a folder without it is no set.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Context, Result};
use serde::{Deserialize, Serialize};

use crate::file::{self, Limit};
use crate::full::Written;
use crate::{shard, Codec, Filter};

/// The version of `set.json` and of the folder's layout that this build writes and reads.
pub const SET_VERSION: u32 = 2;
const FORMAT: &str = "dv-set";
pub(crate) const FILE: &str = "set.json";
/// A million videos take about half of it.
const LIMIT: Limit = Limit::new(1_000_000_000, "the catalogue of a packed set");

/// One packed video.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Video {
    /// Of the source, below the packed folder, with `/` between its parts.
    pub path: String,
    /// Place in [`crate::PackedSet::classes`].
    pub class: Option<u32>,
    /// What it shares with videos of the same source, such as `v_Punch_g08` of UCF101; its own path where it stands alone.
    pub group: String,
    /// The splits that list it, in the set's order of splits.
    #[serde(skip)]
    pub splits: Vec<String>,
    /// Frames that decoded, at least 1.
    pub frames: u32,
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
    /// blake3, in hex, over each frame's content hash and timestamp.
    pub content: String,
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

/// A named list of videos.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Split {
    pub name: String,
    /// Places in the catalogue's `videos`, in the list's order.
    pub videos: Vec<u32>,
    /// The rows of the list whose video is not in the set, in the list's order. The other rows are `videos`.
    pub missing: Vec<Missing>,
}

/// A row of a split's list whose video is not in the set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Missing {
    /// Counted from 0.
    pub row: u32,
    pub path: String,
}

impl Split {
    /// How many rows the list has.
    pub fn rows(&self) -> usize {
        self.videos.len() + self.missing.len()
    }

    /// Appends a row.
    pub fn push(&mut self, row: Row) {
        match row {
            Row::Video(video) => self.videos.push(video),
            Row::Missing(path) => self.missing.push(Missing { row: self.rows() as u32, path }),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Catalogue {
    pub format: String,
    pub version: u32,
    pub name: String,
    pub fingerprint: String,
    pub height: u32,
    pub width: u32,
    pub streams: Vec<String>,
    pub codec: Codec,
    pub filter: Option<Filter>,
    pub block_frames: u32,
    /// What made it, for the reader of the file.
    pub made_by: String,
    /// Bytes of each shard; its file is `shards/NNNNN.dvs`.
    pub shards: Vec<u64>,
    pub classes: Vec<String>,
    pub splits: Vec<Split>,
    pub rejected: Vec<Rejected>,
    pub videos: Vec<Video>,
}

/// The fields that are read before the rest, of any version.
#[derive(Deserialize)]
struct Stamp {
    format: String,
    version: u32,
    #[serde(default)]
    made_by: String,
}

/// The file of the shard of that number.
pub(crate) fn shard_file(dir: &Path, number: usize) -> PathBuf {
    dir.join("shards").join(format!("{number:05}.dvs"))
}

impl Catalogue {
    pub fn new(header: &shard::Header, name: &str, made_by: &str) -> Catalogue {
        Catalogue {
            format: FORMAT.to_owned(),
            version: SET_VERSION,
            name: name.to_owned(),
            fingerprint: String::new(),
            height: header.height,
            width: header.width,
            streams: vec![header.stream.clone()],
            codec: header.codec,
            filter: header.filter,
            block_frames: header.block_frames,
            made_by: made_by.to_owned(),
            shards: Vec::new(),
            classes: Vec::new(),
            splits: Vec::new(),
            rejected: Vec::new(),
            videos: Vec::new(),
        }
    }

    /// Reads and checks `dir/set.json`.
    pub fn load(dir: &Path) -> Result<Catalogue> {
        let path = dir.join(FILE);
        let say = || path.display().to_string();
        match fs::metadata(&path) {
            Ok(meta) if meta.is_dir() => bail!("{} is a folder, where a packed set has a file", say()),
            Ok(_) => {}
            Err(_) if dir.is_file() => bail!("{} is a file: a packed set is a folder, give that", dir.display()),
            Err(e) if dir.is_dir() => return Err(e).with_context(|| format!("{} is no packed set: it has no {FILE}", dir.display())),
            Err(e) => return Err(e).with_context(|| format!("no packed set at {}", dir.display())),
        }
        let text = file::read(&path, LIMIT)?;
        let stamp: Stamp = serde_json::from_slice(&text).with_context(|| format!("{} is damaged", say()))?;
        ensure!(stamp.format == FORMAT, "{} is not the catalogue of a packed set", say());
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
        ensure!(
            stamp.version == SET_VERSION,
            "{} has version {}, which this dv no longer reads: pack the videos again",
            say(),
            stamp.version
        );
        check_sum(&text).with_context(say)?;
        let mut catalogue: Catalogue = serde_json::from_slice(&text).with_context(say)?;
        catalogue.check().with_context(say)?;
        catalogue.name_splits();
        Ok(catalogue)
    }

    /// Writes `dir/set.json` under another name, then renames it.
    pub fn save(&self, dir: &Path, fsync: bool) -> Result<()> {
        let path = dir.join(FILE);
        let mut text = serde_json::to_vec_pretty(self)?;
        text.truncate(text.len() - "\n}".len());
        text.extend_from_slice(b",\n");
        let sum = blake3::hash(&text).to_hex();
        text.extend_from_slice(format!("  \"checksum\": \"{sum}\"\n}}\n").as_bytes());
        let temp = dir.join(".set.json.tmp");
        let mut file = File::create(&temp).written(&path)?;
        file.write_all(&text).written(&path)?;
        if fsync {
            file.sync_all().written(&path)?;
        }
        fs::rename(&temp, &path).written(&path)?;
        sync_dir(dir, fsync)
    }

    /// The set's fingerprint: blake3 over everything that reaches an experiment (sizes, codec, filter, classes, the splits' rows,
    /// and of each video path, group, class, rate and content), and over nothing that depends on where or how it was packed.
    /// FORMAT.md describes its strings.
    pub fn fingerprint(&self) -> String {
        let mut hash = blake3::Hasher::new();
        let mut text = |s: &str| {
            hash.update(&(s.len() as u64).to_le_bytes());
            hash.update(s.as_bytes());
        };
        text("dv-set 2");
        text(&format!("{}x{} {}", self.height, self.width, self.codec.name()));
        text(self.filter.map_or("none", Filter::name));
        text(&format!("{} {} {}", self.streams.join(" "), self.classes.len(), self.splits.len()));
        self.classes.iter().for_each(|class| text(class));
        for split in &self.splits {
            text(&split.name);
            text(&format!("{} {}", split.videos.len(), split.missing.len()));
            split.videos.iter().for_each(|video| text(&video.to_string()));
            for missing in &split.missing {
                text(&missing.row.to_string());
                text(&missing.path);
            }
        }
        let or_none = |number: Option<u64>| number.map_or_else(|| "none".to_owned(), |n| n.to_string());
        for video in &self.videos {
            text(&video.path);
            text(&video.group);
            let (class, rate) = (or_none(video.class.map(u64::from)), or_none(video.fps.map(f64::to_bits)));
            text(&format!("{class} {} {rate} {}", video.frames, video.content));
        }
        hash.finalize().to_hex().to_string()
    }

    /// What every reader relies on.
    fn check(&self) -> Result<()> {
        let header = self.header();
        header.check()?;
        ensure!(self.streams.len() == 1, "streams {:?}: this dv reads sets of one stream", self.streams);
        for video in &self.videos {
            let class = video.class.is_none_or(|c| (c as usize) < self.classes.len());
            ensure!(class && video.frames > 0, "video {}: its class or frame count is impossible", video.path);
        }
        for split in &self.splits {
            let inside = split.videos.iter().all(|v| (*v as usize) < self.videos.len());
            ensure!(inside, "split {} names a video that is not there", split.name);
            let ordered = split.missing.is_sorted_by(|a, b| a.row < b.row);
            let last = split.missing.last().is_none_or(|missing| (missing.row as usize) < split.rows());
            ensure!(ordered && last, "split {}: the numbers of its missing rows are impossible", split.name);
        }
        Ok(())
    }

    /// The header that every shard of the set must have.
    pub fn header(&self) -> shard::Header {
        shard::Header {
            stream: self.streams.first().cloned().unwrap_or_default(),
            height: self.height,
            width: self.width,
            codec: self.codec,
            filter: self.filter,
            block_frames: self.block_frames,
        }
    }

    fn name_splits(&mut self) {
        for split in &self.splits {
            for video in &split.videos {
                let splits = &mut self.videos[*video as usize].splits;
                if splits.last() != Some(&split.name) {
                    splits.push(split.name.clone());
                }
            }
        }
    }
}

/// Compares the last line's checksum with the bytes before that line.
fn check_sum(text: &[u8]) -> Result<()> {
    const LINE: &[u8] = b"  \"checksum\": \"";
    // Line, 64 hex digits, then `"\n}\n`.
    let Some(at) = text.len().checked_sub(LINE.len() + 64 + 4) else {
        bail!("is truncated");
    };
    let sum = blake3::hash(&text[..at]).to_hex();
    let last = &text[at..];
    ensure!(
        last.starts_with(LINE) && &last[LINE.len()..LINE.len() + 64] == sum.as_bytes() && last.ends_with(b"\"\n}\n"),
        "fails its checksum: it was changed or damaged after packing; pack again"
    );
    Ok(())
}

/// Makes renames and new files in `dir` durable.
pub(crate) fn sync_dir(dir: &Path, fsync: bool) -> Result<()> {
    if fsync {
        let sync = File::open(dir).and_then(|d| d.sync_all());
        sync.with_context(|| format!("cannot sync {}", dir.display()))?;
    }
    Ok(())
}
