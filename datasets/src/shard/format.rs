//! The numbers of the shard format, shared by writer and reader.

use anyhow::{ensure, Context, Result};
use serde::{Deserialize, Serialize};

use crate::{Codec, Filter};

pub(super) const MAGIC: &[u8; 8] = b"DVSHARD\0";
pub(super) const END_MAGIC: &[u8; 8] = b"DVSHEND\0";
/// The format that this build writes and reads; raised by any change that an older reader would misread.
pub const VERSION: u32 = 2;
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
pub(super) const FOOTER: usize = 32;
pub(super) const SEGMENT: usize = 24;
pub(super) const ENTRY: usize = 16;

/// The JSON header of a shard: what its blocks hold, so that a shard can be read without its set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// What the frames show; `rgb` so far.
    pub stream: String,
    /// Pixels.
    pub height: u32,
    pub width: u32,
    pub codec: Codec,
    /// How frames were brought to this size; `null`: they were made at this size.
    pub filter: Option<Filter>,
    /// Frames a block, 1 to [`MAX_BLOCK_FRAMES`].
    pub block_frames: u32,
}

impl Header {
    /// Whether every size is within the format's bounds.
    pub fn check(&self) -> Result<()> {
        ensure!(
            (1..=MAX_SIDE).contains(&self.height) && (1..=MAX_SIDE).contains(&self.width),
            "frames of {}x{} pixels: each side must be 1 to {MAX_SIDE}",
            self.height,
            self.width
        );
        ensure!(
            (1..=MAX_BLOCK_FRAMES).contains(&self.block_frames),
            "{} frames a block: it must be 1 to {MAX_BLOCK_FRAMES}",
            self.block_frames
        );
        ensure!(
            self.block_bytes(self.block_frames) <= MAX_BLOCK_BYTES,
            "blocks of {} frames of {}x{} pixels exceed {} MiB: use fewer frames a block",
            self.block_frames,
            self.height,
            self.width,
            MAX_BLOCK_BYTES >> 20
        );
        Ok(())
    }

    /// Bytes of one frame as RGB24.
    pub fn rgb_len(&self) -> usize {
        self.height as usize * self.width as usize * 3
    }

    /// Bytes of one frame's residual.
    pub fn frame_bytes(&self) -> usize {
        self.codec.content_len(self.height as usize, self.width as usize)
    }

    /// Bytes of a block of that many frames once decompressed.
    pub fn block_bytes(&self, frames: u32) -> usize {
        self.frame_bytes() * frames as usize
    }
}

/// A run of consecutive frames of one video within one shard. A video has one, or more where it crosses shards.
///
/// The index of a shard is: u32 number of segments, u32 number of blocks, u32 number of frames, u32 zero; the segments
/// (`video`, `first_frame`, `frames`, `first_block`, `first_time`, zero: u32 each); the blocks (u64 offset, u32 length,
/// u32 CRC-32); the frames' timestamps (i64 microseconds, [`NO_TIMESTAMP`] where unknown).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The video's place in the set's catalogue.
    pub video: u32,
    /// Of the video, a multiple of `block_frames`.
    pub first_frame: u32,
    pub frames: u32,
    /// Its first block's place in the shard's block table.
    pub first_block: u32,
    /// Its first frame's place in the shard's timestamps.
    pub first_time: u32,
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
