//! Writing a packed set: [`SetWriter`].

mod journal;
mod partial;
mod resume;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Context, Result};

use crate::catalogue::{self, shard_file, sync_dir, Entry, Head, Listed, Split, Stream};
use crate::full::Written;
use crate::shard::{Block, Encoder, Header, ShardWriter, Size, NO_TIMESTAMP};
use crate::splits::group_of;
use crate::{Codec, Filter, Rejected, Row, Video};
use journal::{Done, Journal, Outcome};
pub(crate) use journal::{Stamp, Terms};
use partial::Partial;
pub(crate) use resume::UPDATE_OF;

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
    /// A shard is closed after the video with which it has this many bytes: a video lies in one shard.
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

/// Writes a set into the folder `OUT.partial`, which becomes `OUT` by [`SetWriter::finish`] alone. Dropped before, it removes what it wrote,
/// unless it is a pack's, which goes on later (`resume`). Nothing takes the folder for a set.
pub struct SetWriter {
    out: PathBuf,
    partial: Partial,
    options: SetOptions,
    header: Header,
    size: Size,
    encoder: Encoder,
    content: blake3::Hasher,
    entries: Vec<Entry>,
    paths: HashSet<String>,
    splits: Vec<Split>,
    rejected: Vec<Rejected>,
    /// Bytes of each shard that is closed.
    shards: Vec<u64>,
    /// How many of these are another set's, of which this one is an update.
    base: usize,
    shard: Option<ShardWriter>,
    /// Of a pack that can go on.
    journal: Option<Journal>,
    /// What an earlier call has done of a pack, in the order of its files.
    kept: Vec<Done>,
}

impl SetWriter {
    /// Starts a set that will appear as the folder `out`. Errors: `out` exists or another process is writing it, a pack into it can go on,
    /// sizes out of range, no permission.
    pub fn create(out: &Path, options: SetOptions) -> Result<SetWriter> {
        check_absent(out)?;
        let writer = SetWriter::open(out, options)?;
        ensure!(
            !writer.partial.goes_on(),
            "{} is of a pack that has not ended: the command that began it goes on with it; otherwise remove it",
            writer.partial.root().display()
        );
        writer.partial.clear()?;
        Ok(writer)
    }

