//! Checking every byte of a packed set: `dv verify`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use rayon::prelude::*;

use crate::catalogue::{shard_file, Catalogue, FILE};
use crate::set::{open_shard, PackedSet};
use crate::shard::{Scratch, NO_TIMESTAMP};
use crate::text;

/// Something wrong with a packed set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub file: PathBuf,
    /// Path of the video that is hit, where one is.
    pub video: Option<String>,
    /// Its first frame that is hit, where frames are.
    pub frame: Option<u32>,
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", text::path(&self.file))?;
        if let Some(video) = &self.video {
            write!(f, ": video {}", text::line(video))?;
        }
        if let Some(frame) = self.frame {
            write!(f, ", frame {frame}")?;
        }
        write!(f, ": {}", text::line(&self.what))
    }
}

impl Fault {
    fn of(file: PathBuf, what: String) -> Fault {
        Fault { file, video: None, frame: None, what }
    }
}

/// Checks everything in folder `dir`: the catalogue, each shard's header, each video's index and blocks, and each video's content hash, on all
/// of rayon's threads. `progress` gets the frames checked and the frames in all. All faults, in the order of videos; none: the set is whole.
pub fn verify(dir: &Path, progress: &(dyn Fn(u64, u64) + Sync)) -> Vec<Fault> {
    let head = |e: anyhow::Error| Fault::of(dir.join(FILE), format!("{e:#}"));
    let catalogue = match Catalogue::open(dir) {
        Ok(catalogue) => catalogue,
        Err(e) => return vec![head(e)],
    };
    // Of a record that is damaged nothing can be said of its video.
    if let Err(e) = catalogue.verify() {
        return vec![head(e)];
    }
    let mut faults = Vec::new();
    match catalogue.fingerprint() {
        Ok(fingerprint) if fingerprint == catalogue.head.fingerprint => {}
        Ok(_) => faults.push(Fault::of(dir.join(FILE), "its fingerprint is not that of its content".to_owned())),
        Err(e) => faults.push(head(e)),
    }
    faults.extend(catalogue.rejected().err().map(head));
    let stream = catalogue.head.stream();
    for (number, _) in stream.shards.iter().enumerate().filter(|(_, bytes)| **bytes > 0) {
        if let Err(e) = open_shard(dir, &catalogue, number as u32) {
            faults.push(Fault::of(shard_file(dir, &stream.name, number as u32), format!("{:#}", e.root_cause())));
        }
    }
    if !faults.is_empty() {
        return faults;
    }
    let set = match PackedSet::open(dir) {
        Ok(set) => set,
        Err(e) => return vec![head(e)],
    };
    let frames = |video| u64::from(set.frames(video).unwrap_or(0));
    let total: u64 = (0..set.len()).map(frames).sum();
    let done = AtomicU64::new(0);
    let checked: Vec<Vec<Fault>> = (0..set.len())
        .into_par_iter()
        .map_init(Scratch::default, |scratch, video| {
            let faults = check(&set, video, scratch).unwrap_or_else(|e| vec![head(e)]);
            let frames = frames(video);
            progress(done.fetch_add(frames, Ordering::Relaxed) + frames, total);
            faults
        })
        .collect();
    checked.into_iter().flatten().collect()
}

/// What is wrong with a video. An error: with its record.
fn check(set: &PackedSet, video: usize, scratch: &mut Scratch) -> Result<Vec<Fault>> {
    let (entry, stream) = (set.entry(video)?, &set.streams[0]);
    let file = shard_file(set.dir(), stream, entry.place.shard);
    let fault = |frame: Option<u32>, what: String| Fault { file: file.clone(), video: Some(entry.video.path.clone()), frame, what };
    let (shard, index) = match set.find(video) {
        Ok(found) => found,
        Err(e) => return Ok(vec![fault(None, format!("{:#}", e.root_cause()))]),
    };
    let mut faults = Vec::new();
    let times = shard.times(&index).unwrap_or_else(|e| {
        faults.push(fault(None, format!("{e:#}")));
        vec![NO_TIMESTAMP; index.frames as usize]
    });
    let mut content = blake3::Hasher::new();
    let size = set.block_frames;
    for block in 0..index.frames.div_ceil(size) {
        if let Err(e) = shard.load(&index, block, scratch) {
            faults.push(fault(Some(block * size), format!("{e:#}")));
            continue;
        }
        for frame in 0..shard.frames_in_block(&index, block) {
            content.update(blake3::hash(shard.content(&index, frame, scratch)).as_bytes());
            content.update(&times[(block * size + frame) as usize].to_le_bytes());
        }
    }
    // A video with a faulty block was reported above.
    if faults.is_empty() && content.finalize().to_hex().as_str() != entry.video.content {
        faults.push(fault(None, "its frames are not those that were packed".to_owned()));
    }
    Ok(faults)
}
