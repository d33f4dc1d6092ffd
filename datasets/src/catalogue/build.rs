//! Writing `catalogue.dvc` and `set.json`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{ensure, Result};

use super::head::{Head, Table};
use super::record::{unhex, FILE, HAS_FPS, HAS_NOTE, HAS_SHA256, HEAD, MAGIC, NONE, REJECTED, ROW, VIDEO};
use super::table::PIECE;
use super::{Entry, Fingerprint, Listed, Rejected, Row, SplitHead, SET_VERSION};
use crate::full::Written;

/// A named list of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Split {
    pub name: String,
    pub rows: Vec<Listed>,
}

/// Bytes under way into the file, and the checksum of each piece of it.
struct Pieces<'a> {
    path: &'a Path,
    file: BufWriter<File>,
    hasher: crc32fast::Hasher,
    at: u64,
    sums: Vec<u8>,
}

impl Pieces<'_> {
    fn put(&mut self, mut bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).written(self.path)?;
        while !bytes.is_empty() {
            let room = PIECE - (self.at % PIECE as u64) as usize;
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            self.hasher.update(now);
            self.at += now.len() as u64;
            bytes = rest;
            if self.at.is_multiple_of(PIECE as u64) {
                self.end_piece();
            }
        }
        Ok(())
    }

    fn end_piece(&mut self) {
        let sum = std::mem::take(&mut self.hasher).finalize();
        self.sums.extend(sum.to_le_bytes());
    }
}

/// Gives strings their places, in the order in which they are asked for; the same order writes them.
struct Strings<'a> {
    at: u64,
    all: Vec<&'a str>,
    /// The last group, which is often the next one's too.
    group: (&'a str, u64),
}

impl<'a> Strings<'a> {
    /// Where a string will be.
    fn place(&mut self, text: &'a str) -> u64 {
        let at = self.at;
        self.at += text.len() as u64;
        self.all.push(text);
        at
    }

    /// The field of a string.
    fn add(&mut self, text: &'a str) -> Result<Vec<u8>> {
        let at = self.place(text);
        field(text, at)
    }

    /// The fields of a path and a group, which may be the path or the group before.
    fn path_and_group(&mut self, path: &'a str, group: &'a str) -> Result<[Vec<u8>; 2]> {
        let at = self.place(path);
        if group == path {
            return Ok([field(path, at)?, field(path, at)?]);
        }
        if group != self.group.0 {
            self.group = (group, self.place(group));
        }
        Ok([field(path, at)?, field(group, self.group.1)?])
    }
}

fn field(text: &str, at: u64) -> Result<Vec<u8>> {
    ensure!(text.len() < NONE as usize, "a string of {} bytes is too long for a catalogue", text.len());
    let mut field = at.to_le_bytes().to_vec();
    field.extend((text.len() as u32).to_le_bytes());
    Ok(field)
}

/// Writes both files into `dir`; with `fsync` returns only once they are on disk. The set's fingerprint, which it puts into the head too.
pub(crate) fn save(dir: &Path, mut head: Head, entries: &[Entry], splits: &[Split], rejected: &[Rejected], fsync: bool) -> Result<String> {
    head.videos = entries.len() as u64;
    head.rejected = rejected.len() as u64;
    head.splits = splits.iter().map(|split| SplitHead { name: split.name.clone(), rows: split.rows.len() as u64 }).collect();
    let mut lists: Vec<&String> = splits.iter().flat_map(|split| &split.rows).filter_map(|row| Some(&row.list.as_ref()?.0)).collect();
    lists.sort();
    lists.dedup();
    head.lists = lists.into_iter().cloned().collect();

    let mut fingerprint = Fingerprint::new(&head);
    entries.iter().for_each(|entry| fingerprint.video(&entry.video));
    for split in splits {
        let mut rows = fingerprint.split(&split.name, split.rows.len() as u64);
        for row in &split.rows {
            match &row.row {
                Row::Video(video) => rows.row(true, &entries[*video as usize].video.path),
                Row::Missing(path) => rows.row(false, path),
            }
        }
        fingerprint.end(rows);
    }
    head.fingerprint = fingerprint.finish();
    head.catalogue = records(&dir.join(FILE), &head, entries, splits, rejected, fsync)?;
    head.save(dir, fsync)?;
    Ok(head.fingerprint)
}

