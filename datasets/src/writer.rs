//! Writing a packed set: [`SetWriter`].

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};

use crate::catalogue::{shard_file, sync_dir, Catalogue, Split};
use crate::full::Written;
use crate::partial::Partial;
use crate::shard::{Block, Encoder, Header, Mark, ShardWriter, NO_TIMESTAMP};
use crate::splits::group_of;
use crate::{Codec, Filter, Rejected, Row, Video};

/// What a set is, before its videos.
#[derive(Clone, Debug)]
pub struct SetOptions {
    pub name: String,
    /// Pixels of every frame.
    pub height: u32,
    pub width: u32,
    pub codec: Codec,
    /// How the frames were brought to this size; `None`: they were made at this size.
    pub filter: Option<Filter>,
    pub classes: Vec<String>,
    /// Frames a block: 1 unless clips are always contiguous.
    pub block_frames: u32,
    /// A shard is closed before it would exceed this many bytes, its index not counted.
    pub shard_bytes: u64,
    /// Return from [`SetWriter::finish`] only once everything is on disk.
    pub fsync: bool,
    /// What makes the set, for who reads `set.json`.
    pub made_by: String,
}

impl SetOptions {
    /// Lossless, one frame a block, shards of 256 MB, fsync; no classes.
    pub fn new(name: &str, height: u32, width: u32) -> SetOptions {
        SetOptions {
            name: name.to_owned(),
            height,
            width,
            codec: Codec::Rgb,
            filter: None,
            classes: Vec::new(),
            block_frames: 1,
            shard_bytes: 256_000_000,
            fsync: true,
            made_by: concat!("dv ", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// What is known of a video besides its frames.
#[derive(Clone, Debug, Default)]
pub struct VideoMeta {
    /// Unique in the set, with `/` between its parts.
    pub path: String,
    /// Place in [`SetOptions::classes`].
    pub class: Option<u32>,
    /// What it shares with videos of the same source. `None`: as its file name says, see [`crate::splits::group_of`].
    pub group: Option<String>,
    /// Splits that it joins, each in the order in which videos are added.
    pub splits: Vec<String>,
    pub fps: Option<f64>,
    /// 0: the set's own size.
    pub source_height: u32,
    pub source_width: u32,
    pub source_bytes: u64,
    pub source_sha256: Option<String>,
    pub note: Option<String>,
}

/// Writes a set into a folder beside `out`, which is renamed to `out` by [`SetWriter::finish`] alone; dropped before,
/// it removes what it wrote. Killed, it leaves `OUT.partial-...`, which nothing takes for a set and the next writer of `OUT` removes.
pub struct SetWriter {
    out: PathBuf,
    partial: Partial,
    options: SetOptions,
    header: Header,
    catalogue: Catalogue,
    shard: Option<ShardWriter>,
    encoder: Encoder,
    /// Of the current video.
    frames: u32,
    begun: Option<Begun>,
    content: blake3::Hasher,
    paths: HashSet<String>,
}

/// Where the current video begins.
struct Begun {
    shard: usize,
    mark: Mark,
    /// That shard, where it is closed by now.
    closed: Option<ShardWriter>,
}

impl SetWriter {
    /// Starts a set that will appear as the folder `out`. Errors: `out` exists or another process
    /// is writing it, sizes out of range, no permission.
    pub fn create(out: &Path, options: SetOptions) -> Result<SetWriter> {
        check_absent(out)?;
        let header = Header {
            stream: "rgb".to_owned(),
            height: options.height,
            width: options.width,
            codec: options.codec,
            filter: options.filter,
            block_frames: options.block_frames,
        };
        let encoder = Encoder::new(&header)?;
        let partial = Partial::create(out)?;
        let mut catalogue = Catalogue::new(&header, &options.name, &options.made_by);
        catalogue.classes = options.classes.clone();
        Ok(SetWriter {
            out: out.to_owned(),
            partial,
            header,
            catalogue,
            shard: None,
            encoder,
            frames: 0,
            begun: None,
            content: blake3::Hasher::new(),
            paths: HashSet::new(),
            options,
        })
    }

    /// Adds a video of RGB24 frames (height x width x 3 bytes each), without timestamps. Its place in the set.
    /// Errors: no frame, a frame of another size, an unknown class, a full disk.
    pub fn add_video<I>(&mut self, meta: VideoMeta, frames: I) -> Result<usize>
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        let say = |path: &str, frame: usize| format!("video {path}, frame {frame}");
        for (i, frame) in frames.into_iter().enumerate() {
            let block = self.encoder.push(frame.as_ref(), NO_TIMESTAMP).with_context(|| say(&meta.path, i))?;
            if let Some(block) = block {
                self.push_block(&block)?;
            }
        }
        if let Some(block) = self.encoder.flush()? {
            self.push_block(&block)?;
        }
        self.end_video(meta)
    }

    /// An encoder for blocks to give to [`SetWriter::push_block`]: one per thread.
    pub fn encoder(&self) -> Result<Encoder> {
        Encoder::new(&self.header)
    }

    /// Appends a block of the current video.
    pub fn push_block(&mut self, block: &Block) -> Result<()> {
        let full = |s: &ShardWriter| !s.is_empty() && s.len() + block.bytes.len() as u64 > self.options.shard_bytes;
        if self.shard.as_ref().is_some_and(full) {
            self.close_shard()?;
        }
        let shard = match &mut self.shard {
            Some(shard) => shard,
            none => {
                let path = shard_file(self.partial.path(), self.catalogue.shards.len());
                none.insert(ShardWriter::create(&path, &self.header)?)
            }
        };
        if self.frames == 0 {
            self.begun = Some(Begun { shard: self.catalogue.shards.len(), mark: shard.mark(), closed: None });
        }
        shard.push(self.catalogue.videos.len() as u32, self.frames, block)?;
        self.frames = self.frames.checked_add(block.frames).context("a video has over 2^32 frames")?;
        for (hash, time) in block.hashes.iter().zip(&block.times) {
            self.content.update(hash);
            self.content.update(&time.to_le_bytes());
        }
        Ok(())
    }

    /// Takes back the blocks of the current video, as if it had not begun. How many frames they had.
    pub fn drop_video(&mut self) -> Result<u64> {
        self.content = blake3::Hasher::new();
        if let Some(begun) = self.begun.take() {
            if let Some(first) = begun.closed {
                self.shard = Some(first);
                for number in begun.shard + 1..=self.catalogue.shards.len() {
                    let path = shard_file(self.partial.path(), number);
                    fs::remove_file(&path).written(&path)?;
                }
                self.catalogue.shards.truncate(begun.shard);
            }
            self.shard.as_mut().map_or(Ok(()), |shard| shard.rewind(begun.mark))?;
        }
        Ok(std::mem::take(&mut self.frames).into())
    }

    /// Ends the current video. Its place in the set.
    pub fn end_video(&mut self, meta: VideoMeta) -> Result<usize> {
        self.begun = None;
        let frames = std::mem::take(&mut self.frames);
        let content = std::mem::take(&mut self.content).finalize().to_hex().to_string();
        ensure!(frames > 0, "video {} has no frame", meta.path);
        ensure!(self.paths.insert(meta.path.clone()), "video {} is in the set already", meta.path);
        if let Some(class) = meta.class {
            let known = (class as usize) < self.catalogue.classes.len();
            ensure!(known, "video {}: class {class} has no name", meta.path);
        }
        let place = self.catalogue.videos.len();
        for name in &meta.splits {
            match self.catalogue.splits.iter_mut().find(|s| s.name == *name) {
                Some(split) => split.push(Row::Video(place as u32)),
                None => self.set_split(name, [Row::Video(place as u32)]),
            }
        }
        let or = |size, own| if size == 0 { own } else { size };
        let group = meta.group.filter(|group| !group.is_empty()).unwrap_or_else(|| group_of(&meta.path).to_owned());
        self.catalogue.videos.push(Video {
            group,
            path: meta.path,
            class: meta.class,
            splits: meta.splits,
            frames,
            fps: meta.fps.filter(|fps| fps.is_finite() && *fps > 0.0),
            source_height: or(meta.source_height, self.header.height),
            source_width: or(meta.source_width, self.header.width),
            source_bytes: meta.source_bytes,
            source_sha256: meta.source_sha256,
            note: meta.note,
            content,
        });
        Ok(place)
    }

    /// Lists what is not in the set, and why.
    pub fn reject(&mut self, path: &str, reason: &str) {
        self.catalogue.rejected.push(Rejected { path: path.to_owned(), reason: reason.to_owned() });
    }

    /// Sets a split to the rows of its list, in this order.
    pub fn set_split(&mut self, name: &str, rows: impl IntoIterator<Item = Row>) {
        self.catalogue.splits.retain(|s| s.name != name);
        let mut split = Split { name: name.to_owned(), ..Split::default() };
        rows.into_iter().for_each(|row| split.push(row));
        self.catalogue.splits.push(split);
    }

    /// Drops the classes that no video has; the others keep their order. The names of those dropped.
    pub fn drop_empty_classes(&mut self) -> Vec<String> {
        let used: HashSet<u32> = self.catalogue.videos.iter().filter_map(|v| v.class).collect();
        let mut places = vec![None; self.catalogue.classes.len()];
        let (mut kept, mut dropped) = (Vec::new(), Vec::new());
        for (class, name) in std::mem::take(&mut self.catalogue.classes).into_iter().enumerate() {
            if used.contains(&(class as u32)) {
                places[class] = Some(kept.len() as u32);
                kept.push(name);
            } else {
                dropped.push(name);
            }
        }
        self.catalogue.classes = kept;
        for video in &mut self.catalogue.videos {
            video.class = video.class.and_then(|class| places[class as usize]);
        }
        dropped
    }

    /// Folders of writers of the same set that were killed, which this one has removed.
    pub fn removed(&self) -> &[PathBuf] {
        &self.partial.removed
    }

    /// Bytes of the shards so far, indices of unfinished ones not counted.
    pub fn bytes(&self) -> u64 {
        self.catalogue.shards.iter().sum::<u64>() + self.shard.as_ref().map_or(0, ShardWriter::len)
    }

    /// The videos so far.
    pub fn videos(&self) -> &[Video] {
        &self.catalogue.videos
    }

    /// Writes the catalogue and lets the set appear. Its fingerprint. Errors: no video, a full disk, `out` exists by now.
    pub fn finish(mut self) -> Result<String> {
        ensure!(!self.catalogue.videos.is_empty(), "a set needs a video");
        self.close_shard()?;
        self.catalogue.rejected.sort();
        self.catalogue.fingerprint = self.catalogue.fingerprint();
        let fsync = self.options.fsync;
        sync_dir(&self.partial.path().join("shards"), fsync)?;
        self.catalogue.save(self.partial.path(), fsync)?;
        check_absent(&self.out)?;
        self.partial.become_set(&self.out)?;
        let parent = self.out.parent().filter(|p| !p.as_os_str().is_empty());
        sync_dir(parent.unwrap_or(Path::new(".")), fsync)?;
        Ok(std::mem::take(&mut self.catalogue.fingerprint))
    }

    fn close_shard(&mut self) -> Result<()> {
        let Some(mut shard) = self.shard.take() else { return Ok(()) };
        let number = self.catalogue.shards.len();
        if shard.is_empty() {
            // All that it held was taken back.
            let path = shard_file(self.partial.path(), number);
            return fs::remove_file(&path).written(&path);
        }
        self.catalogue.shards.push(shard.finish(self.options.fsync)?);
        if let Some(begun) = self.begun.as_mut().filter(|begun| begun.shard == number) {
            begun.closed = Some(shard);
        }
        Ok(())
    }
}

/// An error that names the way out where `out` exists.
pub(crate) fn check_absent(out: &Path) -> Result<()> {
    ensure!(fs::symlink_metadata(out).is_err(), "{} exists already: give another --out, or remove it first", out.display());
    Ok(())
}
