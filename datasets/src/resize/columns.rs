//! The first pass of a resize, along rows, where the rows of the three colours come apart.
//!
//! [`super::pass`] does the same, but is made for pixels of several bytes: of single bytes it takes three times as long as this. Weights
//! and rounding are those of [`fast_image_resize`], and with it Pillow's.

use super::Filter;

/// Outputs that are computed at once, each from two bytes at a time.
const GROUP: usize = 4;
/// Outputs that are written at once.
const BLOCK: usize = 4 * GROUP;
/// Bytes of a row that are looked at at once.
const WINDOW: usize = 16;

/// How rows of one length become rows of another.
pub struct Columns {
    from: usize,
    to: usize,
    filter: Filter,
    /// Of a sum of weighted bytes, how many bits are fraction.
    precision: u32,
    /// Pairs of each group of outputs, one group after the other, up to whole blocks.
    pairs: Vec<Pair>,
    /// How many a group has.
    each: usize,
}

/// Two bytes of the row for each output of a group.
#[derive(Clone, Copy)]
struct Pair {
    /// Where the window begins that holds the bytes of all four.
    base: usize,
    /// Where they are in it, each followed by a zero.
    place: [u8; WINDOW],
    weights: [i16; 2 * GROUP],
}

/// The weights of one output, and the first byte that has one.
struct Weights {
    first: usize,
    weights: Vec<f64>,
}

impl Columns {
    /// `None`: rows of less than 16 bytes, a shrink by more than about 4, or a processor without AVX2, are left to [`super::pass`].
    pub fn new(from: usize, to: usize, filter: Filter) -> Option<Columns> {
        if from < WINDOW || to == 0 || !supported() {
            return None;
        }
        let outputs: Vec<Weights> = (0..to).map(|x| Weights::of(x, from, to, filter)).collect();
        let most = outputs.iter().flat_map(|output| &output.weights).fold(0.0, |most: f64, weight| most.max(*weight));
        // As many bits as let the greatest weight be 16 bits with its sign, and a sum 32 with two to spare.
        let precision = (0..22).find(|bits| (most * (1u64 << (bits + 1)) as f64).round() >= (1 << 15) as f64).unwrap_or(21);
        let each = outputs.iter().map(|output| output.weights.len().div_ceil(2)).max()?;
        let mut pairs = Vec::with_capacity(to.next_multiple_of(BLOCK) / GROUP * each);
        for group in (0..to.next_multiple_of(BLOCK)).step_by(GROUP) {
            let group = &outputs[group.min(to)..(group + GROUP).min(to)];
            for pair in 0..each {
                pairs.push(Pair::of(group, 2 * pair, from, (1u64 << precision) as f64)?);
            }
        }
        Some(Columns { from, to, filter, precision, pairs, each })
    }

    pub fn is(&self, from: usize, to: usize, filter: Filter) -> bool {
        (self.from, self.to, self.filter) == (from, to, filter)
    }

    /// Rows of `from` bytes to rows of `to`.
    pub fn resize(&self, src: &[u8], dst: &mut [u8]) {
        #[cfg(target_arch = "x86_64")]
        if supported() {
            // SAFETY: the processor has AVX2, which is all that the function asks for; it is safe code otherwise.
            unsafe { self.rows(src, dst) }
        }
    }

