//! A file of which pieces are checked as they are read.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{ensure, Context, Result};
use memmap2::Mmap;

use super::head;
use crate::file;

/// Bytes of a piece.
pub(super) const PIECE: usize = 1 << 16;
/// Up to here the file is read whole, which spares a system call for each look into it.
const SMALL: u64 = 16 << 20;

/// Its bytes in pieces of 64 KiB, each with a CRC-32; the checksums follow the last one.
#[derive(Debug)]
pub(super) struct Table {
    path: PathBuf,
    bytes: Bytes,
    /// How many there are without the checksums.
    length: usize,
    sums: Vec<u32>,
    /// A bit for each piece that was compared with its checksum.
    checked: Vec<AtomicU64>,
}

#[derive(Debug)]
enum Bytes {
    Read(Vec<u8>),
    Mapped(File, Mmap),
}

impl Bytes {
    /// All of them. An error where the file has been cut.
    fn whole(&self) -> Result<&[u8]> {
        match self {
            Bytes::Read(bytes) => Ok(bytes),
            Bytes::Mapped(file, map) => {
                let now = file.metadata().context("its length")?.len();
                ensure!(now >= map.len() as u64, "the file was cut to {now} of {} bytes while it was in use: pack again", map.len());
                Ok(map)
            }
        }
    }
}

impl Table {
    pub fn open(path: &Path, about: &head::Table) -> Result<Table> {
        let say = || path.display().to_string();
        let pieces = about.bytes.div_ceil(PIECE as u64);
        let want = pieces.checked_mul(4).and_then(|sums| sums.checked_add(about.bytes));
        let file = file::open(path)?;
        let have = file.metadata().with_context(say)?.len();
        ensure!(want == Some(have), "{}: it has {have} bytes, which is not what set.json says: pack again", say());
        let bytes = if have <= SMALL {
            drop(file);
            Bytes::Read(file::read(path, file::Limit::new(SMALL, "a small catalogue"))?)
        } else {
            // SAFETY: as for a shard (`Shard::open`): dv writes the file in a folder that no reader looks into and never changes it
            // afterwards; its bytes are read as bytes only; offsets are bounded by its length, and `Bytes::whole` compares that with the
            // file's before each look into it, as a page that is gone raises SIGBUS.
            let map = unsafe { Mmap::map(&file) }.with_context(say)?;
            Bytes::Mapped(file, map)
        };
        let (length, pieces) = (about.bytes as usize, pieces as usize);
        let whole = bytes.whole().with_context(say)?;
        ensure!(whole.len() as u64 == have, "{}: it changes while it is read", say());
        let sums = &whole[length..];
        ensure!(
            blake3::hash(sums).to_hex().as_str() == about.checksum,
            "{}: it does not belong to set.json, or is damaged: pack again",
            say()
        );
        let sums = sums.chunks_exact(4).map(|sum| u32::from_le_bytes([sum[0], sum[1], sum[2], sum[3]])).collect();
        let checked = (0..pieces.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Ok(Table { path: path.to_owned(), bytes, length, sums, checked })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of it, checked. An error where they lie outside or are damaged.
    pub fn get(&self, at: u64, length: u64) -> Result<&[u8]> {
        self.look()?.get(at, length)
    }

    /// For several looks into it at one moment.
    pub fn look(&self) -> Result<Look<'_>> {
        let whole = self.bytes.whole().with_context(|| self.path.display().to_string())?;
        Ok(Look { table: self, whole })
    }

    /// Checks every piece.
    pub fn verify(&self) -> Result<()> {
        let look = self.look()?;
        (0..self.sums.len()).try_for_each(|piece| look.check(piece).with_context(|| self.path.display().to_string()))
    }
}

/// A table whose file was just seen to have its length.
#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    table: &'a Table,
    whole: &'a [u8],
}

impl<'a> Look<'a> {
    /// As [`Table::get`].
    pub fn get(&self, at: u64, length: u64) -> Result<&'a [u8]> {
        let Look { table, whole } = self;
        let say = || table.path.display().to_string();
        let end = at.checked_add(length).filter(|end| *end <= table.length as u64);
        let end = end.with_context(|| format!("{}: {length} bytes at {at} lie outside the records", say()))? as usize;
        let at = at as usize;
        if at < end {
            for piece in at / PIECE..=(end - 1) / PIECE {
                self.check(piece).with_context(say)?;
            }
        }
        Ok(&whole[at..end])
    }

    fn check(&self, piece: usize) -> Result<()> {
        let Look { table, whole } = self;
        let (word, bit) = (&table.checked[piece / 64], 1 << (piece % 64));
        if word.load(Ordering::Relaxed) & bit != 0 {
            return Ok(());
        }
        let (start, end) = (piece * PIECE, table.length.min((piece + 1) * PIECE));
        ensure!(crc32fast::hash(&whole[start..end]) == table.sums[piece], "bytes {start} to {end} fail their checksum: pack again");
        word.fetch_or(bit, Ordering::Relaxed);
        Ok(())
    }
}
