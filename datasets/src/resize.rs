//! Pillow's antialiased resizing of 8-bit RGB frames.
//!
//! The arithmetic is Pillow's own 8-bit fixed point (22 bits less the head room of the kernel), so results equal
//! `PIL.Image.resize` to within one grey level; `tests` below compare with stored Pillow 13.0.0 output.

mod columns;

use std::cell::RefCell;

use anyhow::{ensure, Result};
use fast_image_resize as fir;
use fir::images::{TypedImage, TypedImageRef};
use serde::{Deserialize, Serialize};

use crate::codec::plane::interleave;
use columns::Columns;

/// The kernel of a resize. Its support grows with the shrink factor, as in Pillow (antialiased).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// Catmull-Rom, a = -0.5: `PIL.Image.BICUBIC`.
    Bicubic,
    /// Triangle: `PIL.Image.BILINEAR`.
    Bilinear,
}

impl Filter {
    /// The name used on the command line and in shards.
    pub fn name(self) -> &'static str {
        match self {
            Filter::Bicubic => "bicubic",
            Filter::Bilinear => "bilinear",
        }
    }

    /// The filter of that name; an error lists the names.
    pub fn parse(name: &str) -> Result<Filter> {
        match name {
            "bicubic" => Ok(Filter::Bicubic),
            "bilinear" => Ok(Filter::Bilinear),
            _ => anyhow::bail!("unknown filter `{name}`: use bicubic or bilinear"),
        }
    }

    fn algorithm(self) -> fir::ResizeAlg {
        fir::ResizeAlg::Convolution(match self {
            Filter::Bicubic => fir::FilterType::CatmullRom,
            Filter::Bilinear => fir::FilterType::Bilinear,
        })
    }
}

impl Filter {
    /// How far from its middle the kernel has weights.
    fn support(self) -> f64 {
        match self {
            Filter::Bicubic => 2.0,
            Filter::Bilinear => 1.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let x = x.abs();
        match self {
            Filter::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Filter::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            Filter::Bilinear if x < 1.0 => 1.0 - x,
            _ => 0.0,
        }
    }
}

/// A rectangle of a frame, in whole pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crop {
    pub top: usize,
    pub left: usize,
    pub height: usize,
    pub width: usize,
}

#[derive(Default)]
struct Scratch {
    resizer: fir::Resizer,
    crop: Vec<u8>,
    wide: Vec<u8>,
    /// The last one.
    columns: Option<Columns>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::default());
}

/// Resizes one RGB24 frame `src` of `src_size` = (height, width) into `dst` of `dst_size`, of `crop` alone if given.
///
/// A crop acts as `image.crop(box).resize(size)`: no pixel outside the box contributes. Equal sizes copy.
/// Errors: a buffer that is not height x width x 3 bytes, an empty size, a crop that leaves the frame.
pub fn resize_rgb(
    src: &[u8],
    src_size: (usize, usize),
    crop: Option<Crop>,
    dst: &mut [u8],
    dst_size: (usize, usize),
    filter: Filter,
) -> Result<()> {
    check(src.len(), src_size, "source")?;
    check(dst.len(), dst_size, "destination")?;
    let (height, width) = src_size;
    let whole = Crop { top: 0, left: 0, height, width };
    let crop = crop.unwrap_or(whole);
    ensure!(
        crop.height > 0
            && crop.width > 0
            && crop.top.checked_add(crop.height).is_some_and(|b| b <= height)
            && crop.left.checked_add(crop.width).is_some_and(|r| r <= width),
        "resize: crop {crop:?} is empty or leaves the {height}x{width} frame"
    );
    SCRATCH.with_borrow_mut(|Scratch { resizer, crop: cut, wide, .. }| {
        let src = if crop == whole {
            src
        } else {
            cut.clear();
            for row in crop.top..crop.top + crop.height {
                let at = (row * width + crop.left) * 3;
                cut.extend_from_slice(&src[at..at + crop.width * 3]);
            }
            &cut[..]
        };
        if (crop.height, crop.width) == dst_size {
            dst.copy_from_slice(src);
            return Ok(());
        }
        // Pillow's order: columns, rounded to bytes, then rows. Left to itself the crate takes the other one, whose rounding
        // and clipping differ by up to 5 grey levels.
        let options = fir::ResizeOptions::new().resize_alg(filter.algorithm()).use_alpha(false);
        let (h, w) = dst_size;
        let src = if w == crop.width {
            src
        } else {
            wide.resize(crop.height * w * 3, 0);
            pass::<fir::pixels::U8x3>(resizer, &options, (src, crop.height, crop.width), (wide, crop.height, w))?;
            wide
        };
        if h == crop.height {
            dst.copy_from_slice(src);
        } else {
            pass::<fir::pixels::U8x3>(resizer, &options, (src, crop.height, w), (dst, h, w))?;
        }
        Ok(())
    })
}

