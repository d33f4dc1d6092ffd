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

/// An open shard. Its header, index and footer are checked; blocks are checked as they are read.
#[derive(Debug)]
pub struct Shard {
    path: PathBuf,
    file: File,
    map: Mmap,
    header: Header,
    segments: Vec<Segment>,
    blocks_start: usize,
    index: usize,
    entries: usize,
    blocks: u32,
    times: usize,
}

impl Shard {
    /// Maps and checks a shard. Errors name the file and what is wrong with it.
    pub fn open(path: &Path) -> Result<Shard> {
        let say = || format!("shard {}", path.display());
        let file = file::open(path).map_err(|e| e.why).with_context(say)?;
        // SAFETY: what a map must not meet is a file that changes below it. Within dv nothing changes one: a shard is written in a folder
        // that no reader looks into, closed, and only then gets the name that is opened here; afterwards dv opens it for reading
        // alone. Against others, as far as one can be: its bytes are only ever read as bytes, so that none of them is invalid; what
        // is decided by offsets, lengths and counts is bounded by the map's own length; and `whole` compares the file's length before each
        // block, as a page that is gone raises SIGBUS. Left are a change in the very moment of a read, and a disk that fails then.
        let map = unsafe { Mmap::map(&file) }.with_context(say)?;
        Shard::from_map(path, file, map).with_context(say)
    }

