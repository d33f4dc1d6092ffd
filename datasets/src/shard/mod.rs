//! Shards: files of checksummed, frame-addressable blocks.
//!
//! Layout, all integers little-endian (`format` holds the numbers):
//!
//! | at | what |
//! |---|---|
//! | 0 | magic `DVSHARD\0`, u32 format version, u32 length of the header |
//! | 16 | header: JSON ([`Header`]), then u32 CRC-32 of everything before it |
//! | ... | the videos, one after the other: blocks (one zstd frame each, the residuals of `block_frames` frames, fewer in a video's last), then its index |
//!
//! Where a video and its index lie, and the index's CRC-32, stands in the set's catalogue ([`Place`]): a shard is only ever appended to, a
//! pack that was cut off goes on behind the last whole video, and to open a set touches no index.
//!
//! A reader trusts nothing: everything named by an offset is checked to lie inside the file, every length is bounded by the video's size
//! before memory is reserved, and an index or a block is used only if its checksum fits.

mod format;
mod read;
mod write;

pub use format::{Header, Place, Size, MAX_BLOCK_BYTES, MAX_BLOCK_FRAMES, MAX_SIDE, NO_TIMESTAMP, VERSION};
pub use read::{Index, Scratch, Shard};
pub use write::{Block, Encoder, ShardWriter};
