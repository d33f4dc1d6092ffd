//! What all codecs share: the predictor of a plane, and planes side by side as RGB.

/// Residual of a plane of that width: each byte less the one above it, modulo 256; in the first row, less its left neighbour.
pub fn predict(plane: &[u8], width: usize, residual: &mut [u8]) {
    let mut last = 0;
    for (out, now) in residual.iter_mut().zip(&plane[..width]) {
        *out = now.wrapping_sub(last);
        last = *now;
    }
    for ((out, now), above) in residual[width..].iter_mut().zip(&plane[width..]).zip(plane) {
        *out = now.wrapping_sub(*above);
    }
}

/// The inverse of [`predict`].
pub fn restore(residual: &[u8], width: usize, plane: &mut [u8]) {
    first_row(&residual[..width], &mut plane[..width]);
    for (y, residual) in residual.chunks_exact(width).enumerate().skip(1) {
        let (done, rest) = plane.split_at_mut(y * width);
        // Whole rows, which depend on nothing beside them: many bytes at once.
        for ((out, delta), above) in rest[..width].iter_mut().zip(residual).zip(&done[(y - 1) * width..]) {
            *out = above.wrapping_add(*delta);
        }
    }
}

/// The first row of a plane from its residual.
pub fn first_row(residual: &[u8], row: &mut [u8]) {
    let mut last = 0u8;
    for (out, delta) in row.iter_mut().zip(residual) {
        last = last.wrapping_add(*delta);
        *out = last;
    }
}

/// The colours of a row of RGB24, one after the other.
pub fn split(rgb: &[u8], r: &mut [u8], g: &mut [u8], b: &mut [u8]) {
    for (((p, r), g), b) in rgb.chunks_exact(3).zip(r).zip(g).zip(b) {
        (*r, *g, *b) = (p[0], p[1], p[2]);
    }
}

/// Three rows of colours as one row of RGB24, four pixels at a time: stores of single bytes would cost more than all else.
pub fn interleave(r: &[u8], g: &[u8], b: &[u8], rgb: &mut [u8]) {
    let whole = r.len() / 4 * 4;
    let (fours, rest) = rgb.split_at_mut(whole * 3);
    for (((out, r), g), b) in fours.chunks_exact_mut(12).zip(r.chunks_exact(4)).zip(g.chunks_exact(4)).zip(b.chunks_exact(4)) {
        let pixel = |i: usize| r[i] as u64 | (g[i] as u64) << 8 | (b[i] as u64) << 16;
        out[..8].copy_from_slice(&(pixel(0) | pixel(1) << 24 | pixel(2) << 48).to_le_bytes());
        out[8..].copy_from_slice(&((pixel(2) >> 16 | pixel(3) << 8) as u32).to_le_bytes());
    }
    for (((out, r), g), b) in rest.chunks_exact_mut(3).zip(&r[whole..]).zip(&g[whole..]).zip(&b[whole..]) {
        out.copy_from_slice(&[*r, *g, *b]);
    }
}