/// [`resize_rgb`] of a frame that has of each row the whole of R, then G, then B. The bytes are the same, and it takes half the time.
pub(crate) fn resize_rows(src: &[u8], src_size: (usize, usize), dst: &mut [u8], dst_size: (usize, usize), filter: Filter) -> Result<()> {
    check(src.len(), src_size, "source")?;
    check(dst.len(), dst_size, "destination")?;
    let ((height, width), (h, w)) = (src_size, dst_size);
    SCRATCH.with_borrow_mut(|Scratch { resizer, crop: small, wide, columns }| {
        let options = fir::ResizeOptions::new().resize_alg(filter.algorithm()).use_alpha(false);
        // The three colours of a row are three rows to the first pass, and one to the second.
        let src = if w == width {
            src
        } else {
            wide.resize(height * w * 3, 0);
            if columns.as_ref().is_none_or(|columns| !columns.is(width, w, filter)) {
                *columns = Columns::new(width, w, filter);
            }
            match columns {
                Some(columns) => columns.resize(src, wide),
                None => pass::<fir::pixels::U8>(resizer, &options, (src, height * 3, width), (wide, height * 3, w))?,
            }
            wide
        };
        let src = if h == height {
            src
        } else {
            small.resize(dst.len(), 0);
            pass::<fir::pixels::U8>(resizer, &options, (src, height, w * 3), (small, h, w * 3))?;
            small
        };
        for (row, rgb) in src.chunks_exact(w * 3).zip(dst.chunks_exact_mut(w * 3)) {
            let (r, rest) = row.split_at(w);
            let (g, b) = rest.split_at(w);
            interleave(r, g, b, rgb);
        }
        Ok(())
    })
}

/// Resizes (pixels, height, width) to (pixels, height, width), one of the sides staying as it is.
fn pass<P: fir::PixelTrait>(
    resizer: &mut fir::Resizer,
    options: &fir::ResizeOptions,
    (src, src_h, src_w): (&[u8], usize, usize),
    (dst, h, w): (&mut [u8], usize, usize),
) -> Result<()> {
    // typed: the untyped call compiles the resizing of every pixel type that there is, which takes minutes
    let from = TypedImageRef::<P>::from_buffer(src_w as u32, src_h as u32, src)?;
    let mut to = TypedImage::<P>::from_buffer(w as u32, h as u32, dst)?;
    resizer.resize_typed(&from, &mut to, options)?;
    Ok(())
}

