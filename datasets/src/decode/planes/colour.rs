//! Matrices and ranges, in the fixed point of swscale's tables for RGB24.

/// One way to make a colour of luma and chroma, which are bytes:
///
/// ```text
/// colour = clamp((luma + offset(chroma)) * scale + bias >> 16), offset(c) = (c * step >> 16) - (step >> 9)
/// ```
///
/// with `step` 2^16 times what a level of chroma is worth in levels of luma. Red has the offset of V, blue that of U, green both.
/// Nothing of it leaves the range of its type; it wraps for speed alone, as checks would keep it from being done for many columns at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    /// Whether it is for bytes of full range.
    pub full: bool,
    v_red: Step,
    u_green: Step,
    v_green: Step,
    u_blue: Step,
    /// `scale` is 2^16 and this.
    scale: i16,
    /// `bias`, the upper bits and the lower 16.
    bias: (i16, u16),
}

/// `whole * 2^16 + part`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    whole: i16,
    part: i16,
    /// The offset of no colour.
    middle: i16,
}

/// What V adds to red, U to blue, and what U and V take from green, in limited range: unspecified and BT.601, BT.709, BT.2020,
/// FCC, SMPTE 240M; as the standards have them, times 2^16 times 255/224.
const MATRICES: [[i64; 4]; 5] = [
    [104_597, 132_201, 25_675, 53_279],
    [117_489, 138_438, 13_975, 34_925],
    [110_013, 140_363, 12_277, 42_626],
    [104_448, 132_798, 24_759, 53_109],
    [117_579, 136_230, 16_907, 35_559],
];

impl Step {
    fn new(step: i64) -> Step {
        let part = step as i16;
        // Under 2^18 either way, so all fit.
        Step { whole: ((step - part as i64) >> 16) as i16, part, middle: (step >> 9) as i16 }
    }

    #[inline(always)]
    fn offset(self, chroma: u8) -> i16 {
        let chroma = chroma as i16;
        let part = (chroma as i32).wrapping_mul(self.part as i32) >> 16;
        chroma.wrapping_mul(self.whole).wrapping_add(part as i16).wrapping_sub(self.middle)
    }
}

impl Colour {
    /// All that there are, the most frequent first.
    pub fn all() -> impl Iterator<Item = Colour> {
        [false, true].into_iter().flat_map(|full| MATRICES.into_iter().map(move |matrix| Colour::new(matrix, full)))
    }

    fn new(matrix: [i64; 4], full: bool) -> Colour {
        // The index of luma 0 in a table, whose value 0 begins at 384; and what is black.
        let (scale, black, luma) = if full { (1 << 16, 0, 384) } else { ((255 << 16) / 219, 16 << 16, 326) };
        let [v_red, u_blue, u_green, v_green] = matrix.map(|level| if full { level * 224 / 255 } else { level });
        let step = |level: i64| Step::new(((level << 16) + 0x8000) / scale);
        let bias = luma * scale - (384 << 16) - black + 0x8000;
        Colour {
            full,
            v_red: step(v_red),
            u_green: step(-u_green),
            v_green: step(-v_green),
            u_blue: step(u_blue),
            scale: (scale - (1 << 16)) as i16,
            bias: ((bias >> 16) as i16, bias as u16),
        }
    }

    /// What a row of chroma adds to two columns of luma each, for R, G and B.
    #[inline(always)]
    pub fn offsets(&self, u: &[u8], v: &[u8], [red, green, blue]: [&mut [i16]; 3]) {
        let out = red.chunks_exact_mut(2).zip(green.chunks_exact_mut(2)).zip(blue.chunks_exact_mut(2));
        for (((red, green), blue), (u, v)) in out.zip(u.iter().zip(v)) {
            red.copy_from_slice(&[self.v_red.offset(*v); 2]);
            green.copy_from_slice(&[self.u_green.offset(*u).wrapping_add(self.v_green.offset(*v)); 2]);
            blue.copy_from_slice(&[self.u_blue.offset(*u); 2]);
        }
    }

    /// One colour of a row.
    #[inline(always)]
    pub fn add(&self, luma: &[u8], offsets: &[i16], out: &mut [u8]) {
        let (upper, lower) = self.bias;
        for ((out, luma), offset) in out.iter_mut().zip(luma).zip(offsets) {
            let level = (*luma as i16).wrapping_add(*offset);
            // The upper half of a product and the carry of the lower one: sums of 32 bits would take twice the time.
            let above = ((level as i32).wrapping_mul(self.scale as i32) >> 16) as i16;
            let carry = i16::from(level.wrapping_mul(self.scale) as u16 > u16::MAX - lower);
            *out = level.wrapping_add(upper).wrapping_add(above).wrapping_add(carry).clamp(0, 255) as u8;
        }
    }
}
