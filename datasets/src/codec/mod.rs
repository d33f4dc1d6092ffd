//! What one frame becomes before zstd, and back.
//!
//! A frame passes through three forms: RGB24 as decoded from video; its *content*, what the codec keeps (RGB itself,
//! or 4:2:0 planes); and the *residual*, the content less a prediction from its neighbours, which zstd shrinks.
//! Content and residual determine each other exactly. Fingerprints hash the content, so they depend neither on zstd's
//! version nor on how frames are grouped in blocks.
//!
//! What they cost, and what else was measured, stands in ARCHITECTURE.md; the bytes in FORMAT.md.

pub(crate) mod plane;
mod rgb;
mod yuv420;

use anyhow::{bail, Result};
use serde::{Deserialize, Serialize};

/// How frames are kept in a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// Lossless: planes G, R-G, B-G (mod 256).
    Rgb,
    /// 4:2:0 planes (BT.601, full range). Lossy in colour, little over half the bytes.
    Yuv420,
}

impl Codec {
    /// Every codec, the default first.
    pub const ALL: [Codec; 2] = [Codec::Rgb, Codec::Yuv420];

    /// The name used on the command line and in shards.
    pub fn name(self) -> &'static str {
        match self {
            Codec::Rgb => "rgb",
            Codec::Yuv420 => "yuv420",
        }
    }

    /// The codec of that name; an error lists the names.
    pub fn parse(name: &str) -> Result<Codec> {
        match Codec::ALL.into_iter().find(|c| c.name() == name) {
            Some(codec) => Ok(codec),
            None => bail!("unknown codec `{name}`: use rgb (lossless) or yuv420"),
        }
    }

    /// Bytes of one frame's content, and of its residual.
    pub fn content_len(self, height: usize, width: usize) -> usize {
        match self {
            Codec::Rgb => height * width * 3,
            Codec::Yuv420 => height * width + 2 * height.div_ceil(2) * width.div_ceil(2),
        }
    }

    /// The content of an RGB24 frame; `scratch` holds it where it is not `rgb` itself.
    pub fn content<'a>(self, rgb: &'a [u8], height: usize, width: usize, scratch: &'a mut Vec<u8>) -> &'a [u8] {
        match self {
            Codec::Rgb => rgb,
            Codec::Yuv420 => {
                scratch.resize(self.content_len(height, width), 0);
                yuv420::from_rgb(rgb, height, width, scratch);
                scratch
            }
        }
    }

    /// Writes the residual of `content`, both [`Codec::content_len`] long.
    pub fn predict(self, content: &[u8], height: usize, width: usize, residual: &mut [u8]) {
        match self {
            Codec::Rgb => rgb::predict(content, height, width, residual),
            Codec::Yuv420 => yuv420::predict(content, height, width, residual),
        }
    }

    /// The content that `residual` stands for.
    pub fn restore(self, residual: &[u8], height: usize, width: usize, content: &mut [u8]) {
        match self {
            Codec::Rgb => rgb::restore(residual, height, width, &mut Vec::new(), content),
            Codec::Yuv420 => yuv420::restore(residual, height, width, content),
        }
    }

    /// The RGB24 frame that `content` stands for.
    pub fn to_rgb(self, content: &[u8], height: usize, width: usize, work: &mut Work, rgb: &mut [u8]) {
        match self {
            Codec::Rgb => rgb.copy_from_slice(content),
            Codec::Yuv420 => yuv420::to_rgb(content, height, width, &mut work.rows, rgb),
        }
    }

    /// The RGB24 frame that `residual` stands for.
    pub fn restore_rgb(self, residual: &[u8], height: usize, width: usize, work: &mut Work, rgb: &mut [u8]) {
        match self {
            Codec::Rgb => rgb::restore(residual, height, width, &mut work.bytes, rgb),
            Codec::Yuv420 => {
                work.bytes.resize(self.content_len(height, width), 0);
                yuv420::restore(residual, height, width, &mut work.bytes);
                yuv420::to_rgb(&work.bytes, height, width, &mut work.rows, rgb);
            }
        }
    }
}

/// Working memory of a thread that restores frames.
#[derive(Default)]
pub struct Work {
    bytes: Vec<u8>,
    rows: yuv420::Rows,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mt19937::Mt19937;

    #[test]
    fn content_and_residual_determine_each_other() {
        let mut rng = Mt19937::new(1);
        for codec in Codec::ALL {
            for (h, w) in [(1, 1), (1, 2), (2, 1), (3, 5), (4, 4), (17, 31), (171, 128)] {
                let content: Vec<u8> = (0..codec.content_len(h, w)).map(|_| rng.next_u32() as u8).collect();
                let (mut residual, mut back) = (content.clone(), content.clone());
                codec.predict(&content, h, w, &mut residual);
                back.fill(0);
                codec.restore(&residual, h, w, &mut back);
                assert!(back == content, "{} {h}x{w}", codec.name());
                // Any bytes at all are a residual: damage that a checksum missed could not crash it either.
                codec.restore(&content, h, w, &mut back);
            }
        }
        assert!(Codec::parse("av1").is_err());
    }
}
