//! Checking every byte of a packed set: `dv verify`.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use rayon::prelude::*;

use crate::catalogue::{Catalogue, FILE};
use crate::set::{open_shard, PackedSet};
use crate::shard::{Scratch, Segment, Shard, NO_TIMESTAMP};
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

/// Checks everything in folder `dir`: the catalogue, each shard's header and index, each block's checksum, and each
/// video's content hash, on all of rayon's threads. `progress` gets the frames checked and the frames in all. All faults,
/// in the order of files; none: the set is whole.
pub fn verify(dir: &Path, progress: &(dyn Fn(u64, u64) + Sync)) -> Vec<Fault> {
    let catalogue = match Catalogue::load(dir) {
        Ok(catalogue) => catalogue,
        Err(e) => return vec![fault(dir.join(FILE), None, None, format!("{e:#}"))],
    };
    let mut faults = Vec::new();
    if catalogue.fingerprint() != catalogue.fingerprint {
        let what = "its fingerprint is not that of its content".to_owned();
        faults.push(fault(dir.join(FILE), None, None, what));
    }
    let opened: Vec<Result<Shard>> = (0..catalogue.shards.len()).map(|n| open_shard(dir, &catalogue, n)).collect();
    let mut shards = Vec::new();
    for (number, shard) in opened.into_iter().enumerate() {
        match shard {
            Ok(shard) => shards.push(shard),
            Err(e) => {
                let file = crate::catalogue::shard_file(dir, number);
                faults.push(fault(file, None, None, format!("{:#}", e.root_cause())));
            }
        }
    }
    if faults.is_empty() {
        // Only now can it be told whether the shards hold just the catalogue's videos.
        if let Err(e) = PackedSet::open(dir) {
            faults.push(fault(dir.join(FILE), None, None, format!("{e:#}")));
        }
    }

    let total: u64 = catalogue.videos.iter().map(|v| v.frames as u64).sum();
    let done = AtomicU64::new(0);
    let runs: Vec<(&Shard, &Segment)> = shards.iter().flat_map(|s| s.segments().iter().map(move |g| (s, g))).collect();
    let checked: Vec<Run> = runs
        .into_par_iter()
        .map_init(Scratch::default, |scratch, (shard, segment)| {
            let run = check(shard, segment, scratch);
            let frames = segment.frames as u64;
            progress(done.fetch_add(frames, Ordering::Relaxed) + frames, total);
            run
        })
        .collect();

    let mut hashers: HashMap<u32, (blake3::Hasher, u32, PathBuf)> = HashMap::new();
    for run in checked {
        let path = catalogue.videos.get(run.video as usize).map(|v| v.path.clone());
        for (frame, what) in run.faults {
            faults.push(fault(run.file.clone(), path.clone(), Some(frame), what));
        }
        let state = hashers.entry(run.video).or_insert_with(|| (blake3::Hasher::new(), 0, run.file));
        state.0.update(&run.content);
        state.1 += (run.content.len() / 40) as u32;
    }
    for (number, video) in catalogue.videos.iter().enumerate() {
        // A video with a faulty or absent block was told of above.
        if let Some((hash, frames, file)) = hashers.remove(&(number as u32)) {
            if frames == video.frames && hash.finalize().to_hex().as_str() != video.content {
                let what = "its frames are not those that were packed".to_owned();
                faults.push(fault(file, Some(video.path.clone()), None, what));
            }
        }
    }
    faults
}

struct Run {
    video: u32,
    file: PathBuf,
    /// Per good frame its content's hash (32 bytes) and timestamp (8).
    content: Vec<u8>,
    faults: Vec<(u32, String)>,
}

fn check(shard: &Shard, segment: &Segment, scratch: &mut Scratch) -> Run {
    let size = shard.header().block_frames;
    let (mut content, mut faults) = (Vec::new(), Vec::new());
    let times = shard.times(segment).unwrap_or_else(|e| {
        faults.push((segment.first_frame, format!("{e:#}")));
        vec![NO_TIMESTAMP; segment.frames as usize]
    });
    for block in 0..segment.frames.div_ceil(size) {
        if let Err(e) = shard.load(segment, block, scratch) {
            faults.push((segment.first_frame + block * size, format!("{e:#}")));
            continue;
        }
        for frame in 0..shard.frames_in_block(segment, block) {
            content.extend(blake3::hash(shard.content(frame, scratch)).as_bytes());
            content.extend(times[(block * size + frame) as usize].to_le_bytes());
        }
    }
    let (video, file) = (segment.video, shard.path().to_owned());
    Run { video, file, content, faults }
}

fn fault(file: PathBuf, video: Option<String>, frame: Option<u32>, what: String) -> Fault {
    Fault { file, video, frame, what }
}
