//! Packed video data sets: decoding, shards, splits, the generated set.
//!
//! [`pack()`] turns a folder of videos into a set: a folder of shards with a catalogue. [`PackedSet`] reads any frame of it at
//! the cost of that frame, [`verify()`] checks every byte, [`SetWriter`] writes a set from frames that are in memory.

mod catalogue;
pub mod codec;
pub mod decode;
#[cfg(test)]
#[path = "../tests/common/ffmpegs.rs"]
mod ffmpegs;
pub mod file;
mod full;
pub mod generate;
mod inspect;
mod mt19937;
pub mod overlap;
pub mod pack;
mod pictures;
pub mod resize;
pub mod sealed;
mod set;
pub mod shard;
pub mod splits;
mod still;
pub mod text;
mod verify;
mod walk;
mod writer;

pub use catalogue::{Listed, Rejected, Row, Video, SET_VERSION};
pub use codec::Codec;
pub use decode::Ffmpeg;
pub use inspect::{difference, inspect_json, inspect_text, summary, Difference};
pub use mt19937::Mt19937;
pub use pack::{pack, parse_size, prepare, Interrupted, PackOptions, Prepared, Progress, Summary, PRESETS};
pub use resize::{resize_rgb, Crop, Filter};
pub use set::{PackedSet, SplitRows};
pub use splits::held_out;
pub use verify::{verify, Fault};
pub use writer::{SetOptions, SetWriter, VideoMeta};