fn records(path: &Path, head: &Head, entries: &[Entry], splits: &[Split], rejected: &[Rejected], fsync: bool) -> Result<Table> {
    let file = BufWriter::with_capacity(1 << 20, File::create(path).written(path)?);
    let mut out = Pieces { path, file, hasher: crc32fast::Hasher::new(), at: 0, sums: Vec::new() };
    let rows: u64 = head.splits.iter().map(|split| split.rows).sum();
    let start = HEAD + head.videos * VIDEO + rows * ROW + head.rejected * REJECTED;
    let mut strings = Strings { at: start, all: Vec::new(), group: ("", start) };

    let mut bytes = MAGIC.to_vec();
    bytes.extend(SET_VERSION.to_le_bytes());
    bytes.extend([0; 4]);
    out.put(&bytes)?;
    for Entry { video, place } in entries {
        let flag = |has: bool, flag: u32| if has { flag } else { 0 };
        let flags =
            flag(video.source_sha256.is_some(), HAS_SHA256) | flag(video.fps.is_some(), HAS_FPS) | flag(video.note.is_some(), HAS_NOTE);
        let sha256 = video.source_sha256.as_deref().map_or(Ok([0; 32]), unhex)?;
        bytes.clear();
        let [path, group] = strings.path_and_group(&video.path, &video.group)?;
        bytes.extend(path);
        bytes.extend(video.class.unwrap_or(NONE).to_le_bytes());
        bytes.extend(group);
        bytes.extend(flags.to_le_bytes());
        bytes.extend(video.fps.unwrap_or(0.0).to_bits().to_le_bytes());
        bytes.extend(video.source_height.to_le_bytes());
        bytes.extend(video.source_width.to_le_bytes());
        bytes.extend(video.source_bytes.to_le_bytes());
        bytes.extend(sha256);
        bytes.extend(strings.add(video.note.as_deref().unwrap_or_default())?);
        bytes.extend([0; 4]);
        for number in [video.frames, video.height, video.width, place.shard, place.crc] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(place.start.to_le_bytes());
        bytes.extend(place.index.to_le_bytes());
        bytes.extend(place.length.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(unhex(&video.content)?);
        debug_assert_eq!(bytes.len() as u64, VIDEO);
        out.put(&bytes)?;
    }
    for row in splits.iter().flat_map(|split| &split.rows) {
        let (list, line) = match &row.list {
            Some((name, line)) => (head.lists.binary_search(name).map_or(NONE, |list| list as u32), *line),
            None => (NONE, 0),
        };
        let (video, path) = match &row.row {
            Row::Video(video) => (*video, ""),
            Row::Missing(path) => (NONE, path.as_str()),
        };
        bytes.clear();
        bytes.extend(strings.add(path)?);
        [video, list, line].iter().for_each(|number| bytes.extend(number.to_le_bytes()));
        out.put(&bytes)?;
    }
    for Rejected { path, reason } in rejected {
        bytes.clear();
        bytes.extend(strings.add(path)?);
        bytes.extend(strings.add(reason)?);
        out.put(&bytes)?;
    }
    debug_assert_eq!(out.at, start);
    for text in &strings.all {
        out.put(text.as_bytes())?;
    }
    if !out.at.is_multiple_of(PIECE as u64) {
        out.end_piece();
    }
    let Pieces { mut file, sums, at, .. } = out;
    file.write_all(&sums).written(path)?;
    file.flush().written(path)?;
    if fsync {
        file.get_ref().sync_all().written(path)?;
    }
    Ok(Table { bytes: at, checksum: blake3::hash(&sums).to_hex().to_string() })
}
