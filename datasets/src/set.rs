//! Reading a packed set: [`PackedSet`].

use std::cell::RefCell;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Context, Result};

use crate::catalogue::{shard_file, Catalogue, Split};
use crate::shard::{Scratch, Segment, Shard, NO_TIMESTAMP};
use crate::{Codec, Filter, Rejected, Video};

/// An open packed set. Shared freely among threads.
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
    pub videos: Vec<Video>,
    pub rejected: Vec<Rejected>,
    /// What made it.
    pub made_by: String,
    dir: PathBuf,
    splits: Vec<Split>,
    shards: Vec<Shard>,
    /// Where each video's frames are, in their order.
    places: Vec<Vec<Place>>,
}

/// The rows of a split's list, counted from 0: each row is in one of the two parts, which are in the list's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitRows {
    /// Row and the video's place in [`PackedSet::videos`].
    pub videos: Vec<(usize, usize)>,
    /// Row and path of what is not in the set.
    pub missing: Vec<(usize, String)>,
    /// How many rows there are.
    pub rows: usize,
}

/// A run of a video's frames.
#[derive(Clone, Copy, Debug)]
struct Place {
    shard: u32,
    segment: Segment,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::default());
}

impl PackedSet {
    /// Opens the set in folder `dir`. Maps every shard and checks all but the blocks, whose checksums are checked as they
    /// are read. Errors name the file, and what to do where it is of a newer format.
    pub fn open(dir: &Path) -> Result<PackedSet> {
        let catalogue = Catalogue::load(dir)?;
        let shards: Vec<Shard> = (0..catalogue.shards.len()).map(|number| open_shard(dir, &catalogue, number)).collect::<Result<_>>()?;
        let places = place(&catalogue, &shards).with_context(|| dir.display().to_string())?;
        Ok(PackedSet {
            name: catalogue.name,
            height: catalogue.height,
            width: catalogue.width,
            streams: catalogue.streams,
            codec: catalogue.codec,
            filter: catalogue.filter,
            block_frames: catalogue.block_frames,
            fingerprint: catalogue.fingerprint,
            classes: catalogue.classes,
            videos: catalogue.videos,
            rejected: catalogue.rejected,
            made_by: catalogue.made_by,
            dir: dir.to_owned(),
            splits: catalogue.splits,
            shards,
            places,
        })
    }

    /// The set's folder, as given to [`PackedSet::open`].
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The videos of a split in the order of its list; `None`: there is no such split.
    pub fn split(&self, name: &str) -> Option<Vec<usize>> {
        self.find_split(name).map(|s| s.videos.iter().map(|v| *v as usize).collect())
    }

    /// All rows of a split's list, those whose video is not in the set too; `None`: there is no such split.
    pub fn split_rows(&self, name: &str) -> Option<SplitRows> {
        let split = self.find_split(name)?;
        let missing: Vec<(usize, String)> = split.missing.iter().map(|m| (m.row as usize, m.path.clone())).collect();
        let mut absent = missing.iter().map(|m| m.0).peekable();
        let present = (0..split.rows()).filter(|row| absent.next_if_eq(row).is_none());
        let videos = present.zip(split.videos.iter().map(|v| *v as usize)).collect();
        Some(SplitRows { videos, missing, rows: split.rows() })
    }

    fn find_split(&self, name: &str) -> Option<&Split> {
        self.splits.iter().find(|s| s.name == name)
    }

    /// Names of the splits, in the set's order.
    pub fn split_names(&self) -> Vec<&str> {
        self.splits.iter().map(|s| s.name.as_str()).collect()
    }

    /// How many groups the videos form; as many as there are videos where each stands alone.
    pub fn groups(&self) -> usize {
        self.videos.iter().map(|v| v.group.as_str()).collect::<HashSet<_>>().len()
    }

    /// Bytes of one frame as RGB24: height x width x 3.
    pub fn frame_len(&self) -> usize {
        self.height as usize * self.width as usize * 3
    }

