//! The numbers of the shard format, shared by writer and reader.

use anyhow::{ensure, Context, Result};
use serde::{Deserialize, Serialize};

use crate::{Codec, Filter};

pub(super) const MAGIC: &[u8; 8] = b"DVSHARD\0";
/// The format that this build writes and reads; raised by any change that an older reader would misread.
pub const VERSION: u32 = 3;
/// Most frames a block.
pub const MAX_BLOCK_FRAMES: u32 = 64;
/// Longest side of a packed frame, in pixels.
pub const MAX_SIDE: u32 = 4096;
/// Most bytes of a block once decompressed: bounds what a reader reserves.
pub const MAX_BLOCK_BYTES: usize = 256 << 20;
/// Stands for a frame without a timestamp.
pub const NO_TIMESTAMP: i64 = i64::MIN;

pub(super) const PREFIX: usize = 16;
pub(super) const MAX_HEADER: usize = 64 << 10;
/// The fixed part of an index, and a block's entry in it.
pub(super) const COUNTS: usize = 16;
pub(super) const ENTRY: usize = 16;
/// What ends an index, behind its length in four bytes: the videos of a shard can be found from its end, without the catalogue.
pub(super) const INDEX_MAGIC: &[u8; 4] = b"DVIX";
pub(super) const TAIL: usize = 8;

/// The JSON header of a shard: what its blocks hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// What the frames show; `rgb` so far.
    pub stream: String,
    pub codec: Codec,
    /// How frames were brought to their size; `null`: they were made at it.
    pub filter: Option<Filter>,
    /// Frames a block, 1 to [`MAX_BLOCK_FRAMES`].
    pub block_frames: u32,
}

impl Header {
    /// Whether the number of frames a block is within the format's bounds.
    pub fn check(&self) -> Result<()> {
        ensure!(
            (1..=MAX_BLOCK_FRAMES).contains(&self.block_frames),
            "{} frames a block: it must be 1 to {MAX_BLOCK_FRAMES}",
            self.block_frames
        );
        Ok(())
    }

    /// Whether frames of this size, in pixels, can be kept.
    pub fn check_size(&self, size: Size) -> Result<()> {
        self.check()?;
        ensure!(
            (1..=MAX_SIDE).contains(&size.height) && (1..=MAX_SIDE).contains(&size.width),
            "frames of {}x{} pixels: each side must be 1 to {MAX_SIDE}",
            size.height,
            size.width
        );
        ensure!(
            self.block_bytes(size, self.block_frames) <= MAX_BLOCK_BYTES,
            "blocks of {} frames of {}x{} pixels exceed {} MiB: use fewer frames a block",
            self.block_frames,
            size.height,
            size.width,
            MAX_BLOCK_BYTES >> 20
        );
        Ok(())
    }

    /// Bytes of one frame's residual.
    pub fn frame_bytes(&self, size: Size) -> usize {
        self.codec.content_len(size.height as usize, size.width as usize)
    }

    /// Bytes of a block of that many frames once decompressed.
    pub fn block_bytes(&self, size: Size, frames: u32) -> usize {
        self.frame_bytes(size) * frames as usize
    }
}

/// Pixels of every frame of a video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    pub height: u32,
    pub width: u32,
}

impl Size {
    /// Bytes of one frame as RGB24.
    pub fn rgb_len(self) -> usize {
        self.height as usize * self.width as usize * 3
    }
}

/// Where a shard holds a video: its blocks, one after the other, and behind them its index.
///
/// An index is: u32 number of frames, u32 height, u32 width, u32 number of blocks; the blocks (u64 offset in the file, u32 length, u32
/// CRC-32); the frames' timestamps (i64 microseconds, [`NO_TIMESTAMP`] where unknown); u32 length of all of it, and `DVIX`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Number of the shard.
    pub shard: u32,
    /// CRC-32 of the index.
    pub crc: u32,
    /// Offsets in the file: of the first block and of the index, which the last block ends at.
    pub start: u64,
    pub index: u64,
    /// Bytes of the index.
    pub length: u32,
}

impl Place {
    /// The offset behind the index.
    pub fn end(&self) -> u64 {
        self.index.saturating_add(self.length.into())
    }
}

/// Reads a little-endian u32; an error if `bytes` ends before.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Result<u32> {
    let end = at.checked_add(4).context("offset overflows")?;
    let four = bytes.get(at..end).context("ends early")?;
    Ok(u32::from_le_bytes(four.try_into()?))
}

/// Reads a little-endian u64; an error if `bytes` ends before.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> Result<u64> {
    let end = at.checked_add(8).context("offset overflows")?;
    let eight = bytes.get(at..end).context("ends early")?;
    Ok(u64::from_le_bytes(eight.try_into()?))
}
