//! Packing a folder of videos: `dv pack`.

mod again;
mod ending;
mod listed;
mod missing;
mod queue;
mod resolve;

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::Arc;

use anyhow::{bail, ensure, Context, Result};

use crate::decode::Ffmpeg;
use crate::inspect::{names, NO_FILE};
use crate::splits::Lists;
use crate::walk::{walk, Found};
use crate::writer::check_absent;
use crate::{Codec, Filter, PackedSet, SetOptions, SetWriter};

/// What to pack, and how.
#[derive(Clone, Debug)]
pub struct PackOptions {
    /// Holds the class folders.
    pub videos: PathBuf,
    /// A folder of lists, or a table ([`crate::splits::Lists`]), which also say which files are packed. Without: one split, `all`, and
    /// a class for each first folder in which a video decodes.
    pub splits: Option<PathBuf>,
    /// Rows of lists without a file are kept as missing; otherwise they are an error.
    pub allow_missing: bool,
    /// The set's own folder, which must not exist; its last part is the set's name.
    pub out: PathBuf,
    /// What decodes. `None`: the one that [`Ffmpeg::find`] gives.
    pub ffmpeg: Option<Ffmpeg>,
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
    /// `out` is a set of these videos as they were: what is new or has changed is packed, what is gone leaves it.
    pub update: bool,
    /// Once it is set, the pack ends as soon as it can with the error [`Interrupted`], and the same options go on with it.
    pub stop: Arc<AtomicBool>,
}

/// The error of a pack that [`PackOptions::stop`] has ended.
#[derive(Debug)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

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
            allow_missing: false,
            out: out.to_owned(),
            ffmpeg: None,
            size: size.or(own.map(|o| (o.0, o.1))).with_context(|| need("size: give --size HxW"))?,
            filter: filter.or(own.map(|o| o.2)).with_context(|| need("filter: give --filter bicubic or bilinear"))?,
            codec: defaults.codec,
            threads: std::thread::available_parallelism().map_or(1, |n| n.get()),
            block_frames: defaults.block_frames,
            shard_bytes: defaults.shard_bytes,
            fsync: defaults.fsync,
            update: false,
            stop: Arc::default(),
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

/// How far a pack is; told after every block.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Files packed or rejected, and in all.
    pub done: usize,
    pub total: usize,
    /// Frames packed.
    pub frames: u64,
    /// Bytes written.
    pub bytes: u64,
    /// The file under way, or done last.
    pub path: &'a str,
}

/// What a pack made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    pub videos: usize,
    /// Groups that the videos form: as many as videos where each stands alone.
    pub groups: usize,
    pub frames: u64,
    /// Files that were there and are not in the set.
    pub rejected: usize,
    /// Rows of lists that have no file.
    pub missing: usize,
    /// Videos of which something was wrong, though frames decoded.
    pub noted: usize,
    /// Files that an earlier call of the same pack had done.
    pub continued: usize,
    /// Of an update: videos that are as they were.
    pub unchanged: usize,
    /// What packing showed of the folder's layout.
    pub notes: Vec<String>,
    pub fingerprint: String,
}

/// A pack of which everything is known but what the files hold.
pub struct Prepared<'a> {
    options: &'a PackOptions,
    lists: Option<Lists>,
    found: Found,
    missing: usize,
    notes: Vec<String>,
    /// The set that is updated.
    base: Option<PackedSet>,
}

/// [`prepare`], then [`Prepared::pack`].
pub fn pack(options: &PackOptions, progress: &(dyn Fn(Progress) + Sync)) -> Result<Summary> {
    prepare(options)?.pack(progress)
}

/// Reads the lists and finds the files, before anything is decoded. Errors: `out` exists, lists that are at fault or whose files are not
/// there, folders of frames that are unsupported.
pub fn prepare(options: &PackOptions) -> Result<Prepared<'_>> {
    let base = if options.update { Some(again::base(options)?) } else { None };
    if base.is_none() {
        check_absent(&options.out)?;
    }
    let mut lists = options.splits.as_deref().map(Lists::read).transpose()?;
    let mut found = walk(&options.videos)?;
    let unsupported = ending::gather(&mut found);
    let (mut missing, mut notes) = (0, Vec::new());
    match &mut lists {
        None => {
            if let Some(why) = unsupported.into_iter().next().map(|fault| fault.1).or_else(|| ending::archives(&found)) {
                bail!("{why}");
            }
            notes.extend(one_level_off(&options.videos, &found));
        }
        Some(lists) => {
            let resolved = resolve::resolve(lists, &options.videos, &mut found, options.allow_missing)?;
            missing = resolved.missing;
            let listed = |fault: &&(String, String)| found.files.binary_search_by(|file| file.0.cmp(&fault.0)).is_ok();
            if let Some((_, why)) = unsupported.iter().find(listed) {
                bail!("{why}");
            }
            notes.append(&mut lists.notes);
            if let Some(first) = resolved.unlisted.first() {
                let count = resolved.unlisted.len();
                let files = if count == 1 { "1 file is".to_owned() } else { format!("{count} files are") };
                notes.push(format!("{files} in no split of the lists, and not packed; the first: {first}"));
            }
        }
    }
    Ok(Prepared { options, lists, found, missing, notes, base })
}

