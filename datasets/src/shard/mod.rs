//! Shards: files of checksummed, frame-addressable blocks.
//!
//! Layout, all integers little-endian (`format` holds the numbers):
//!
//! | at | what |
//! |---|---|
//! | 0 | magic `DVSHARD\0`, u32 format version, u32 length of the header |
//! | 16 | header: JSON ([`Header`]), then u32 CRC-32 of everything before it |
//! | ... | blocks: one zstd frame each, the residuals of `block_frames` frames (fewer in a video's last) |
//! | index | segments, block table, timestamps (see [`Segment`]) |
//! | end - 32 | u64 offset and u64 length of the index, its CRC-32, u32 CRC-32 of these 20 bytes, magic `DVSHEND\0` |
//!
//! A reader trusts nothing: the ends are found from the file's length, everything named by an offset is checked to lie
//! inside the file, every length is bounded by the header's sizes before memory is reserved, and a block is decoded
//! only if its checksum fits.

mod format;
mod read;
mod write;

pub use format::{Header, Segment, MAX_BLOCK_BYTES, MAX_BLOCK_FRAMES, MAX_SIDE, NO_TIMESTAMP, VERSION};
pub use read::{Scratch, Shard};
pub use write::{Block, Encoder, Mark, ShardWriter};