    /// Four rows at a time, which share what is read of the pairs.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn rows(&self, src: &[u8], dst: &mut [u8]) {
        use std::arch::x86_64::*;
        let half = _mm256_set1_epi32((1 << self.precision) >> 1);
        let bits = _mm_cvtsi32_si128(self.precision as i32);
        let wide = self.to.next_multiple_of(BLOCK);
        let mut done = vec![0; 4 * wide];
        for (src, dst) in src.chunks(4 * self.from).zip(dst.chunks_mut(4 * self.to)) {
            let last = src.len() / self.from - 1;
            let row = |i: usize| &src[i.min(last) * self.from..][..self.from];
            let rows = [row(0), row(1), row(2), row(3)];
            for (block, pairs) in self.pairs.chunks_exact(BLOCK / GROUP * self.each).enumerate() {
                let mut sums = [[_mm256_setzero_si256(); 2]; BLOCK / GROUP];
                for (sums, pairs) in sums.iter_mut().zip(pairs.chunks_exact(self.each)) {
                    let (mut upper, mut lower) = (half, half);
                    for pair in pairs {
                        let place = _mm256_broadcastsi128_si256(load(&pair.place));
                        let [a, b, c, d, e, f, g, h] = pair.weights;
                        let weights = _mm256_broadcastsi128_si256(_mm_set_epi16(h, g, f, e, d, c, b, a));
                        let two = |i: usize| {
                            let window = |row: &[u8]| row[pair.base..].first_chunk().map_or(_mm_setzero_si128(), |bytes| load(bytes));
                            _mm256_set_m128i(window(rows[i + 1]), window(rows[i]))
                        };
                        upper = _mm256_add_epi32(upper, _mm256_madd_epi16(_mm256_shuffle_epi8(two(0), place), weights));
                        lower = _mm256_add_epi32(lower, _mm256_madd_epi16(_mm256_shuffle_epi8(two(2), place), weights));
                    }
                    *sums = [_mm256_sra_epi32(upper, bits), _mm256_sra_epi32(lower, bits)];
                }
                let [a, b, c, d] = sums;
                for i in 0..2 {
                    let bytes = _mm256_packus_epi16(_mm256_packs_epi32(a[i], b[i]), _mm256_packs_epi32(c[i], d[i]));
                    for (row, bytes) in [(2 * i, _mm256_castsi256_si128(bytes)), (2 * i + 1, _mm256_extracti128_si256::<1>(bytes))] {
                        let to = &mut done[row * wide + block * BLOCK..][..BLOCK];
                        to[..8].copy_from_slice(&_mm_cvtsi128_si64(bytes).to_le_bytes());
                        to[8..].copy_from_slice(&_mm_extract_epi64::<1>(bytes).to_le_bytes());
                    }
                }
            }
            for (to, done) in dst.chunks_exact_mut(self.to).zip(done.chunks_exact(wide)) {
                to.copy_from_slice(&done[..self.to]);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
#[inline]
fn load(bytes: &[u8; WINDOW]) -> std::arch::x86_64::__m128i {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *bytes;
    let (lower, upper) = ([a, b, c, d, e, f, g, h], [i, j, k, l, m, n, o, p]);
    std::arch::x86_64::_mm_set_epi64x(i64::from_le_bytes(upper), i64::from_le_bytes(lower))
}

fn supported() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

impl Pair {
    /// The bytes number `number` and the next of those that each output of a group has weights for; `None`: no window holds them all.
    fn of(group: &[Weights], number: usize, from: usize, scale: f64) -> Option<Pair> {
        let firsts = || group.iter().filter(|output| number < output.weights.len()).map(|output| output.first + number);
        let base = firsts().min().unwrap_or(0).min(from - WINDOW);
        let mut pair = Pair { base, place: [0x80; WINDOW], weights: [0; 2 * GROUP] };
        for (i, output) in group.iter().enumerate() {
            for (j, weight) in output.weights.iter().skip(number).take(2).enumerate() {
                let place = output.first + number + j - base;
                if place >= WINDOW {
                    return None;
                }
                pair.place[4 * i + 2 * j] = place as u8;
                pair.weights[2 * i + j] = (weight * scale).round() as i16;
            }
        }
        Some(pair)
    }
}

impl Weights {
    fn of(x: usize, from: usize, to: usize, filter: Filter) -> Weights {
        let scale = from as f64 / to as f64;
        let shrink = scale.max(1.0);
        let (radius, shrink) = (filter.support() * shrink, 1.0 / shrink);
        let centre = (x as f64 + 0.5) * scale;
        let begin = (centre - radius).floor().max(0.0) as usize;
        let end = (centre + radius).ceil().min(from as f64) as usize;
        let centre = centre - 0.5;
        let mut weights: Vec<f64> = Vec::with_capacity(end - begin);
        let (mut first, mut sum) = (begin, 0.0);
        for at in begin..end {
            let weight = filter.weight((at as f64 - centre) * shrink);
            if at == first && weight == 0.0 {
                first += 1;
            } else {
                weights.push(weight);
                sum += weight;
            }
        }
        while weights.last() == Some(&0.0) {
            weights.pop();
        }
        if sum != 0.0 {
            weights.iter_mut().for_each(|weight| *weight /= sum);
        }
        Weights { first, weights }
    }
}