    fn open(out: &Path, options: SetOptions) -> Result<SetWriter> {
        let header = Header { stream: "rgb".to_owned(), codec: options.codec, filter: options.filter, block_frames: options.block_frames };
        let size = Size { height: options.height, width: options.width };
        let encoder = Encoder::new(&header, size)?;
        let mut partial = Partial::open(out)?;
        // Only what is begun anew here may be removed when a fault ends this.
        partial.keep = partial.goes_on();
        Ok(SetWriter {
            out: out.to_owned(),
            partial,
            header,
            size,
            encoder,
            content: blake3::Hasher::new(),
            entries: Vec::new(),
            paths: HashSet::new(),
            splits: Vec::new(),
            rejected: Vec::new(),
            shards: Vec::new(),
            base: 0,
            shard: None,
            journal: None,
            kept: Vec::new(),
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
            let block = self.encoder.push(frame.as_ref(), NO_TIMESTAMP).with_context(|| say(&meta.path, i));
            if let Some(block) = block.inspect_err(|_| self.encoder.clear())? {
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
        Encoder::new(&self.header, self.size)
    }

    /// Appends a block of the current video.
    pub fn push_block(&mut self, block: &Block) -> Result<()> {
        let shard = match &mut self.shard {
            Some(shard) => shard,
            none => {
                let path = shard_file(&self.partial.set(), &self.header.stream, self.shards.len() as u32);
                none.insert(ShardWriter::create(&path, &self.header)?)
            }
        };
        shard.push(block)?;
        for (hash, time) in block.hashes.iter().zip(&block.times) {
            self.content.update(hash);
            self.content.update(&time.to_le_bytes());
        }
        Ok(())
    }

    /// Takes back the blocks of the current video, as if it had not begun. How many frames they had.
    pub fn drop_video(&mut self) -> Result<u64> {
        self.content = blake3::Hasher::new();
        Ok(self.shard.as_mut().map_or(Ok(0), ShardWriter::drop_video)?.into())
    }

    /// Ends the current video. Its place in the set.
    pub fn end_video(&mut self, meta: VideoMeta) -> Result<usize> {
        let content = std::mem::take(&mut self.content).finalize().to_hex().to_string();
        let frames = self.shard.as_ref().map_or(0, ShardWriter::frames);
        ensure!(frames > 0, "video {} has no frame", meta.path);
        let (video, splits) = self.video(meta, frames, content);
        if let Err(e) = self.check(&video) {
            self.drop_video()?;
            return Err(e);
        }
        let Some(shard) = &mut self.shard else { bail!("video {} has no frame", video.path) };
        let place = shard.end_video(self.shards.len() as u32, self.size)?;
        if shard.len() >= self.options.shard_bytes {
            self.close_shard()?;
        }
        Ok(self.push(Entry { video, place }, &splits))
    }

    /// What the set will say of a video, and its splits.
    fn video(&self, meta: VideoMeta, frames: u32, content: String) -> (Video, Vec<String>) {
        let or = |size, own| if size == 0 { own } else { size };
        let video = Video {
            group: group(&meta),
            path: meta.path,
            class: meta.class,
            fps: meta.fps.filter(|fps| fps.is_finite() && *fps > 0.0),
            source_height: or(meta.source_height, self.size.height),
            source_width: or(meta.source_width, self.size.width),
            source_bytes: meta.source_bytes,
            source_sha256: meta.source_sha256,
            note: meta.note,
            frames,
            height: self.size.height,
            width: self.size.width,
            content,
        };
        (video, meta.splits)
    }

    /// Whether a video can be of the set.
    fn check(&self, video: &Video) -> Result<()> {
        ensure!(!self.paths.contains(&video.path), "video {} is in the set already", video.path);
        if let Some(class) = video.class {
            let known = (class as usize) < self.options.classes.len();
            ensure!(known, "video {}: class {class} has no name", video.path);
        }
        Ok(())
    }

    /// Takes a video that was checked and whose frames are where they are to stay.
    fn push(&mut self, entry: Entry, splits: &[String]) -> usize {
        self.paths.insert(entry.video.path.clone());
        let place = self.entries.len();
        for name in splits {
            let row = Listed::from(Row::Video(place as u32));
            match self.splits.iter_mut().find(|s| s.name == *name) {
                Some(split) => split.rows.push(row),
                None => self.splits.push(Split { name: name.clone(), rows: vec![row] }),
            }
        }
        self.entries.push(entry);
        place
    }

    /// Lists what is not in the set, and why.
    pub fn reject(&mut self, path: &str, reason: &str) {
        self.rejected.push(Rejected { path: path.to_owned(), reason: reason.to_owned() });
    }

    /// Sets a split to the rows of its list, in this order.
    pub fn set_split(&mut self, name: &str, rows: impl IntoIterator<Item = Row>) {
        self.set_list(name, rows.into_iter().map(Listed::from));
    }

    /// The same with the file and line of each row.
    pub fn set_list(&mut self, name: &str, rows: impl IntoIterator<Item = Listed>) {
        self.splits.retain(|s| s.name != name);
        self.splits.push(Split { name: name.to_owned(), rows: rows.into_iter().collect() });
    }

    /// Drops the classes that no video has; the others keep their order. The names of those dropped.
    pub fn drop_empty_classes(&mut self) -> Vec<String> {
        let used: HashSet<u32> = self.entries.iter().filter_map(|entry| entry.video.class).collect();
        let mut places = vec![None; self.options.classes.len()];
        let (mut kept, mut dropped) = (Vec::new(), Vec::new());
        for (class, name) in std::mem::take(&mut self.options.classes).into_iter().enumerate() {
            if used.contains(&(class as u32)) {
                places[class] = Some(kept.len() as u32);
                kept.push(name);
            } else {
                dropped.push(name);
            }
        }
        self.options.classes = kept;
        for entry in &mut self.entries {
            entry.video.class = entry.video.class.and_then(|class| places[class as usize]);
        }
        dropped
    }

    /// Bytes of the shards so far.
    pub fn bytes(&self) -> u64 {
        self.shards[self.base..].iter().sum::<u64>() + self.shard.as_ref().map_or(0, ShardWriter::len)
    }

    /// The videos so far.
    pub fn videos(&self) -> impl ExactSizeIterator<Item = &Video> {
        self.entries.iter().map(|entry| &entry.video)
    }

    /// The folder that holds what is packed until the set is whole.
    pub fn unfinished(&self) -> &Path {
        self.partial.root()
    }

    /// Writes the catalogue and lets the set appear. Its fingerprint. Errors: no video, a full disk, `out` exists by now.
    pub fn finish(mut self) -> Result<String> {
        ensure!(!self.entries.is_empty(), "a set needs a video");
        self.close_shard()?;
        self.drop_unused_shards()?;
        self.rejected.sort();
        let SetOptions { name, height, width, filter, block_frames, codec, classes, fsync, made_by, .. } = self.options;
        let stream = Stream { name: self.header.stream, codec, block_frames, shards: self.shards };
        let head = Head::new(name, (height, width), filter, made_by, stream, classes);
        let set = self.partial.set();
        sync_dir(&set.join("shards"), fsync)?;
        let fingerprint = catalogue::save(&set, head, &self.entries, &self.splits, &self.rejected, fsync)?;
        if self.base > 0 {
            self.partial.replace(&self.out)?;
        } else {
            check_absent(&self.out)?;
            self.partial.publish(&self.out)?;
        }
        let parent = self.out.parent().filter(|p| !p.as_os_str().is_empty());
        sync_dir(parent.unwrap_or(Path::new(".")), fsync)?;
        Ok(fingerprint)
    }

    fn close_shard(&mut self) -> Result<()> {
        let Some(shard) = self.shard.take() else { return Ok(()) };
        if shard.is_empty() {
            // All that it held was taken back.
            let path = shard_file(&self.partial.set(), &self.header.stream, self.shards.len() as u32);
            return fs::remove_file(&path).written(&path);
        }
        self.shards.push(shard.finish(self.options.fsync)?);
        match &self.journal {
            Some(journal) if self.options.fsync => journal.sync(),
            _ => Ok(()),
        }
    }

    /// Of the shards that another set gave, removes those of which no video is left.
    fn drop_unused_shards(&mut self) -> Result<()> {
        let used: HashSet<u32> = self.entries.iter().map(|entry| entry.place.shard).collect();
        for number in (0..self.base as u32).filter(|number| !used.contains(number)) {
            if std::mem::take(&mut self.shards[number as usize]) > 0 {
                let path = shard_file(&self.partial.set(), &self.header.stream, number);
                fs::remove_file(&path).written(&path)?;
            }
        }
        Ok(())
    }
}

/// The group that is given, or the one that the file's name has.
fn group(meta: &VideoMeta) -> String {
    meta.group.clone().filter(|group| !group.is_empty()).unwrap_or_else(|| group_of(&meta.path).to_owned())
}

/// An error that names the way out where `out` exists.
pub(crate) fn check_absent(out: &Path) -> Result<()> {
    ensure!(
        fs::symlink_metadata(out).is_err(),
        "{} exists already: give another --out, change it with --update, or remove it first",
        out.display()
    );
    Ok(())
}
