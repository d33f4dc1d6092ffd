//! 4:2:0 planes, each predicted from the row above.
//!
//! BT.601, full range (JFIF): Y = 0.299 R + 0.587 G + 0.114 B; Cb = 128 + (B - Y) / 1.772; Cr = 128 + (R - Y) / 1.402,
//! in 16-bit fixed point, rounded to nearest. Chroma is the mean of each 2x2 square (a last odd column or row counts
//! twice) and is repeated over that square on the way back. Planes: Y `h x w`, then Cb and Cr `ceil(h/2) x ceil(w/2)`.

use super::plane;

/// Planes of an interleaved RGB frame.
pub fn from_rgb(rgb: &[u8], height: usize, width: usize, planes: &mut [u8]) {
    let half_w = width.div_ceil(2);
    let (luma, chroma) = planes.split_at_mut(height * width);
    let (cb, cr) = chroma.split_at_mut(height.div_ceil(2) * half_w);
    // R, G and B of two rows, of an even number of columns.
    let mut rows = vec![0; 6 * half_w * 2];
    let chroma = cb.chunks_exact_mut(half_w).zip(cr.chunks_exact_mut(half_w));
    for ((rgb, luma), (cb, cr)) in rgb.chunks(width * 6).zip(luma.chunks_mut(width * 2)).zip(chroma) {
        let (first, second) = rows.split_at_mut(6 * half_w);
        for ((rgb, luma), row) in rgb.chunks_exact(width * 3).zip(luma.chunks_exact_mut(width)).zip([&mut *first, &mut *second]) {
            luma_row(rgb, row, luma);
        }
        if rgb.len() == width * 3 {
            second.copy_from_slice(first);
        }
        chroma_row(first, second, cb, cr);
    }
}

/// Luma of one row, and its colours one after the other; a last odd column is there twice.
fn luma_row(rgb: &[u8], row: &mut [u8], luma: &mut [u8]) {
    let width = luma.len();
    let (r, rest) = row.split_at_mut(row.len() / 3);
    let (g, b) = rest.split_at_mut(r.len());
    plane::split(rgb, &mut r[..width], &mut g[..width], &mut b[..width]);
    for colour in [&mut *r, &mut *g, &mut *b] {
        colour.copy_within(width - 1..width, colour.len() - 1);
    }
    for (((out, r), g), b) in luma.iter_mut().zip(&*r).zip(&*g).zip(&*b) {
        let [r, g, b] = [*r as u32, *g as u32, *b as u32];
        *out = ((19595 * r + 38470 * g + 7471 * b + 32768) >> 16) as u8;
    }
}

/// Chroma of two rows of colours.
fn chroma_row(first: &[u8], second: &[u8], cb: &mut [u8], cr: &mut [u8]) {
    let colour = |i: usize| {
        let at = i * first.len() / 3..(i + 1) * first.len() / 3;
        first[at.clone()].chunks_exact(2).zip(second[at].chunks_exact(2))
    };
    let sum = |(a, b): (&[u8], &[u8])| a[0] as i32 + a[1] as i32 + b[0] as i32 + b[1] as i32;
    for ((((cb, cr), r), g), b) in cb.iter_mut().zip(cr).zip(colour(0)).zip(colour(1)).zip(colour(2)) {
        let [r, g, b] = [sum(r), sum(g), sum(b)];
        // Sums of four pixels, hence two bits more; 128 and the half of rounding are one constant.
        let offset = (128 << 18) + (1 << 17);
        *cb = ((-11059 * r - 21709 * g + 32768 * b + offset) >> 18).clamp(0, 255) as u8;
        *cr = ((32768 * r - 27439 * g - 5329 * b + offset) >> 18).clamp(0, 255) as u8;
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
