//! The greatest values of settings that several kinds share. Each lies far above what any experiment has used, and low enough that sums
//! and products of two settings fit into 64 bits. How much memory a graph takes all in all is checked with its shapes.

/// Frames of a clip, and of the distance between two of them: almost three minutes at 25 frames a second.
pub const FRAMES: u32 = 4096;
/// Frames that are left out of a video: eleven hours at 25 frames a second.
pub const VIDEO_FRAMES: u32 = 1_000_000;
/// Clips of one video; a test takes ten.
pub const CLIPS: u32 = 1024;
/// Height and width of what a view makes, in pixels.
pub const PIXELS: u32 = 4096;
/// Height and width of a packed set, in pixels: the most that `dv pack` writes.
pub const PACKED_PIXELS: u32 = 8192;
/// Channels of a backbone's first layer; the last one has up to 32 times as many.
pub const WIDTH: u32 = 1024;
/// Channels of a layer of a head, or numbers of a feature.
pub const CHANNELS: u32 = 65_536;
/// Classes of a head.
pub const CLASSES: u32 = 1_048_576;
/// Rows of a bank that are drawn for each sample; 16,384 in CMC.
pub const DRAWN: u32 = 1_048_576;
/// Items that are permuted: clips, or segments of one.
pub const ITEMS: u32 = 1024;
/// Rows of a queue, or of a set.
pub const ROWS: u32 = 16_777_216;
/// What similarities and margins are divided by. With cosines, all is alike long before.
pub const TEMPERATURE: f64 = 1000.0;
/// Weights of terms, and odds of branches.
pub const WEIGHT: f64 = 1e6;
