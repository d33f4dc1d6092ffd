//! Packing a folder of videos: `dv pack`.

mod queue;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Context, Result};

use crate::decode::Ffmpeg;
use crate::splits::Lists;
use crate::walk::{walk, Found};
use crate::writer::check_absent;
use crate::{Codec, Filter, SetOptions, SetWriter};

/// What to pack, and how.
#[derive(Clone, Debug)]
pub struct PackOptions {
    /// Holds the class folders.
    pub videos: PathBuf,
    /// Holds `classInd.txt` and the lists. Without: one split, `all`, and a class for each first folder.
    pub splits: Option<PathBuf>,
    /// The set's own folder, which must not exist; its last part is the set's name.
    pub out: PathBuf,
    /// Height and width of the packed frames, in pixels.
    pub size: (u32, u32),
    pub filter: Filter,
    pub codec: Codec,
    /// Files decoded at once; at least 1. The result does not depend on it.
    pub threads: usize,
    /// Frames a block.
    pub block_frames: u32,
    /// Largest shard, in bytes.
    pub shard_bytes: u64,
    /// Return only once everything is on disk.
    pub fsync: bool,
}

/// A preset's own height, width and filter.
pub type Own = (u32, u32, Filter);

/// The presets: name, and size and filter, which `folder` has none of.
pub const PRESETS: [(&str, Option<Own>); 3] =
    [("ucf101", Some((171, 128, Filter::Bicubic))), ("ucf101_iic", Some((128, 171, Filter::Bilinear))), ("folder", None)];

impl PackOptions {
    /// The options of a preset; `size` (height, width) and `filter` are required by `folder` and replace the others' own.
    /// As many threads as there are cores, the lossless codec, fsync.
    pub fn preset(preset: &str, videos: &Path, out: &Path, size: Option<(u32, u32)>, filter: Option<Filter>) -> Result<PackOptions> {
        let Some((_, own)) = PRESETS.into_iter().find(|p| p.0 == preset) else {
            let names: Vec<&str> = PRESETS.iter().map(|p| p.0).collect();
            bail!("unknown preset `{preset}`: use one of {}", names.join(", "));
        };
        let need = |what| format!("preset {preset} has no {what} of its own");
        let defaults = SetOptions::new("", 1, 1);
        Ok(PackOptions {
            videos: videos.to_owned(),
            splits: None,
            out: out.to_owned(),
            size: size.or(own.map(|o| (o.0, o.1))).with_context(|| need("size: give --size HxW"))?,
            filter: filter.or(own.map(|o| o.2)).with_context(|| need("filter: give --filter bicubic or bilinear"))?,
            codec: defaults.codec,
            threads: std::thread::available_parallelism().map_or(1, |n| n.get()),
            block_frames: defaults.block_frames,
            shard_bytes: defaults.shard_bytes,
            fsync: defaults.fsync,
        })
    }
}

/// Height and width from `HxW`, e.g. `171x128`.
pub fn parse_size(text: &str) -> Result<(u32, u32)> {
    let parts = text.split_once('x').map(|(h, w)| (h.parse::<u32>(), w.parse::<u32>()));
    match parts {
        Some((Ok(h), Ok(w))) if h > 0 && w > 0 => Ok((h, w)),
        _ => bail!("size `{text}` is not HEIGHTxWIDTH in pixels, such as 171x128"),
    }
}

/// How far a pack is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Files packed or rejected, and in all.
    pub done: usize,
    pub total: usize,
    /// Frames packed.
    pub frames: u64,
    /// The file that was done last.
    pub path: &'a str,
}

/// What a pack made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    pub videos: usize,
    pub frames: u64,
    /// Files and lines of lists that are not in the set.
    pub rejected: usize,
    /// Videos of which something was wrong, though frames decoded.
    pub noted: usize,
    pub fingerprint: String,
}

