//! Chroma of every row from that of every other row: swscale's bicubic kernel, in its fixed point.

/// One row of chroma: the row at which its taps begin, and these, 12 bits each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taps {
    first: usize,
    taps: [i16; COUNT],
}

const COUNT: usize = 4;
/// 1 in the kernel's weights.
const ONE: i64 = 1 << 54;
/// The kernel's second parameter (the first is 0), times 2^24.
const C: i64 = (0.6 * (1 << 24) as f64) as i64;
/// What weights at the ends of a row of taps may add up to and still be left out.
const NEAR_ZERO: i64 = (0.002 * ONE as f64) as i64;

impl Taps {
    /// A row of chroma from `plane`, whose rows are `width` long.
    #[inline(always)]
    pub fn row(&self, plane: &[u8], width: usize, out: &mut [u8]) {
        let row = |i: usize| &plane[(self.first + i) * width..][..width];
        let [a, b, c, d] = self.taps.map(i32::from);
        // At most 255 * 2^15 each, so nothing wraps; checks would keep it from being done for many columns at once.
        let tap = |weight: i32, value: &u8| weight.wrapping_mul(*value as i32);
        for ((((out, p), q), r), s) in out.iter_mut().zip(row(0)).zip(row(1)).zip(row(2)).zip(row(3)) {
            let sum = tap(a, p).wrapping_add(tap(b, q)).wrapping_add(tap(c, r)).wrapping_add(tap(d, s));
            *out = (sum.wrapping_add(1 << 11) >> 12).clamp(0, 255) as u8;
        }
    }
}

/// Taps of each of `height` rows, 8 at least; `None`: four do not suffice.
pub fn taps(height: usize) -> Option<Vec<Taps>> {
    let from = height.div_ceil(2) as i64;
    let step = ((from << 16) + (height as i64 >> 1)) / height as i64;
    // In 2^-17 of a row: chroma lies in the middle between two rows.
    let at = |row: usize| step - (128 << 9) + 2 * step * row as i64;
    let mut next = i64::MAX;
    let mut rows = Vec::with_capacity(height);
    for at in (0..height).rev().map(at) {
        // Of five taps one is near zero, the first if that leaves the rows in order.
        let first = (at - (3 << 16)) / (1 << 17);
        let weights: [i64; COUNT + 1] = std::array::from_fn(|i| kernel((((first + i as i64) << 17) - at).abs() << 13));
        let skip = usize::from(weights[0].abs() <= NEAR_ZERO && first < next);
        if skip == 0 && weights[COUNT].abs() > NEAR_ZERO {
            return None;
        }
        next = first + skip as i64;
        rows.push(within(next, std::array::from_fn(|i| weights[i + skip]), from));
    }
    rows.reverse();
    Some(rows)
}

/// Weight at a distance, in 2^-30 of a row, which is not negative.
fn kernel(d: i64) -> i64 {
    if d >= 2 << 30 {
        return 0;
    }
    let dd = (d * d) >> 30;
    let ddd = (dd * d) >> 30;
    if d < 1 << 30 {
        ((12 << 24) - 6 * C) * ddd + (6 * C - (18 << 24)) * dd + (6 << 54)
    } else {
        -6 * C * ddd + 30 * C * dd - 48 * C * d + ((24 * C) << 30)
    }
}

/// Taps of rows that there are: what falls on others goes to the first or the last.
fn within(first: i64, weights: [i64; COUNT], rows: i64) -> Taps {
    let begin = first.clamp(0, rows - COUNT as i64);
    let mut moved = [0; COUNT];
    for (i, weight) in weights.into_iter().enumerate() {
        let row = (first + i as i64).clamp(0, rows - 1);
        moved[(row - begin) as usize] += weight;
    }
    let sum = (moved.iter().sum::<i64>() + (1 << 11)) >> 12;
    let mut error = 0;
    let taps = moved.map(|weight| {
        let weight = weight + error;
        let rounded = (weight + if weight < 0 { -(sum / 2) } else { sum / 2 }) / sum;
        error = weight - rounded * sum;
        rounded as i16
    });
    Taps { first: begin as usize, taps }
}
