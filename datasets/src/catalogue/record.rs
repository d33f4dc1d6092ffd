//! The records of `catalogue.dvc`: a head of 16 bytes, the videos, the rows of all splits, the rejected files, then the strings that they name.
//! FORMAT.md lists their fields.

use std::path::Path;

use anyhow::{bail, ensure, Context, Result};

use super::head::Head;
use super::table::{Look, Table};
use super::{Entry, Listed, Rejected, Row, Video};
use crate::shard::Place;

pub(super) const FILE: &str = "catalogue.dvc";
pub(super) const MAGIC: &[u8; 8] = b"DVCATLG\0";
pub(super) const HEAD: u64 = 16;
/// Bytes of a video's record, of which the last are its stream's.
pub(super) const VIDEO: u64 = 104 + STREAM;
pub(super) const STREAM: u64 = 76;
pub(super) const ROW: u64 = 24;
pub(super) const REJECTED: u64 = 24;
/// No class; no list; a row without a video.
pub(super) const NONE: u32 = u32::MAX;
/// What a video's record has.
pub(super) const HAS_SHA256: u32 = 1;
pub(super) const HAS_FPS: u32 = 2;
pub(super) const HAS_NOTE: u32 = 4;

#[derive(Debug)]
pub(super) struct Records {
    table: Table,
    videos: u64,
    rows: u64,
    rejected: u64,
    /// Where the strings begin.
    strings: u64,
}

/// Fields of a record, one after the other; it has as many bytes as its fields.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> &'a [u8; N] {
        match self.0.split_first_chunk() {
            Some((field, rest)) => {
                self.0 = rest;
                field
            }
            // unreachable, and not a reason to panic: the record's length is a constant beside its fields
            None => &[0; N],
        }
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(*self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(*self.take())
    }

    /// Offset and length of a string.
    fn string(&mut self) -> (u64, u32) {
        (self.u64(), self.u32())
    }
}

impl Records {
    pub fn open(dir: &Path, head: &Head) -> Result<Records> {
        let table = Table::open(&dir.join(FILE), &head.catalogue)?;
        // each count is below 2^32, so that nothing overflows
        let rows: u64 = head.splits.iter().map(|split| split.rows).sum();
        let (videos, rejected) = (head.videos, head.rejected);
        let strings = HEAD + videos * VIDEO + rows * ROW + rejected * REJECTED;
        let say = || table.path().display().to_string();
        ensure!(strings <= head.catalogue.bytes, "{}: it has not the records that set.json counts: pack again", say());
        let start = table.get(0, HEAD)?;
        let version = super::SET_VERSION.to_le_bytes();
        ensure!(start.starts_with(MAGIC) && start[8..12] == version, "{} is not the catalogue of a packed set", say());
        Ok(Records { table, videos, rows, rejected, strings })
    }

    pub fn file(&self) -> &Path {
        self.table.path()
    }

    pub fn verify(&self) -> Result<()> {
        self.table.verify()
    }

