//! Frames as decoded, in planes, to RGB: the same bytes that [`super::command::CONVERSION`] makes of them, for a tenth of the time.
//!
//! swscale's arithmetic for that filter, of 8-bit 4:2:0 whose width is even, and of grey: chroma is interpolated from row to row by the
//! four taps of a bicubic kernel (12 bits, centre of the square whatever the file says), from column to column it is repeated, and colours
//! are sums of integers in 16-bit fixed point. Which matrix and range it takes for a file depends on what the file says and on the version.
//! So the file itself is asked: ffmpeg paints a [`pattern`] over a corner of the first frame and converts that, and of the ways to convert
//! ([`Colour`]) the one counts that gives just these bytes. If none does, as of a version whose arithmetic is another, ffmpeg converts all.

mod colour;
mod header;
mod probe;
mod taps;

use colour::Colour;
pub use header::{Header, MAX_LINE};
pub use probe::{pattern, SIZE as PROBE_BYTES};

use taps::{taps, Taps};

/// What the planes of a frame are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 8-bit 4:2:0: Y of `height x width`, then U and V of half that each way, rounded up.
    Yuv420,
    /// Y alone.
    Grey,
}

/// The least height and width of frames in planes. A corner of that size is what tells how to convert.
pub const LEAST: usize = 16;

impl Kind {
    /// Whether frames of that size are converted here: the width is even, and both sides are [`LEAST`] at least.
    pub fn can_be(self, height: usize, width: usize) -> bool {
        width.is_multiple_of(2) && height.min(width) >= LEAST
    }

    /// Bytes of a frame.
    pub fn len(self, height: usize, width: usize) -> usize {
        match self {
            Kind::Grey => height * width,
            Kind::Yuv420 => height * width + height.div_ceil(2) * (width / 2) * 2,
        }
    }
}

/// Converts the frames of one file.
pub struct Converter {
    kind: Kind,
    height: usize,
    width: usize,
    colour: Colour,
    taps: Vec<Taps>,
    work: Work,
}

/// Working memory: chroma of one row, and what it adds to luma, for each column.
#[derive(Default)]
struct Work {
    u: Vec<u8>,
    v: Vec<u8>,
    red: Vec<i16>,
    green: Vec<i16>,
    blue: Vec<i16>,
}

impl Converter {
    /// `probe` is what ffmpeg made of the pattern; `None`: something else than any [`Colour`] does.
    pub fn new(Header { kind, height, width, full }: Header, probe: &[u8]) -> Option<Converter> {
        // The range is known, and the picture may have lost it: before version 7 it is painted in limited range alone, where it has colour.
        Colour::all().filter(|colour| kind == Kind::Grey || colour.full == full).find_map(|colour| {
            let mut small = Converter::with(kind, LEAST, LEAST, colour)?;
            probe::is(&mut small, probe).then(|| Converter::with(kind, height, width, colour))
        })?
    }

    fn with(kind: Kind, height: usize, width: usize, colour: Colour) -> Option<Converter> {
        if !kind.can_be(height, width) {
            return None;
        }
        let taps = match kind {
            Kind::Yuv420 => taps(height)?,
            Kind::Grey => Vec::new(),
        };
        Some(Converter { kind, height, width, colour, taps, work: Work::default() })
    }

    /// Of each row of the frame R, then G, then B, `width` bytes each.
    pub fn convert(&mut self, planes: &[u8], rows: &mut Vec<u8>) {
        rows.resize(self.height * self.width * 3, 0);
        if self.kind == Kind::Grey {
            self.work.red.resize(self.width, 0);
            for (luma, row) in planes.chunks_exact(self.width).zip(rows.chunks_exact_mut(self.width * 3)) {
                let (red, others) = row.split_at_mut(self.width);
                self.colour.add(luma, &self.work.red, red);
                others.chunks_exact_mut(self.width).for_each(|other| other.copy_from_slice(red));
            }
            return;
        }
        let Work { u, v, red, green, blue } = &mut self.work;
        [u, v].into_iter().for_each(|row| row.resize(self.width / 2, 0));
        [red, green, blue].into_iter().for_each(|row| row.resize(self.width, 0));
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2, which is all that the function asks for; it is safe code otherwise.
            return unsafe { self.yuv420_avx2(planes, rows) };
        }
        self.yuv420(planes, rows);
    }

    /// The same code for processors that do more at once.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn yuv420_avx2(&mut self, planes: &[u8], rows: &mut [u8]) {
        self.yuv420(planes, rows);
    }

    #[inline(always)]
    fn yuv420(&mut self, planes: &[u8], rows: &mut [u8]) {
        let (width, half) = (self.width, self.width / 2);
        let (luma, chroma) = planes.split_at(self.height * width);
        let (u, v) = chroma.split_at(self.height.div_ceil(2) * half);
        let work = &mut self.work;
        for ((luma, row), taps) in luma.chunks_exact(width).zip(rows.chunks_exact_mut(width * 3)).zip(&self.taps) {
            taps.row(u, half, &mut work.u);
            taps.row(v, half, &mut work.v);
            self.colour.offsets(&work.u, &work.v, [&mut work.red, &mut work.green, &mut work.blue]);
            for (out, offsets) in row.chunks_exact_mut(width).zip([&work.red, &work.green, &work.blue]) {
                self.colour.add(luma, offsets, out);
            }
        }
    }
}

#[cfg(test)]
mod tests;
