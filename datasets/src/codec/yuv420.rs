//! 4:2:0 planes, each predicted from the row above.
//!
//! BT.601, full range (JFIF): Y = 0.299 R + 0.587 G + 0.114 B; Cb = 128 + (B - Y) / 1.772; Cr = 128 + (R - Y) / 1.402,
//! in 16-bit fixed point, rounded to nearest. Chroma is the mean of each 2x2 square (a last odd column or row counts
//! twice) and is repeated over that square on the way back. Planes: Y `h x w`, then Cb and Cr `ceil(h/2) x ceil(w/2)`.

use super::plane;

/// Planes of an interleaved RGB frame.
pub fn from_rgb(rgb: &[u8], height: usize, width: usize, planes: &mut [u8]) {
    let (half_h, half_w) = (height.div_ceil(2), width.div_ceil(2));
    let (luma, chroma) = planes.split_at_mut(height * width);
    let (cb, cr) = chroma.split_at_mut(half_h * half_w);
    for (out, p) in luma.iter_mut().zip(rgb.chunks_exact(3)) {
        let [r, g, b] = [p[0] as u32, p[1] as u32, p[2] as u32];
        *out = ((19595 * r + 38470 * g + 7471 * b + 32768) >> 16) as u8;
    }
    for y in 0..half_h {
        let rows = [2 * y, (2 * y + 1).min(height - 1)];
        for x in 0..half_w {
            let columns = [2 * x, (2 * x + 1).min(width - 1)];
            let mut sum = [0i32; 3];
            for row in rows {
                for column in columns {
                    let at = (row * width + column) * 3;
                    for c in 0..3 {
                        sum[c] += rgb[at + c] as i32;
                    }
                }
            }
            let [r, g, b] = sum;
            // Sums of four pixels, hence two bits more; 128 and the half of rounding are one constant.
            let offset = (128 << 18) + (1 << 17);
            cb[y * half_w + x] = ((-11059 * r - 21709 * g + 32768 * b + offset) >> 18).clamp(0, 255) as u8;
            cr[y * half_w + x] = ((32768 * r - 27439 * g - 5329 * b + offset) >> 18).clamp(0, 255) as u8;
        }
    }
}

/// The interleaved RGB frame of `planes`; `rows` is working memory.
pub fn to_rgb(planes: &[u8], height: usize, width: usize, rows: &mut Rows, rgb: &mut [u8]) {
    let (half_w, even) = (width.div_ceil(2), width.next_multiple_of(2));
    let (luma, chroma) = planes.split_at(height * width);
    let (cb, cr) = chroma.split_at(height.div_ceil(2) * half_w);
    rows.offsets.iter_mut().for_each(|row| row.resize(even, 0));
    rows.colours.iter_mut().for_each(|row| row.resize(width, 0));
    for (y, (luma, rgb)) in luma.chunks_exact(width).zip(rgb.chunks_exact_mut(width * 3)).enumerate() {
        if y % 2 == 0 {
            let at = (y / 2) * half_w..(y / 2 + 1) * half_w;
            let [r, g, b] = &mut rows.offsets;
            let offsets = r.chunks_exact_mut(2).zip(g.chunks_exact_mut(2)).zip(b.chunks_exact_mut(2));
            for (((r, g), b), (cb, cr)) in offsets.zip(cb[at.clone()].iter().zip(&cr[at])) {
                let (u, v) = (*cb as i32 - 128, *cr as i32 - 128);
                // Luma is whole, so rounding before it is added is rounding after.
                let round = |sum: i32| [((sum + 32768) >> 16) as i16; 2];
                r.copy_from_slice(&round(91881 * v));
                g.copy_from_slice(&round(-22554 * u - 46802 * v));
                b.copy_from_slice(&round(116130 * u));
            }
        }
        for (out, offsets) in rows.colours.iter_mut().zip(&rows.offsets) {
            for ((out, luma), offset) in out.iter_mut().zip(luma).zip(offsets) {
                *out = (*luma as i16 + offset).clamp(0, 255) as u8;
            }
        }
        let [r, g, b] = &rows.colours;
        plane::interleave(r, g, b, rgb);
    }
}

/// Working memory of [`to_rgb`].
#[derive(Default)]
pub struct Rows {
    /// What chroma adds to the luma of two rows, for R, G and B.
    offsets: [Vec<i16>; 3],
    colours: [Vec<u8>; 3],
}

/// Residual of the planes.
pub fn predict(planes: &[u8], height: usize, width: usize, residual: &mut [u8]) {
    let (luma, chroma) = planes.split_at(height * width);
    let (luma_out, chroma_out) = residual.split_at_mut(height * width);
    plane::predict(luma, width, luma_out);
    let half = height.div_ceil(2) * width.div_ceil(2);
    for (plane, out) in chroma.chunks_exact(half).zip(chroma_out.chunks_exact_mut(half)) {
        plane::predict(plane, width.div_ceil(2), out);
    }
}

/// The inverse of [`predict`].
pub fn restore(residual: &[u8], height: usize, width: usize, planes: &mut [u8]) {
    let (luma, chroma) = residual.split_at(height * width);
    let (luma_out, chroma_out) = planes.split_at_mut(height * width);
    plane::restore(luma, width, luma_out);
    let half = height.div_ceil(2) * width.div_ceil(2);
    for (plane, out) in chroma.chunks_exact(half).zip(chroma_out.chunks_exact_mut(half)) {
        plane::restore(plane, width.div_ceil(2), out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_survive() {
        // One colour a frame: subsampling loses nothing, so only rounding is left.
        for rgb in [[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [12, 200, 99], [128, 128, 128]] {
            let frame: Vec<u8> = std::iter::repeat_n(rgb, 15).flatten().collect();
            let (mut planes, mut back) = (vec![0; 15 + 2 * 6], vec![0; 45]);
            from_rgb(&frame, 3, 5, &mut planes);
            to_rgb(&planes, 3, 5, &mut Rows::default(), &mut back);
            assert!(frame.iter().zip(&back).all(|(a, b)| a.abs_diff(*b) <= 2), "{rgb:?} {:?}", &back[..3]);
        }
        let mut planes = vec![0; 3];
        from_rgb(&[255, 0, 0], 1, 1, &mut planes);
        assert_eq!(planes, [76, 85, 255]);
    }
}