    /// Bytes of all shards.
    pub fn shard_bytes(&self) -> u64 {
        self.shards.iter().map(Shard::file_len).sum()
    }

    /// Seconds at which each frame of a video is shown; `None` where the source has no timestamps or the shard
    /// has become unreadable.
    pub fn timestamps(&self, video: usize) -> Option<Vec<f64>> {
        let mut seconds = Vec::new();
        for place in self.places.get(video)? {
            let times = self.shards[place.shard as usize].times(&place.segment).ok()?;
            if times.contains(&NO_TIMESTAMP) {
                return None;
            }
            seconds.extend(times.into_iter().map(|time| time as f64 / 1e6));
        }
        Some(seconds)
    }

    /// Reads frames of a video into `out`: RGB24, `[frames.len(), height, width, 3]`. Any order, repeats allowed; each
    /// distinct block is decompressed once and each distinct frame restored once.
    /// Errors: no such video or frame, `out` of another length, a damaged block; they name shard, video and frame.
    pub fn read_frames(&self, video: usize, frames: &[u32], out: &mut [u8]) -> Result<()> {
        let Some(places) = self.places.get(video) else {
            bail!("set {}: no video {video}: it has {}", self.name, self.videos.len());
        };
        let len = self.frame_len();
        ensure!(
            frames.len().checked_mul(len) == Some(out.len()),
            "set {}: a buffer of {} bytes for {} frames of {len} bytes",
            self.name,
            out.len(),
            frames.len()
        );
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
                let Some(place) = find(places, frame) else {
                    let video = &self.videos[video];
                    bail!("set {}, video {}: no frame {frame}: it has {}", self.name, video.path, video.frames);
                };
                let shard = &self.shards[place.shard as usize];
                let inside = frame - place.segment.first_frame;
                let block = inside / self.block_frames;
                if loaded != Some((place.shard, place.segment.first_block + block)) {
                    shard.load(&place.segment, block, scratch).with_context(|| {
                        let path = &self.videos[video].path;
                        format!("{}: video {path}, frame {frame}", shard.path().display())
                    })?;
                    loaded = Some((place.shard, place.segment.first_block + block));
                }
                shard.rgb(inside % self.block_frames, scratch, &mut out[i * len..(i + 1) * len]);
                last = Some((frame, i));
            }
            Ok(())
        })
    }
}

fn find(places: &[Place], frame: u32) -> Option<&Place> {
    let after = places.partition_point(|p| p.segment.first_frame <= frame);
    let place = places.get(after.checked_sub(1)?)?;
    (frame - place.segment.first_frame < place.segment.frames).then_some(place)
}

/// Opens a shard of the set and compares it with the catalogue.
pub(crate) fn open_shard(dir: &Path, catalogue: &Catalogue, number: usize) -> Result<Shard> {
    let path = shard_file(dir, number);
    let shard = Shard::open(&path)?;
    ensure!(
        shard.file_len() == catalogue.shards[number] && *shard.header() == catalogue.header(),
        "shard {} does not belong to this set: its size or header is not what set.json says",
        path.display()
    );
    Ok(shard)
}

/// Where each video's frames are. Every video must have exactly its frames, in order.
fn place(catalogue: &Catalogue, shards: &[Shard]) -> Result<Vec<Vec<Place>>> {
    let mut places: Vec<Vec<Place>> = vec![Vec::new(); catalogue.videos.len()];
    let mut frames = vec![0u32; catalogue.videos.len()];
    for (number, shard) in shards.iter().enumerate() {
        for segment in shard.segments() {
            let video = segment.video as usize;
            ensure!(
                frames.get(video) == Some(&segment.first_frame),
                "shard {} holds frames that set.json does not know",
                shard.path().display()
            );
            frames[video] += segment.frames;
            let (shard, segment) = (number as u32, *segment);
            places[video].push(Place { shard, segment });
        }
    }
    for (video, frames) in catalogue.videos.iter().zip(frames) {
        ensure!(video.frames == frames, "video {}: set.json says {} frames, the shards hold {frames}", video.path, video.frames);
    }
    Ok(places)
}