    fn from_map(path: &Path, file: File, map: Mmap) -> Result<Shard> {
        ensure!(map.len() >= PREFIX + 4 + FOOTER, "is too short: {} bytes", map.len());
        ensure!(map.starts_with(MAGIC), "is not a shard of dv");
        let version = u32_at(&map, 8)?;
        let own = env!("CARGO_PKG_VERSION");
        ensure!(
            version <= VERSION,
            "has format version {version}; this dv ({own}) reads version {VERSION}: use a newer dv, or pack the videos again with this one"
        );
        ensure!(version == VERSION, "has format version {version}, which this dv ({own}) no longer reads: pack the videos again");
        let header_len = u32_at(&map, 12)? as usize;
        ensure!(header_len <= MAX_HEADER, "its header is damaged (length {header_len})");
        let blocks_start = PREFIX + header_len + 4;
        let footer = map.len() - FOOTER;
        ensure!(blocks_start <= footer, "is truncated inside its header");
        let crc = u32_at(&map, blocks_start - 4)?;
        ensure!(crc == crc32fast::hash(&map[..blocks_start - 4]), "its header fails its checksum");
        let header: Header = serde_json::from_slice(&map[PREFIX..blocks_start - 4])
            .context("its header says what this dv does not know: use a newer one, or pack the videos again")?;
        header.check()?;

        let end = &map[footer..];
        ensure!(end.ends_with(END_MAGIC) && u32_at(end, 20)? == crc32fast::hash(&end[..20]), "is truncated or its footer is damaged");
        let (index, index_len) = (u64_at(end, 0)?, u64_at(end, 8)?);
        ensure!(
            index >= blocks_start as u64 && index.checked_add(index_len) == Some(footer as u64) && index_len >= 16,
            "its footer points outside the file"
        );
        let index = index as usize;
        let table = &map[index..footer];
        ensure!(u32_at(end, 16)? == crc32fast::hash(table), "its index fails its checksum");
        let [segment_count, blocks, frames] = [u32_at(table, 0)?, u32_at(table, 4)?, u32_at(table, 8)?];
        // u64 cannot overflow here: each count is below 2^32 and each record below 2^5 bytes.
        let need = 16 + segment_count as u64 * SEGMENT as u64 + blocks as u64 * ENTRY as u64 + frames as u64 * 8;
        ensure!(need == table.len() as u64, "its index has the wrong length");
        let segments = read_segments(table, segment_count, blocks, frames, header.block_frames)?;
        let entries = index + 16 + segment_count as usize * SEGMENT;
        let times = entries + blocks as usize * ENTRY;
        let path = path.to_owned();
        Ok(Shard { path, file, map, header, segments, blocks_start, index, entries, blocks, times })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The runs of frames in it, in the order of their blocks.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Bytes of the whole file.
    pub fn file_len(&self) -> u64 {
        self.map.len() as u64
    }

    /// Frames of a segment's block, counted from the segment's first block.
    pub fn frames_in_block(&self, segment: &Segment, block: u32) -> u32 {
        let size = self.header.block_frames;
        segment.frames.saturating_sub(block.saturating_mul(size)).min(size)
    }

    /// Microseconds at which each frame of a segment is shown; [`NO_TIMESTAMP`] where unknown.
    pub fn times(&self, segment: &Segment) -> Result<Vec<i64>> {
        self.whole()?;
        let start = self.times + segment.first_time as usize * 8;
        (0..segment.frames as usize).map(|frame| Ok(u64_at(&self.map, start + frame * 8)? as i64)).collect()
    }

    /// Whether the file still has all that was mapped. One system call, far below what a block costs.
    fn whole(&self) -> Result<()> {
        let now = self.file.metadata().context("its length")?.len();
        let mapped = self.file_len();
        ensure!(now >= mapped, "the file was cut to {now} of {mapped} bytes while it was in use: pack the videos again");
        Ok(())
    }

    /// The checked bytes of a block, still compressed.
    pub fn block(&self, segment: &Segment, block: u32) -> Result<&[u8]> {
        self.whole()?;
        let number = segment.first_block as u64 + block as u64;
        ensure!(number < self.blocks as u64, "block {number} is beyond the block table");
        let entry = self.entries + number as usize * ENTRY;
        let (offset, len) = (u64_at(&self.map, entry)?, u32_at(&self.map, entry + 8)?);
        let bytes = match offset.checked_add(len as u64) {
            Some(end) if offset >= self.blocks_start as u64 && end <= self.index as u64 => &self.map[offset as usize..end as usize],
            _ => bail!("block {number} lies outside the file"),
        };
        ensure!(
            crc32fast::hash(bytes) == u32_at(&self.map, entry + 12)?,
            "block {number} (bytes {offset} to {}) fails its checksum",
            offset + len as u64
        );
        Ok(bytes)
    }

    /// Decompresses a block into `scratch`, for [`Shard::rgb`] and [`Shard::content`].
    pub fn load(&self, segment: &Segment, block: u32, scratch: &mut Scratch) -> Result<()> {
        let bytes = self.block(segment, block)?;
        let need = self.header.block_bytes(self.frames_in_block(segment, block));
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
    pub fn rgb(&self, frame_in_block: u32, scratch: &mut Scratch, out: &mut [u8]) {
        let (h, w) = (self.header.height as usize, self.header.width as usize);
        let len = self.header.frame_bytes();
        let residual = &scratch.residual[frame_in_block as usize * len..][..len];
        self.header.codec.restore_rgb(residual, h, w, &mut scratch.work, out);
    }

    /// The content of a frame of the loaded block, as the codec keeps it.
    pub fn content<'a>(&self, frame_in_block: u32, scratch: &'a mut Scratch) -> &'a [u8] {
        let (h, w) = (self.header.height as usize, self.header.width as usize);
        let len = self.header.frame_bytes();
        let residual = &scratch.residual[frame_in_block as usize * len..][..len];
        scratch.content.resize(len, 0);
        self.header.codec.restore(residual, h, w, &mut scratch.content);
        &scratch.content
    }
}

fn read_segments(table: &[u8], count: u32, blocks: u32, frames: u32, block_frames: u32) -> Result<Vec<Segment>> {
    // `count` is bounded by the table's length, which was checked.
    let mut segments = Vec::with_capacity(count as usize);
    let (mut next_block, mut next_time) = (0u64, 0u64);
    for i in 0..count as usize {
        let at = 16 + i * SEGMENT;
        let segment = Segment {
            video: u32_at(table, at)?,
            first_frame: u32_at(table, at + 4)?,
            frames: u32_at(table, at + 8)?,
            first_block: u32_at(table, at + 12)?,
            first_time: u32_at(table, at + 16)?,
        };
        ensure!(
            segment.frames > 0
                && segment.first_frame.checked_add(segment.frames).is_some()
                && segment.first_frame.is_multiple_of(block_frames)
                && segment.first_block as u64 == next_block
                && segment.first_time as u64 == next_time,
            "its index is inconsistent at segment {i}"
        );
        next_block += segment.frames.div_ceil(block_frames) as u64;
        next_time += segment.frames as u64;
        segments.push(segment);
    }
    ensure!(next_block == blocks as u64 && next_time == frames as u64, "its index counts blocks or frames that no segment has");
    Ok(segments)
}