    /// Part of a video's record.
    fn part(&self, video: usize, at: u64, length: u64) -> Result<Fields<'_>> {
        ensure!((video as u64) < self.videos, "no video {video}: there are {}", self.videos);
        self.table.get(HEAD + video as u64 * VIDEO + at, length).map(Fields)
    }

    fn string(&self, place: (u64, u32)) -> Result<&str> {
        self.string_in(self.table.look()?, place)
    }

    fn string_in<'a>(&self, look: Look<'a>, (at, length): (u64, u32)) -> Result<&'a str> {
        let say = || format!("{}: a string at byte {at}", self.file().display());
        ensure!(at >= self.strings, "{} lies among the records", say());
        std::str::from_utf8(look.get(at, length.into())?).with_context(|| format!("{} is not UTF-8", say()))
    }

    pub fn path(&self, video: usize) -> Result<&str> {
        self.string(self.part(video, 0, 12)?.string())
    }

    pub fn class(&self, video: usize) -> Result<Option<u32>> {
        Ok(Some(self.part(video, 12, 4)?.u32()).filter(|class| *class != NONE))
    }

    pub fn group(&self, video: usize) -> Result<&str> {
        self.string(self.part(video, 16, 12)?.string())
    }

    pub fn sha256(&self, video: usize) -> Result<Option<&[u8]>> {
        let flags = self.part(video, 28, 4)?.u32();
        let sum = self.part(video, 56, 32)?.0;
        Ok((flags & HAS_SHA256 != 0).then_some(sum))
    }

    pub fn frames(&self, video: usize) -> Result<u32> {
        Ok(self.part(video, 104, 4)?.u32())
    }

    pub fn place(&self, video: usize) -> Result<Place> {
        let mut fields = self.part(video, 116, 28)?;
        Ok(Place { shard: fields.u32(), crc: fields.u32(), start: fields.u64(), index: fields.u64(), length: fields.u32() })
    }

    pub fn entry(&self, video: usize) -> Result<Entry> {
        ensure!((video as u64) < self.videos, "no video {video}: there are {}", self.videos);
        let look = self.table.look()?;
        let mut f = Fields(look.get(HEAD + video as u64 * VIDEO, VIDEO)?);
        let string = |place| self.string_in(look, place).map(str::to_owned);
        let (path, class, group, flags) = (f.string(), f.u32(), f.string(), f.u32());
        let (fps, source_height, source_width, source_bytes) = (f64::from_bits(f.u64()), f.u32(), f.u32(), f.u64());
        let (sha256, note) = (f.take::<32>(), f.string());
        let _zero = f.u32();
        let (frames, height, width) = (f.u32(), f.u32(), f.u32());
        let place = Place { shard: f.u32(), crc: f.u32(), start: f.u64(), index: f.u64(), length: f.u32() };
        let _zero = f.u32();
        let content = f.take::<32>();
        let has = |flag: u32| flags & flag != 0;
        let video = Video {
            path: string(path)?,
            class: Some(class).filter(|class| *class != NONE),
            group: string(group)?,
            fps: Some(fps).filter(|fps| has(HAS_FPS) && fps.is_finite()),
            source_height,
            source_width,
            source_bytes,
            source_sha256: has(HAS_SHA256).then(|| hex(sha256)),
            note: if has(HAS_NOTE) { Some(string(note)?) } else { None },
            frames,
            height,
            width,
            content: hex(content),
        };
        Ok(Entry { video, place })
    }

    /// A row of all splits together.
    pub fn row(&self, row: u64, lists: &[String]) -> Result<Listed> {
        ensure!(row < self.rows, "no row {row}: the splits have {}", self.rows);
        let mut f = Fields(self.table.get(HEAD + self.videos * VIDEO + row * ROW, ROW)?);
        let (path, video, list, line) = (f.string(), f.u32(), f.u32(), f.u32());
        let list = match lists.get(list as usize) {
            Some(name) => Some((name.clone(), line)),
            None if list == NONE => None,
            None => bail!("{}: row {row} is of a list that is not there", self.file().display()),
        };
        let row = if video == NONE { Row::Missing(self.string(path)?.to_owned()) } else { Row::Video(video) };
        Ok(Listed { row, list })
    }

    pub fn rejected(&self, number: u64) -> Result<Rejected> {
        ensure!(number < self.rejected, "no rejected file {number}: there are {}", self.rejected);
        let mut f = Fields(self.table.get(HEAD + self.videos * VIDEO + self.rows * ROW + number * REJECTED, REJECTED)?);
        let (path, reason) = (f.string(), f.string());
        Ok(Rejected { path: self.string(path)?.to_owned(), reason: self.string(reason)?.to_owned() })
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The 32 bytes of 64 hex digits.
pub(super) fn unhex(text: &str) -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    ensure!(text.len() == 64 && text.is_ascii(), "`{text}` is no hash of 32 bytes in hex");
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digits = std::str::from_utf8(digits)?;
        *byte = u8::from_str_radix(digits, 16).with_context(|| format!("`{text}` is no hash of 32 bytes in hex"))?;
    }
    Ok(bytes)
}