/// Packs every file below `options.videos` that is not hidden: a video of the set, or rejected with the reason. The set appears
/// only when it is whole. Errors: `out` exists, ffmpeg or the splits are missing, no file decodes, a full disk.
pub fn pack(options: &PackOptions, progress: &(dyn Fn(Progress) + Sync)) -> Result<Summary> {
    check_absent(&options.out)?;
    let lists = options.splits.as_deref().map(Lists::read).transpose()?;
    let found = walk(&options.videos)?;
    let ffmpeg = Ffmpeg::find()?;
    let name = options.out.file_name().context("the set's folder has no name")?.to_string_lossy();
    let mut set = SetOptions::new(&name, options.size.0, options.size.1);
    set.codec = options.codec;
    set.filter = Some(options.filter);
    set.block_frames = options.block_frames;
    set.shard_bytes = options.shard_bytes;
    set.fsync = options.fsync;
    set.made_by = format!("{}, ffmpeg {}", set.made_by, ffmpeg.version());
    set.classes = match &lists {
        Some(lists) => lists.classes.clone(),
        None => first_folders(&found),
    };
    let labels = labels(lists.as_ref(), &set.classes, &found)?;
    let mut writer = SetWriter::create(&options.out, set)?;
    for rejected in &found.rejected {
        writer.reject(&rejected.path, &rejected.reason);
    }
    let reasons = queue::pack_files(options, &ffmpeg, &found.files, &labels, &mut writer, progress)?;
    ensure!(
        !writer.videos().is_empty(),
        "nothing packed: of {} files below {} none decodes{}",
        found.files.len(),
        options.videos.display(),
        reasons.iter().min().map_or(String::new(), |(path, why)| format!(" ({path}: {why})"))
    );
    let listed = match &lists {
        Some(lists) => split_by_lists(lists, reasons, &mut writer),
        None => {
            writer.set_split("all", (0..writer.videos().len() as u32).collect());
            reasons
        }
    };
    for (path, reason) in &listed {
        writer.reject(path, reason);
    }
    let videos = writer.videos();
    let summary = Summary {
        videos: videos.len(),
        frames: videos.iter().map(|v| v.frames as u64).sum(),
        rejected: found.rejected.len() + listed.len(),
        noted: videos.iter().filter(|v| v.note.is_some()).count(),
        fingerprint: String::new(),
    };
    let fingerprint = writer.finish()?;
    Ok(Summary { fingerprint, ..summary })
}

/// The first folders below the root, sorted: the classes where no list names them.
fn first_folders(found: &Found) -> Vec<String> {
    let folders = found.files.iter().filter_map(|(path, _)| Some(path.split_once('/')?.0.to_owned()));
    let mut folders: Vec<String> = folders.collect();
    folders.sort();
    folders.dedup();
    folders
}

/// The class of each file. An error where two lists disagree.
fn labels(lists: Option<&Lists>, classes: &[String], found: &Found) -> Result<Vec<Option<u32>>> {
    let mut listed: HashMap<&str, (u32, &str)> = HashMap::new();
    for entry in lists.iter().flat_map(|l| &l.splits).flat_map(|s| &s.entries) {
        let Some(class) = entry.class else { continue };
        let (before, line) = *listed.entry(&entry.path).or_insert((class, &entry.line));
        ensure!(before == class, "{} and {line} give {} different classes", entry.line, entry.path);
    }
    let folder = |path: &str| {
        let folder = path.split_once('/')?.0;
        classes.iter().position(|c| c == folder).map(|c| c as u32)
    };
    let label = |path: &str| listed.get(path).map(|l| l.0).or_else(|| folder(path));
    Ok(found.files.iter().map(|(path, _)| label(path)).collect())
}

/// Sets the splits of the lists. Listed videos that are not in the set join the rejected ones.
fn split_by_lists(lists: &Lists, mut rejected: Vec<(String, String)>, writer: &mut SetWriter) -> Vec<(String, String)> {
    let videos = writer.videos().iter().enumerate();
    let places: HashMap<String, u32> = videos.map(|(i, v)| (v.path.clone(), i as u32)).collect();
    let mut known: HashMap<String, usize> = rejected.iter().enumerate().map(|(i, r)| (r.0.clone(), i)).collect();
    for list in &lists.splits {
        let mut split = Vec::new();
        for entry in &list.entries {
            if let Some(place) = places.get(&entry.path) {
                split.push(*place);
            } else if let Some(at) = known.get(&entry.path) {
                rejected[*at].1 += &format!("; listed in {}", entry.line);
            } else {
                known.insert(entry.path.clone(), rejected.len());
                let reason = format!("there is no such file; listed in {}", entry.line);
                rejected.push((entry.path.clone(), reason));
            }
        }
        writer.set_split(&list.name, split);
    }
    rejected
}
