//! Pillow's box filters, of which three make a blur.

use crate::prelude::*;

/// A box filter in Pillow's fixed point: `2 * radius + 1` pixels of weight `inner`, one more at each end of weight `edge`,
/// in units of 2^-24.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoxFilter {
    pub radius: i64,
    inner: i32,
    edge: i32,
}

const ONE: i32 = 1 << 24;

impl BoxFilter {
    /// The box of which three passes come close to a Gaussian (Gwosdek et al., 2011), in the precision of Pillow's C.
    pub fn of(sigma: f32) -> BoxFilter {
        let square = sigma * sigma / 3.0;
        let length = (12.0 * f64::from(square) + 1.0).sqrt() as f32;
        let whole = ((f64::from(length) - 1.0) / 2.0).floor() as f32;
        let fraction = (2.0 * whole + 1.0) * (whole * (whole + 1.0) - 3.0 * square) / (6.0 * (square - (whole + 1.0) * (whole + 1.0)));
        let radius = whole + fraction;
        let inner = (ONE as f32 / (radius * 2.0 + 1.0)) as i32;
        let radius = radius.floor() as i64;
        BoxFilter { radius, inner, edge: (ONE - (2 * radius as i32 + 1) * inner) / 2 }
    }
    /// What rounds, for pixels less 128: weights may sum to one unit below 1.
    fn rounding(&self) -> i32 {
        let sum = (2 * self.radius as i32 + 1) * self.inner + 2 * self.edge;
        (1 << 23) - 128 * (ONE - sum)
    }
}

/// Three passes along the width, then three along the height, of `[rows, 3, T, H, W]` 32-bit integers; the rows' boxes have one radius.
pub fn blurred(bytes: &Tensor, boxes: &[BoxFilter]) -> Tensor {
    let column = |f: fn(&BoxFilter) -> i32| {
        let numbers: Vec<i32> = boxes.iter().map(f).collect();
        Tensor::from_slice(&numbers).reshape([-1, 1, 1, 1, 1]).to_device(bytes.device())
    };
    let (inner, edge, rounding) = (column(|b| b.inner), column(|b| b.edge), column(BoxFilter::rounding));
    // pixels less 128: products with weights up to 2^24 then stay within 32 bits
    let mut x = bytes - 128;
    for axis in [4, 4, 4, 3, 3, 3] {
        let (sum, ends) = sums(&x, axis, boxes[0].radius);
        x = (sum * &inner + ends * &edge + &rounding).bitwise_right_shift_tensor_scalar(24);
    }
    x + 128
}

/// Boxes up to this radius are summed pixel by pixel.
const NARROW: i64 = 4;

/// Of each pixel: the sum over the `2 * radius + 1` pixels around it, and that of the two beyond.
fn sums(x: &Tensor, axis: i64, radius: i64) -> (Tensor, Tensor) {
    let (length, reach) = (x.size()[axis as usize], radius + 1);
    let positions: Vec<i64> = (-reach..length + reach).map(|i| i.clamp(0, length - 1)).collect();
    let wide = x.index_select(axis, &Tensor::from_slice(&positions).to_device(x.device()));
    let at = |offset: i64| wide.narrow(axis, reach + offset, length);
    let sum = if radius <= NARROW {
        (1..=radius).fold(at(0), |sum, distance| sum + at(-distance) + at(distance))
    } else {
        // differences of sums from the start: as many operations whatever the radius
        let from_start = wide.cumsum(axis, Dtype::Int);
        from_start.narrow(axis, 2 * radius + 1, length) - from_start.narrow(axis, 0, length)
    };
    (sum, at(-reach) + at(reach))
}
