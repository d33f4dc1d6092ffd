//! Planes G, R-G, B-G, each with a left delta; the first pixel of a row is predicted by the one above it.

/// Residual of an interleaved RGB frame: three planes of `height * width`, modulo 256.
pub fn predict(rgb: &[u8], height: usize, width: usize, residual: &mut [u8]) {
    let (g_plane, rest) = residual.split_at_mut(height * width);
    let (r_plane, b_plane) = rest.split_at_mut(height * width);
    let mut first = [0u8; 3];
    for y in 0..height {
        let row = &rgb[y * width * 3..(y + 1) * width * 3];
        let at = y * width..(y + 1) * width;
        let planes = (&mut g_plane[at.clone()], &mut r_plane[at.clone()], &mut b_plane[at]);
        let mut last = first;
        for (x, pixel) in row.chunks_exact(3).enumerate() {
            let now = [pixel[1], pixel[0].wrapping_sub(pixel[1]), pixel[2].wrapping_sub(pixel[1])];
            planes.0[x] = now[0].wrapping_sub(last[0]);
            planes.1[x] = now[1].wrapping_sub(last[1]);
            planes.2[x] = now[2].wrapping_sub(last[2]);
            last = now;
            if x == 0 {
                first = now;
            }
        }
    }
}

/// The inverse of [`predict`]. The three running sums are independent, so one pixel costs about one addition's latency.
pub fn restore(residual: &[u8], height: usize, width: usize, rgb: &mut [u8]) {
    let (g_plane, rest) = residual.split_at(height * width);
    let (r_plane, b_plane) = rest.split_at(height * width);
    let mut first = [0u8; 3];
    for y in 0..height {
        let at = y * width;
        first[0] = first[0].wrapping_add(g_plane[at]);
        first[1] = first[1].wrapping_add(r_plane[at]);
        first[2] = first[2].wrapping_add(b_plane[at]);
        let [mut g, mut r, mut b] = first;
        let out = &mut rgb[at * 3..(at + width) * 3];
        out[..3].copy_from_slice(&[g.wrapping_add(r), g, g.wrapping_add(b)]);
        let deltas = g_plane[at + 1..at + width].iter();
        let deltas = deltas.zip(&r_plane[at + 1..at + width]).zip(&b_plane[at + 1..at + width]);
        for (pixel, ((dg, dr), db)) in out[3..].chunks_exact_mut(3).zip(deltas) {
            g = g.wrapping_add(*dg);
            r = r.wrapping_add(*dr);
            b = b.wrapping_add(*db);
            pixel[0] = g.wrapping_add(r);
            pixel[1] = g;
            pixel[2] = g.wrapping_add(b);
        }
    }
}
