//! Reading one shard: a checked view of a memory-mapped file.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Context, Result};
use memmap2::Mmap;

use super::format::*;
use crate::codec::Work;
use crate::file;

/// Working memory of a reading thread.
#[derive(Default)]
pub struct Scratch {
    zstd: Option<zstd::bulk::Decompressor<'static>>,
    residual: Vec<u8>,
    content: Vec<u8>,
    work: Work,
}

/// An open shard. Its header is checked; indices and blocks are checked as they are read.
#[derive(Debug)]
pub struct Shard {
    path: PathBuf,
    file: File,
    map: Mmap,
    header: Header,
    first: usize,
}

/// The checked index of a video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Index {
    place: Place,
    /// At least 1.
    pub frames: u32,
    pub size: Size,
    blocks: u32,
    /// Offsets in the file of the block table and of the timestamps.
    entries: usize,
    times: usize,
}

impl Shard {
    /// Maps and checks a shard. Errors name the file and what is wrong with it.
    pub fn open(path: &Path) -> Result<Shard> {
        let say = || format!("shard {}", path.display());
        let file = file::open(path).map_err(|e| e.why).with_context(say)?;
        // SAFETY: what a map must not meet is a file that changes below it. Within dv nothing changes one: a shard is written in a folder
        // that no reader looks into, closed, and only then gets the name that is opened here; afterwards dv opens it for reading
        // alone, and `dv pack --update` gives it a second name. A pack that goes on appends to the last shard of a folder that has no name
        // yet; it maps a shard there to check it, drops the map, and only then writes. Against others, as far as one can be: its bytes are
        // only ever read as bytes, so that none of them is invalid; what is decided by offsets, lengths and counts is bounded by the map's
        // own length; and `whole` compares the file's length before each index and block, as a page that is gone raises SIGBUS. Left are a
        // change in the very moment of a read, and a disk that fails then.
        let map = unsafe { Mmap::map(&file) }.with_context(say)?;
        Shard::from_map(path, file, map).with_context(say)
    }

