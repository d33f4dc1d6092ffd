//! Planes G, R-G, B-G (modulo 256), each predicted from the row above.

use super::plane;

/// Residual of an interleaved RGB frame: three planes of `height * width`.
pub fn predict(rgb: &[u8], height: usize, width: usize, residual: &mut [u8]) {
    let mut planes = vec![0; height * width * 3];
    let (g, rest) = planes.split_at_mut(height * width);
    let (r, b) = rest.split_at_mut(height * width);
    plane::split(rgb, r, g, b);
    for ((g, r), b) in g.iter().zip(r).zip(b) {
        (*r, *b) = (r.wrapping_sub(*g), b.wrapping_sub(*g));
    }
    for (plane, out) in planes.chunks_exact(height * width).zip(residual.chunks_exact_mut(height * width)) {
        plane::predict(plane, width, out);
    }
}

/// The inverse of [`predict`]; `rows` is working memory.
pub fn restore(residual: &[u8], height: usize, width: usize, rows: &mut Vec<u8>, rgb: &mut [u8]) {
    let (g_plane, rest) = residual.split_at(height * width);
    let (r_plane, b_plane) = rest.split_at(height * width);
    // The row under way of each plane, then R and B themselves.
    rows.resize(width * 5, 0);
    let (planes, colours) = rows.split_at_mut(width * 3);
    let (red, blue) = colours.split_at_mut(width);
    for (y, rgb) in rgb.chunks_exact_mut(width * 3).enumerate() {
        for (row, plane) in planes.chunks_exact_mut(width).zip([g_plane, r_plane, b_plane]) {
            let residual = &plane[y * width..(y + 1) * width];
            match y {
                0 => plane::first_row(residual, row),
                _ => row.iter_mut().zip(residual).for_each(|(now, delta)| *now = now.wrapping_add(*delta)),
            }
        }
        let (green, rest) = planes.split_at(width);
        let (r, b) = rest.split_at(width);
        for (out, difference) in [(&mut *red, r), (&mut *blue, b)] {
            out.iter_mut().zip(green).zip(difference).for_each(|((out, g), d)| *out = g.wrapping_add(*d));
        }
        plane::interleave(red, green, blue, rgb);
    }
}