fn check(len: usize, (height, width): (usize, usize), what: &str) -> Result<()> {
    let need = height.checked_mul(width).and_then(|n| n.checked_mul(3));
    ensure!(
        height > 0 && width > 0 && height.max(width) <= u32::MAX as usize && need == Some(len),
        "resize: the {what} buffer has {len} bytes, not {height} x {width} x 3"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mt19937::Mt19937;

    /// The parity kit's `make_frame`: 16-pixel blocks plus noise from one `RandomState`.
    fn frame(h: usize, w: usize, seed: u32) -> Vec<u8> {
        let mut rng = Mt19937::new(seed);
        let (rows, cols) = (h.div_ceil(16), w.div_ceil(16));
        let low: Vec<u8> = (0..rows * cols * 3).map(|_| rng.up_to(192) as u8).collect();
        let mut out = Vec::with_capacity(h * w * 3);
        for y in 0..h {
            for x in 0..w {
                for c in 0..3 {
                    out.push(low[((y / 16) * cols + x / 16) * 3 + c] + rng.up_to(62) as u8);
                }
            }
        }
        out
    }

    /// One u8 tensor of a safetensors file, with its shape.
    fn tensor(case: &str, name: &str) -> (Vec<usize>, Vec<u8>) {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/parity/cases");
        let bytes = std::fs::read(format!("{path}/{case}.safetensors")).unwrap();
        let head = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let json: serde_json::Value = serde_json::from_slice(&bytes[8..8 + head]).unwrap();
        let list = |v: &serde_json::Value| -> Vec<usize> {
            let list = v.as_array().unwrap().iter();
            list.map(|n| n.as_u64().unwrap() as usize).collect()
        };
        let at = list(&json[name]["data_offsets"]);
        (list(&json[name]["shape"]), bytes[8 + head + at[0]..8 + head + at[1]].to_vec())
    }

    fn compare(got: &[u8], want: &[u8], what: &str) {
        assert_eq!(got.len(), want.len(), "{what}");
        let off: Vec<u32> = got.iter().zip(want).map(|(a, b)| a.abs_diff(*b) as u32).collect();
        let (max, sum) = (off.iter().max().unwrap(), off.iter().sum::<u32>());
        let mean = sum as f64 / off.len() as f64;
        println!("{what}: max {max}, mean {mean:.5}");
        assert!(*max <= 1 && mean <= 0.02, "{what}: max {max}, mean {mean}");
    }

    #[test]
    fn equals_pillow() {
        let sources = [("small", 48, 64, 701), ("big", 240, 320, 702), ("tall", 320, 240, 703)];
        let cases = [
            ("g_scale", "small_to_128x171", "small", Filter::Bicubic),
            ("g_scale", "big_to_128x171", "big", Filter::Bicubic),
            ("g_scale", "big_short32", "big", Filter::Bicubic),
            ("g_scale", "tall_short32", "tall", Filter::Bicubic),
            ("g_iic_transforms", "resized", "big", Filter::Bilinear),
            ("g_iic_transforms", "resized_small", "small", Filter::Bilinear),
        ];
        for (case, name, source, filter) in cases {
            let (_, h, w, seed) = sources.into_iter().find(|s| s.0 == source).unwrap();
            let (shape, want) = tensor(case, name);
            let mut got = vec![0; want.len()];
            resize_rgb(&frame(h, w, seed), (h, w), None, &mut got, (shape[0], shape[1]), filter).unwrap();
            compare(&got, &want, name);
        }
    }

    #[test]
    fn a_crop_is_a_crop_before_the_resize() {
        let src = frame(60, 80, 3);
        let crop = Crop { top: 7, left: 11, height: 30, width: 41 };
        let mut cut = Vec::new();
        for y in 7..37 {
            cut.extend_from_slice(&src[(y * 80 + 11) * 3..(y * 80 + 52) * 3]);
        }
        let (mut a, mut b) = (vec![0; 24 * 24 * 3], vec![0; 24 * 24 * 3]);
        resize_rgb(&src, (60, 80), Some(crop), &mut a, (24, 24), Filter::Bilinear).unwrap();
        resize_rgb(&cut, (30, 41), None, &mut b, (24, 24), Filter::Bilinear).unwrap();
        assert_eq!(a, b);
        let mut same = vec![0; cut.len()];
        resize_rgb(&src, (60, 80), Some(crop), &mut same, (30, 41), Filter::Bicubic).unwrap();
        assert_eq!(same, cut);
    }

    #[test]
    fn rows_of_colours_are_as_pixels() {
        let sizes = [(16, 16), (17, 18), (24, 320), (240, 320), (31, 333), (144, 176), (48, 640), (20, 1280)];
        for (h, w) in sizes {
            let src = frame(h, w, 5);
            let mut rows = Vec::new();
            for row in src.chunks_exact(w * 3) {
                (0..3).for_each(|c| rows.extend(row.iter().skip(c).step_by(3)));
            }
            for filter in [Filter::Bicubic, Filter::Bilinear] {
                for size in [(128, 171), (171, 128), (h, 100), (50, w), (h, w), (1, 1), (7, 5), (112, 112), (h * 2, w * 2)] {
                    let (mut a, mut b) = (vec![0; size.0 * size.1 * 3], vec![0; size.0 * size.1 * 3]);
                    resize_rgb(&src, (h, w), None, &mut a, size, filter).unwrap();
                    resize_rows(&rows, (h, w), &mut b, size, filter).unwrap();
                    assert!(a == b, "{h}x{w} to {size:?}, {filter:?}");
                }
            }
        }
    }

    #[test]
    fn bad_sizes_are_errors() {
        let (src, mut dst) = (vec![0; 12], vec![0; 12]);
        let mut go = |size, crop, to| resize_rgb(&src, size, crop, &mut dst, to, Filter::Bicubic).is_err();
        assert!(go((2, 3), None, (2, 2)));
        assert!(go((2, 2), None, (0, 2)));
        assert!(go((usize::MAX, 2), None, (2, 2)));
        let crop = |top, height| Crop { top, left: 0, height, width: 2 };
        assert!(go((2, 2), Some(crop(1, 2)), (2, 2)));
        assert!(go((2, 2), Some(crop(usize::MAX, 2)), (2, 2)));
        assert!(go((2, 2), Some(crop(0, 0)), (2, 2)));
    }
}
