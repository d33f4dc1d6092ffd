//! Packed video data sets: decoding, shards, splits, the generated set.
pub mod generate;
