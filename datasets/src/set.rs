//! Reading a packed set: [`PackedSet`].

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::OnceLock;

use anyhow::{bail, ensure, Context, Result};

use crate::catalogue::{shard_file, Catalogue, Entry, Row};
use crate::shard::{Index, Place, Scratch, Shard, Size, NO_TIMESTAMP};
use crate::{Codec, Filter, Rejected, Video};

/// An open packed set. Shared freely among threads. What is read of it is checked then: a damaged part is an error of the call that needs
/// it, and names file, video and frame.
#[derive(Debug)]
pub struct PackedSet {
    /// Name that it was packed under.
    pub name: String,
    /// Pixels of every frame.
    pub height: u32,
    pub width: u32,
    /// What is stored of each frame; `rgb` so far.
    pub streams: Vec<String>,
    pub codec: Codec,
    /// How frames were brought to this size; `None`: they were made at this size.
    pub filter: Option<Filter>,
    /// Frames a block: reading one frame decompresses this many.
    pub block_frames: u32,
    /// blake3 over the content, in hex: the same for the same packed content, wherever it lies.
    pub fingerprint: String,
    pub classes: Vec<String>,
    /// What made it.
    pub made_by: String,
    dir: PathBuf,
    catalogue: Catalogue,
    /// Opened with the set, or where they are many when a frame of one is asked for.
    shards: Vec<OnceLock<Shard>>,
    /// A bit for each video whose index was compared with its checksum.
    checked: Vec<AtomicU64>,
}

/// Up to so many shards are opened with the set, so that what is wrong with one shows at the start.
const OPENED: usize = 256;