/// Says that `--videos` is probably one level too low or too high: that no file lies in a folder, or no video in a class folder itself.
fn one_level_off(videos: &Path, found: &Found) -> Option<String> {
    let candidates = || found.files.iter().map(|(path, _)| path.as_str()).filter(|path| ending::may_be_video(path));
    let first = candidates().next()?;
    let depth = candidates().map(|path| path.matches('/').count());
    match first.split_once('/') {
        _ if depth.clone().all(|depth| depth == 0) => Some(format!(
            "all files lie right in {}, so no video has a class: classes are the folders right below --videos",
            videos.display()
        )),
        Some((folder, _)) if depth.clone().all(|depth| depth > 1) => Some(format!(
            "no video lies in a class folder itself: classes are the folders right below --videos, such as {folder}; \
             for those below it give --videos {}",
            videos.join(folder).display()
        )),
        _ => None,
    }
}

impl Prepared<'_> {
    /// What a user should know before hours of decoding.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Packs every file: a video of the set, or rejected with the reason. The set appears only when it is whole; until then what is packed
    /// stays in `OUT.partial`, and the same options go on with it. Errors: ffmpeg is missing, no file decodes, a full disk, [`Interrupted`].
    pub fn pack(self, progress: &(dyn Fn(Progress) + Sync)) -> Result<Summary> {
        let Prepared { options, lists, found, missing, base, .. } = self;
        let ffmpeg = options.ffmpeg.clone().map_or_else(Ffmpeg::find, Ok)?;
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
            None => listed::first_folders(&found),
        };
        let metas = listed::describe(lists.as_ref(), &set.classes, &found)?;
        let terms = again::terms(&set, base.as_ref());
        let mut notes: Vec<String> = base.iter().filter_map(|base| again::other_maker(base, &set)).collect();
        let mut writer = SetWriter::resume(&options.out, set, &terms, &found.files, &metas, base.as_ref())?;
        let continued = writer.continued();
        let mut reasons = match queue::pack_files(options, &ffmpeg, &found.files, &metas, base.as_ref(), &mut writer, progress) {
            Ok(reasons) => reasons,
            Err(e) => return Err(e.context(again::what_is_left(options, &mut writer))),
        };
        reasons.extend(found.rejected.into_iter().map(|r| (r.path, r.reason)));
        let rejected = match &lists {
            Some(lists) => listed::set_splits(lists, reasons, &mut writer),
            None => {
                listed::set_all(&found.files, &found.broken, &mut writer);
                let empty = writer.drop_empty_classes();
                if !empty.is_empty() {
                    notes.push(format!("no class is made of folders in which no video decoded: {}", names(&empty)));
                }
                reasons
            }
        };
        // Without a video the folder is not kept: there is nothing to go on with.
        ensure!(
            writer.is_kept(),
            "nothing packed from {}: all {} files are rejected{}",
            options.videos.display(),
            rejected.len(),
            rejected
                .iter()
                .min_by_key(|r| (!r.1.contains(listed::LISTED), *r))
                .map_or(String::new(), |(path, why)| format!(" ({path}: {why})"))
        );
        for (path, reason) in &rejected {
            writer.reject(path, reason);
        }
        let summary = Summary {
            videos: writer.videos().len(),
            groups: writer.videos().map(|v| v.group.as_str()).collect::<HashSet<_>>().len(),
            frames: writer.videos().map(|v| v.frames as u64).sum(),
            rejected: rejected.iter().filter(|(_, reason)| !reason.starts_with(NO_FILE)).count(),
            missing,
            noted: writer.videos().filter(|v| v.note.is_some()).count(),
            continued,
            unchanged: writer.reused(),
            notes,
            fingerprint: String::new(),
        };
        let left = again::what_is_left(options, &mut writer);
        let fingerprint = writer.finish().context(left)?;
        Ok(Summary { fingerprint, ..summary })
    }
}
