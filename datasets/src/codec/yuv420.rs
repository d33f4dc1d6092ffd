//! 4:2:0 planes and the median (LOCO-I) predictor.
//!
//! BT.601, full range (JFIF): Y = 0.299 R + 0.587 G + 0.114 B; Cb = 128 + (B - Y) / 1.772; Cr = 128 + (R - Y) / 1.402,
//! in 16-bit fixed point, rounded to nearest. Chroma is the mean of each 2x2 square (a last odd column or row counts
//! twice) and is repeated over that square on the way back. Planes: Y `h x w`, then Cb and Cr `ceil(h/2) x ceil(w/2)`.

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

/// The interleaved RGB frame of `planes`.
pub fn to_rgb(planes: &[u8], height: usize, width: usize, rgb: &mut [u8]) {
    let half_w = width.div_ceil(2);
    let (luma, chroma) = planes.split_at(height * width);
    let (cb, cr) = chroma.split_at(height.div_ceil(2) * half_w);
    for (y, (luma, rgb)) in luma.chunks_exact(width).zip(rgb.chunks_exact_mut(width * 3)).enumerate() {
        let at = (y / 2) * half_w..(y / 2 + 1) * half_w;
        let chroma = cb[at.clone()].iter().zip(&cr[at]);
        for ((luma, rgb), (cb, cr)) in luma.chunks(2).zip(rgb.chunks_mut(6)).zip(chroma) {
            let (u, v) = (*cb as i32 - 128, *cr as i32 - 128);
            let r = 91881 * v + 32768;
            let g = -22554 * u - 46802 * v + 32768;
            let b = 116130 * u + 32768;
            for (luma, pixel) in luma.iter().zip(rgb.chunks_exact_mut(3)) {
                let luma = (*luma as i32) << 16;
                pixel[0] = ((luma + r) >> 16).clamp(0, 255) as u8;
                pixel[1] = ((luma + g) >> 16).clamp(0, 255) as u8;
                pixel[2] = ((luma + b) >> 16).clamp(0, 255) as u8;
            }
        }
    }
}

/// Residual of the planes.
pub fn predict(planes: &[u8], height: usize, width: usize, residual: &mut [u8]) {
    let (luma, chroma) = planes.split_at(height * width);
    let (luma_out, chroma_out) = residual.split_at_mut(height * width);
    predict_plane(luma, width, luma_out);
    let half = height.div_ceil(2) * width.div_ceil(2);
    for (plane, out) in chroma.chunks_exact(half).zip(chroma_out.chunks_exact_mut(half)) {
        predict_plane(plane, width.div_ceil(2), out);
    }
}

/// The inverse of [`predict`].
pub fn restore(residual: &[u8], height: usize, width: usize, planes: &mut [u8]) {
    let (luma, chroma) = residual.split_at(height * width);
    let (luma_out, chroma_out) = planes.split_at_mut(height * width);
    restore_plane(luma, width, luma_out);
    let half = height.div_ceil(2) * width.div_ceil(2);
    for (plane, out) in chroma.chunks_exact(half).zip(chroma_out.chunks_exact_mut(half)) {
        restore_plane(plane, width.div_ceil(2), out);
    }
}

/// The median of left, above, and left + above - corner.
#[inline(always)]
fn median(left: u8, above: u8, corner: u8) -> u8 {
    let (left, above, corner) = (left as i32, above as i32, corner as i32);
    (left + above - corner).clamp(left.min(above), left.max(above)) as u8
}

fn predict_plane(plane: &[u8], width: usize, out: &mut [u8]) {
    for (y, (row, out)) in plane.chunks_exact(width).zip(out.chunks_exact_mut(width)).enumerate() {
        let above = y.checked_sub(1).map(|up| &plane[up * width..y * width]);
        out[0] = row[0].wrapping_sub(above.map_or(0, |above| above[0]));
        for x in 1..width {
            let guess = match above {
                Some(above) => median(row[x - 1], above[x], above[x - 1]),
                None => row[x - 1],
            };
            out[x] = row[x].wrapping_sub(guess);
        }
    }
}

/// Rows go in pairs, the lower one pixel behind the upper: each pixel waits for its left neighbour, and two such
/// chains side by side keep the processor busy where one would leave it idle.
fn restore_plane(residual: &[u8], width: usize, out: &mut [u8]) {
    let height = residual.len() / width;
    let mut last = 0u8;
    for (out, delta) in out[..width].iter_mut().zip(residual) {
        last = last.wrapping_add(*delta);
        *out = last;
    }
    let mut y = 1;
    while y + 1 < height {
        let (done, rest) = out.split_at_mut(y * width);
        let (upper, rest) = rest.split_at_mut(width);
        let deltas = residual[y * width..(y + 2) * width].split_at(width);
        restore_pair(&done[(y - 1) * width..], deltas, upper, &mut rest[..width]);
        y += 2;
    }
    if y < height {
        let (done, row) = out.split_at_mut(y * width);
        restore_row(&done[(y - 1) * width..], &residual[y * width..], row);
    }
}

fn restore_row(above: &[u8], delta: &[u8], row: &mut [u8]) {
    let (mut left, mut corner) = (above[0].wrapping_add(delta[0]), above[0]);
    row[0] = left;
    for ((row, above), delta) in row.iter_mut().zip(above).zip(delta).skip(1) {
        left = median(left, *above, corner).wrapping_add(*delta);
        corner = *above;
        *row = left;
    }
}

fn restore_pair(above: &[u8], (delta0, delta1): (&[u8], &[u8]), upper: &mut [u8], lower: &mut [u8]) {
    let width = above.len();
    let (delta0, delta1) = (&delta0[..width], &delta1[..width]);
    let (upper, lower) = (&mut upper[..width], &mut lower[..width]);
    // Of the upper row the pixel done last; of the lower one its left neighbour and the corner above that.
    let mut up = above[0].wrapping_add(delta0[0]);
    upper[0] = up;
    let mut low = up.wrapping_add(delta1[0]);
    let mut corner = up;
    if width == 1 {
        lower[0] = low;
        return;
    }
    lower[0] = low;
    up = median(up, above[1], above[0]).wrapping_add(delta0[1]);
    upper[1] = up;
    for x in 2..width {
        let next = median(up, above[x], above[x - 1]).wrapping_add(delta0[x]);
        low = median(low, up, corner).wrapping_add(delta1[x - 1]);
        lower[x - 1] = low;
        corner = up;
        up = next;
        upper[x] = up;
    }
    lower[width - 1] = median(low, up, corner).wrapping_add(delta1[width - 1]);
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
            to_rgb(&planes, 3, 5, &mut back);
            assert!(frame.iter().zip(&back).all(|(a, b)| a.abs_diff(*b) <= 2), "{rgb:?} {:?}", &back[..3]);
        }
        let mut planes = vec![0; 3];
        from_rgb(&[255, 0, 0], 1, 1, &mut planes);
        assert_eq!(planes, [76, 85, 255]);
    }
}