/// The rows of a split's list, counted from 0: each row is in one of the two parts, which are in the list's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitRows {
    /// Row and the video's place in the set.
    pub videos: Vec<(usize, usize)>,
    /// Row and path of what is not in the set.
    pub missing: Vec<(usize, String)>,
    /// How many rows there are.
    pub rows: usize,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::default());
    /// The frame that is being visited.
    static RESTORED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl PackedSet {
    /// Opens the set in folder `dir`: reads its head and compares the sizes of its files with it. Errors name the file, and what to do
    /// where it is of another format.
    pub fn open(dir: &Path) -> Result<PackedSet> {
        let catalogue = Catalogue::open(dir)?;
        let head = &catalogue.head;
        let stream = head.stream();
        for (number, bytes) in stream.shards.iter().enumerate().filter(|(_, bytes)| **bytes > 0) {
            check_file(&shard_file(dir, &stream.name, number as u32), *bytes)?;
        }
        let shards: Vec<OnceLock<Shard>> = stream.shards.iter().map(|_| OnceLock::new()).collect();
        if shards.len() <= OPENED {
            for (number, cell) in shards.iter().enumerate().filter(|(number, _)| stream.shards[*number] > 0) {
                let _ = cell.set(open_shard(dir, &catalogue, number as u32)?);
            }
        }
        let size = head.size().unwrap_or(Size { height: 0, width: 0 });
        Ok(PackedSet {
            name: head.name.clone(),
            height: size.height,
            width: size.width,
            streams: vec![stream.name.clone()],
            codec: stream.codec,
            filter: head.filter,
            block_frames: stream.block_frames,
            fingerprint: head.fingerprint.clone(),
            classes: head.classes.clone(),
            made_by: head.made_by.clone(),
            dir: dir.to_owned(),
            shards,
            checked: (0..catalogue.len().div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            catalogue,
        })
    }

    /// The set's folder, as given to [`PackedSet::open`].
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// How many videos there are, at least 1.
    pub fn len(&self) -> usize {
        self.catalogue.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All that is known of a video. Errors, here and below: there is no such video, its record is damaged.
    pub fn video(&self, video: usize) -> Result<Video> {
        self.entry(video).map(|entry| entry.video)
    }

    pub(crate) fn entry(&self, video: usize) -> Result<Entry> {
        self.catalogue.entry(video).with_context(|| self.say())
    }

    /// All videos, in the order of their places.
    pub fn videos(&self) -> impl Iterator<Item = Result<Video>> + '_ {
        (0..self.len()).map(|video| self.video(video))
    }

    /// A video's path.
    pub fn path(&self, video: usize) -> Result<&str> {
        self.catalogue.path(video).with_context(|| self.say())
    }

    /// A video's group.
    pub fn group(&self, video: usize) -> Result<&str> {
        self.catalogue.group(video).with_context(|| self.say())
    }

    /// Place of a video's class in [`PackedSet::classes`].
    pub fn class(&self, video: usize) -> Result<Option<u32>> {
        self.catalogue.class(video).with_context(|| self.say())
    }

    /// SHA-256 (32 bytes) of a video's source file, where it is known.
    pub fn sha256(&self, video: usize) -> Result<Option<&[u8]>> {
        self.catalogue.sha256(video).with_context(|| self.say())
    }

    /// How many frames a video has, at least 1.
    pub fn frames(&self, video: usize) -> Result<u32> {
        self.catalogue.frames(video).with_context(|| self.say())
    }

    /// What was found and is not in the set.
    pub fn rejected(&self) -> Result<Vec<Rejected>> {
        self.catalogue.rejected().with_context(|| self.say())
    }

    /// The videos of a split in the order of its list; `None`: there is no such split.
    pub fn split(&self, name: &str) -> Result<Option<Vec<usize>>> {
        Ok(self.split_rows(name)?.map(|rows| rows.videos.into_iter().map(|(_, video)| video).collect()))
    }

    /// All rows of a split's list, those whose video is not in the set too; `None`: there is no such split.
    pub fn split_rows(&self, name: &str) -> Result<Option<SplitRows>> {
        let Some((split, count)) = self.find_split(name) else { return Ok(None) };
        let mut rows = SplitRows { videos: Vec::new(), missing: Vec::new(), rows: count as usize };
        for row in 0..count {
            match self.catalogue.row(split, row).with_context(|| self.say())?.row {
                Row::Video(video) => rows.videos.push((row as usize, video as usize)),
                Row::Missing(path) => rows.missing.push((row as usize, path)),
            }
        }
        Ok(Some(rows))
    }

    /// The list's file and line that a row of a split is from, counted from 1; `None`: no list names it, or there is no such row.
    pub fn listed(&self, split: &str, row: usize) -> Result<Option<(String, u32)>> {
        match self.find_split(split) {
            Some((number, rows)) if (row as u64) < rows => Ok(self.catalogue.row(number, row as u64).with_context(|| self.say())?.list),
            _ => Ok(None),
        }
    }

    fn find_split(&self, name: &str) -> Option<(usize, u64)> {
        let splits = &self.catalogue.head.splits;
        splits.iter().position(|s| s.name == name).map(|number| (number, splits[number].rows))
    }

    /// Names of the splits, in the set's order.
    pub fn split_names(&self) -> Vec<&str> {
        self.catalogue.head.splits.iter().map(|s| s.name.as_str()).collect()
    }

    /// The names of the splits that list each video, in the set's order of splits; nothing for a video of none.
    pub fn splits_of_videos(&self) -> Result<BTreeMap<usize, Vec<&str>>> {
        let mut of: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
        for name in self.split_names() {
            for video in self.split(name)?.into_iter().flatten() {
                let names = of.entry(video).or_default();
                if names.last() != Some(&name) {
                    names.push(name);
                }
            }
        }
        Ok(of)
    }

    /// Each video's place, by path.
    pub fn places(&self) -> Result<HashMap<&str, usize>> {
        (0..self.len()).map(|video| Ok((self.path(video)?, video))).collect()
    }

    /// How many groups the videos form; as many as there are videos where each stands alone.
    pub fn groups(&self) -> Result<usize> {
        let groups: HashSet<&str> = (0..self.len()).map(|video| self.group(video)).collect::<Result<_>>()?;
        Ok(groups.len())
    }

    /// Bytes of one frame as RGB24: height x width x 3.
    pub fn frame_len(&self) -> usize {
        self.height as usize * self.width as usize * 3
    }

    /// Bytes of all shards.
    pub fn shard_bytes(&self) -> u64 {
        self.catalogue.head.stream().shards.iter().sum()
    }

    /// Seconds at which each frame of a video is shown; `None` where the source has no timestamps.
    pub fn timestamps(&self, video: usize) -> Result<Option<Vec<f64>>> {
        let (shard, index) = self.find(video)?;
        let times = shard.times(&index).with_context(|| self.at(shard, video))?;
        let known = !times.contains(&NO_TIMESTAMP);
        Ok(known.then(|| times.into_iter().map(|time| time as f64 / 1e6).collect()))
    }

    /// Reads frames of a video into `out`: RGB24, `[frames.len(), height, width, 3]`. Any order, repeats allowed; each
    /// distinct block is decompressed once and each distinct frame restored once.
    /// Errors: no such video or frame, `out` of another length, a damaged block; they name shard, video and frame.
    pub fn read_frames(&self, video: usize, frames: &[u32], out: &mut [u8]) -> Result<()> {
        ensure!(video < self.len(), "set {}: no video {video}: it has {}", self.name, self.len());
        let len = self.frame_len();
        ensure!(
            frames.len().checked_mul(len) == Some(out.len()),
            "set {}: a buffer of {} bytes for {} frames of {len} bytes",
            self.name,
            out.len(),
            frames.len()
        );
        let (shard, index) = self.find(video)?;
        let mut order: Vec<usize> = (0..frames.len()).collect();
        order.sort_unstable_by_key(|i| frames[*i]);
        SCRATCH.with_borrow_mut(|scratch| {
            // The frame restored last, and where; the block in `scratch`.
            let mut last: Option<(u32, usize)> = None;
            let mut loaded = None;
            for i in order {
                let frame = frames[i];
                if let Some((_, at)) = last.filter(|l| l.0 == frame) {
                    out.copy_within(at * len..(at + 1) * len, i * len);
                    continue;
                }
                if frame >= index.frames {
                    bail!("set {}, video {}: no frame {frame}: it has {}", self.name, self.path(video)?, index.frames);
                }
                let block = frame / self.block_frames;
                if loaded != Some(block) {
                    shard.load(&index, block, scratch).with_context(|| format!("{}, frame {frame}", self.at(shard, video)))?;
                    loaded = Some(block);
                }
                shard.rgb(&index, frame % self.block_frames, scratch, &mut out[i * len..(i + 1) * len]);
                last = Some((frame, i));
            }
            Ok(())
        })
    }

    /// Restores frames of a video one after the other, each distinct block decompressed once: `each` gets RGB24, `[height, width, 3]`.
    /// `frames` rise. Errors: no such video or frame, a damaged block, and those of `each`.
    pub fn visit(&self, video: usize, frames: &[u32], mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        ensure!(video < self.len(), "set {}: no video {video}: it has {}", self.name, self.len());
        let (shard, index) = self.find(video)?;
        SCRATCH.with_borrow_mut(|scratch| {
            RESTORED.with_borrow_mut(|rgb| {
                rgb.resize(self.frame_len(), 0);
                let mut loaded = None;
                for frame in frames {
                    if *frame >= index.frames {
                        bail!("set {}, video {}: no frame {frame}: it has {}", self.name, self.path(video)?, index.frames);
                    }
                    let block = frame / self.block_frames;
                    if loaded != Some(block) {
                        shard.load(&index, block, scratch).with_context(|| format!("{}, frame {frame}", self.at(shard, video)))?;
                        loaded = Some(block);
                    }
                    shard.rgb(&index, frame % self.block_frames, scratch, rgb);
                    each(rgb)?;
                }
                Ok(())
            })
        })
    }

    /// A video's shard and index.
    pub(crate) fn find(&self, video: usize) -> Result<(&Shard, Index)> {
        let place = self.catalogue.place(video).with_context(|| self.say())?;
        let shard = self.shard(place)?;
        let (word, bit) = (&self.checked[video / 64], 1 << (video % 64));
        let checked = word.load(Ordering::Relaxed) & bit != 0;
        let index = shard.index(place, checked).with_context(|| self.at(shard, video))?;
        if !checked {
            let (frames, size) = (self.frames(video)?, Size { height: self.height, width: self.width });
            ensure!(
                (index.frames, index.size) == (frames, size),
                "{}: its frames are not what the catalogue says: pack again",
                self.at(shard, video)
            );
            word.fetch_or(bit, Ordering::Relaxed);
        }
        Ok((shard, index))
    }

    fn shard(&self, place: Place) -> Result<&Shard> {
        let say = || format!("{}: there is no shard {}, which the catalogue names: pack again", self.dir.display(), place.shard);
        let cell = self.shards.get(place.shard as usize).with_context(say)?;
        if let Some(shard) = cell.get() {
            return Ok(shard);
        }
        let shard = open_shard(&self.dir, &self.catalogue, place.shard)?;
        // Another thread may have opened it meanwhile: then that one counts.
        Ok(cell.get_or_init(|| shard))
    }

    fn say(&self) -> String {
        format!("set {}", self.name)
    }

    fn at(&self, shard: &Shard, video: usize) -> String {
        let path = self.path(video).map_or_else(|_| video.to_string(), str::to_owned);
        format!("{}: video {path}", shard.path().display())
    }
}

/// Compares a file's length with what it must be.
fn check_file(path: &Path, bytes: u64) -> Result<()> {
    let say = || format!("shard {}", path.display());
    let meta = fs::metadata(path).with_context(say)?;
    if !meta.is_file() {
        crate::file::open(path).map_err(|e| e.why).with_context(say)?;
    }
    ensure!(
        meta.len() == bytes,
        "shard {} does not belong to this set or is truncated: it has {} bytes, set.json says {bytes}",
        path.display(),
        meta.len()
    );
    Ok(())
}

/// Opens a shard of the set and compares it with the catalogue.
pub(crate) fn open_shard(dir: &Path, catalogue: &Catalogue, number: u32) -> Result<Shard> {
    let stream = catalogue.head.stream();
    let path = shard_file(dir, &stream.name, number);
    let shard = Shard::open(&path)?;
    ensure!(
        Some(&shard.file_len()) == stream.shards.get(number as usize) && *shard.header() == catalogue.header(),
        "shard {} does not belong to this set: its size or header is not what set.json says",
        path.display()
    );
    Ok(shard)
}
