//! Video files to RGB frames, through an ffmpeg process and a pipe.
//!
//! A process of its own, so that a hostile file cannot take dv down: frames come one at a time, a frame's size and the number of frames
//! are bounded ([`Limits`], [`MAX_PIXELS`]), only containers and codecs of video files are opened (no playlists, no images, no text as
//! "ANSI video", nothing from the network), and a process that stops delivering is killed.
//!
//! In the order in which a file passes: `find` the program, `command` its command line, `process` and `keeper` the process and its end,
//! `pipes` what it says, `frames`, `times` and `log` what that means, `planes` the conversion to RGB, `ending` how it ended, `stream` what
//! becomes of the file.
//!
//! What comes out: the first video stream that is no cover picture; exactly the frames that decode, none repeated or
//! dropped to keep a rate; upright, where the file says that it is to be shown rotated, as players do; in pixels as stored
//! (a pixel aspect ratio is not applied). Where the resolution changes inside a file, ffmpeg scales every frame to the
//! first's size. One decoding thread a file: what damaged files give would otherwise depend on the number of threads.
//! From version 7 on ffmpeg reads, decodes and scales in threads of its own: the part of a frame that a damaged Motion JPEG or FFV1
//! file lacks is then whatever its memory held, and differs from one run to the next.

mod command;
mod ending;
mod find;
mod frames;
mod keeper;
mod line;
mod log;
mod pipes;
mod planes;
mod process;
mod stream;
mod times;
mod unnamed;

use std::borrow::Cow;
use std::time::Duration;

use anyhow::Result;

pub use find::Ffmpeg;

use crate::codec::plane::interleave;
use crate::resize::{resize_rgb, resize_rows, Filter};

/// Most pixels of a source frame: 8K video has 33.2 million.
pub const MAX_PIXELS: usize = 36_000_000;

/// What a file may ask for.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest time without a byte from ffmpeg.
    pub patience: Duration,
    /// Most frames.
    pub frames: u32,
}

impl Default for Limits {
    /// 60 s, and 4 million frames: 37 hours at 30 a second.
    fn default() -> Limits {
        Limits { patience: Duration::from_secs(60), frames: 4_000_000 }
    }
}

/// One decoded frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    pixels: Pixels<'a>,
    /// The same for every frame of a file.
    pub height: usize,
    pub width: usize,
    /// Microseconds at which it is shown, if the container says so.
    pub time: Option<i64>,
}

/// RGB of 8 bits, `height * width * 3` bytes.
#[derive(Clone, Copy, Debug)]
enum Pixels<'a> {
    /// Pixel by pixel.
    Rgb(&'a [u8]),
    /// Row by row, of each the whole of R, then G, then B.
    Rows(&'a [u8]),
}

impl<'a> Frame<'a> {
    /// A frame of RGB24 without a time.
    pub(crate) fn of_rgb(rgb: &'a [u8], (height, width): (usize, usize)) -> Frame<'a> {
        Frame { pixels: Pixels::Rgb(rgb), height, width, time: None }
    }

    /// The frame as RGB24.
    pub fn rgb(&self) -> Cow<'_, [u8]> {
        match self.pixels {
            Pixels::Rgb(rgb) => Cow::Borrowed(rgb),
            Pixels::Rows(rows) => {
                let mut rgb = vec![0; rows.len()];
                for (from, to) in rows.chunks_exact(self.width * 3).zip(rgb.chunks_exact_mut(self.width * 3)) {
                    let (r, rest) = from.split_at(self.width);
                    let (g, b) = rest.split_at(self.width);
                    interleave(r, g, b, to);
                }
                Cow::Owned(rgb)
            }
        }
    }

    /// Resizes it into `small`, RGB24 of `size` = (height, width), as [`resize_rgb`] does.
    pub fn resize(&self, small: &mut [u8], size: (usize, usize), filter: Filter) -> Result<()> {
        let from = (self.height, self.width);
        match self.pixels {
            Pixels::Rgb(rgb) => resize_rgb(rgb, from, None, small, size, filter),
            Pixels::Rows(rows) => resize_rows(rows, from, small, size, filter),
        }
    }
}

/// A file of which at least one frame decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    pub frames: u32,
    /// Pixels.
    pub height: usize,
    pub width: usize,
    /// Nominal frames a second.
    pub fps: Option<f64>,
    /// What ffmpeg complained of, or why decoding stopped early.
    pub note: Option<String>,
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Decoded(Decoded),
    /// Why the file is of no use. Frames that it gave before are of none either.
    Rejected(String),
}