    fn from_map(path: &Path, file: File, map: Mmap) -> Result<Shard> {
        ensure!(map.len() >= PREFIX + 4, "is too short: {} bytes", map.len());
        ensure!(map.starts_with(MAGIC), "is not a shard of dv");
        let version = u32_at(&map, 8)?;
        let own = env!("CARGO_PKG_VERSION");
        ensure!(
            version <= VERSION,
            "has format version {version}; this dv ({own}) reads version {VERSION}: use a newer dv, or pack the videos again with this one"
        );
        ensure!(version == VERSION, "has format version {version}, which this dv ({own}) no longer reads: pack the videos again");
        let length = u32_at(&map, 12)? as usize;
        ensure!(length <= MAX_HEADER, "its header is damaged (length {length})");
        let first = PREFIX + length + 4;
        ensure!(first <= map.len(), "is truncated inside its header");
        let crc = u32_at(&map, first - 4)?;
        ensure!(crc == crc32fast::hash(&map[..first - 4]), "its header fails its checksum");
        let header: Header = serde_json::from_slice(&map[PREFIX..first - 4])
            .context("its header says what this dv does not know: use a newer one, or pack the videos again")?;
        header.check()?;
        Ok(Shard { path: path.to_owned(), file, map, header, first })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Bytes of the whole file.
    pub fn file_len(&self) -> u64 {
        self.map.len() as u64
    }

    /// The index at a place; `checked`: its checksum was compared before.
    pub fn index(&self, place: Place, checked: bool) -> Result<Index> {
        self.whole()?;
        ensure!(
            place.start >= self.first as u64 && place.start <= place.index && place.end() <= self.file_len(),
            "an index (bytes {} to {}) lies outside the file",
            place.index,
            place.end()
        );
        let bytes = &self.map[place.index as usize..place.end() as usize];
        ensure!(checked || crc32fast::hash(bytes) == place.crc, "an index (bytes {} to {}) fails its checksum", place.index, place.end());
        let [frames, height, width, blocks] = [u32_at(bytes, 0)?, u32_at(bytes, 4)?, u32_at(bytes, 8)?, u32_at(bytes, 12)?];
        let size = Size { height, width };
        self.header.check_size(size)?;
        // u64 cannot overflow here: each count is below 2^32 and each record below 2^5 bytes.
        let need = COUNTS as u64 + blocks as u64 * ENTRY as u64 + frames as u64 * 8 + TAIL as u64;
        ensure!(
            frames > 0
                && blocks == frames.div_ceil(self.header.block_frames)
                && need == bytes.len() as u64
                && u32_at(bytes, bytes.len() - TAIL)? == place.length
                && bytes.ends_with(INDEX_MAGIC),
            "an index (bytes {} to {}) is inconsistent",
            place.index,
            place.end()
        );
        let entries = place.index as usize + COUNTS;
        Ok(Index { place, frames, size, blocks, entries, times: entries + blocks as usize * ENTRY })
    }

    /// Frames of a block.
    pub fn frames_in_block(&self, index: &Index, block: u32) -> u32 {
        let size = self.header.block_frames;
        index.frames.saturating_sub(block.saturating_mul(size)).min(size)
    }

    /// Microseconds at which each frame is shown; [`NO_TIMESTAMP`] where unknown.
    pub fn times(&self, index: &Index) -> Result<Vec<i64>> {
        self.whole()?;
        (0..index.frames as usize).map(|frame| Ok(u64_at(&self.map, index.times + frame * 8)? as i64)).collect()
    }

    /// Whether the file still has all that was mapped. One system call, far below what a block costs.
    fn whole(&self) -> Result<()> {
        let now = self.file.metadata().context("its length")?.len();
        let mapped = self.file_len();
        ensure!(now >= mapped, "the file was cut to {now} of {mapped} bytes while it was in use: pack the videos again");
        Ok(())
    }

    /// The checked bytes of a block, still compressed.
    pub fn block(&self, index: &Index, block: u32) -> Result<&[u8]> {
        self.whole()?;
        ensure!(block < index.blocks, "block {block} is beyond the block table");
        let entry = index.entries + block as usize * ENTRY;
        let (offset, len) = (u64_at(&self.map, entry)?, u32_at(&self.map, entry + 8)?);
        let bytes = match offset.checked_add(len as u64) {
            Some(end) if offset >= index.place.start && end <= index.place.index => &self.map[offset as usize..end as usize],
            _ => bail!("block {block} lies outside its video"),
        };
        ensure!(
            crc32fast::hash(bytes) == u32_at(&self.map, entry + 12)?,
            "block {block} (bytes {offset} to {}) fails its checksum",
            offset + len as u64
        );
        Ok(bytes)
    }

    /// Decompresses a block into `scratch`, for [`Shard::rgb`] and [`Shard::content`].
    pub fn load(&self, index: &Index, block: u32, scratch: &mut Scratch) -> Result<()> {
        let bytes = self.block(index, block)?;
        let need = self.header.block_bytes(index.size, self.frames_in_block(index, block));
        scratch.residual.resize(need, 0);
        let zstd = match &mut scratch.zstd {
            Some(zstd) => zstd,
            none => none.insert(zstd::bulk::Decompressor::new().context("zstd")?),
        };
        // Fails rather than write beyond the buffer, whatever size the block claims.
        let got = zstd.decompress_to_buffer(bytes, &mut scratch.residual[..]).context("a block does not decompress")?;
        ensure!(got == need, "a block decompresses to {got} bytes, not {need}");
        Ok(())
    }

    /// Writes a frame of the loaded block as RGB24; `out` is height x width x 3 bytes.
    pub fn rgb(&self, index: &Index, frame_in_block: u32, scratch: &mut Scratch, out: &mut [u8]) {
        let (h, w) = (index.size.height as usize, index.size.width as usize);
        let len = self.header.frame_bytes(index.size);
        let residual = &scratch.residual[frame_in_block as usize * len..][..len];
        self.header.codec.restore_rgb(residual, h, w, &mut scratch.work, out);
    }

    /// The content of a frame of the loaded block, as the codec keeps it.
    pub fn content<'a>(&self, index: &Index, frame_in_block: u32, scratch: &'a mut Scratch) -> &'a [u8] {
        let (h, w) = (index.size.height as usize, index.size.width as usize);
        let len = self.header.frame_bytes(index.size);
        let residual = &scratch.residual[frame_in_block as usize * len..][..len];
        scratch.content.resize(len, 0);
        self.header.codec.restore(residual, h, w, &mut scratch.content);
        &scratch.content
    }
}
