//! Changes of colour, of `[rows, 3, T, H, W]` floats in 0..1 by a factor for each row, as torchvision makes them.

use crate::prelude::*;

fn blend(x: &Tensor, other: &Tensor, factor: &Tensor) -> Tensor {
    (other + (x - other) * factor).clamp_(0.0, 1.0)
}

/// `[rows, 1, T, H, W]`
fn grey(x: &Tensor) -> Tensor {
    x.narrow(1, 0, 1) * 0.2989 + x.narrow(1, 1, 1) * 0.587 + x.narrow(1, 2, 1) * 0.114
}

pub fn brightness(x: &Tensor, factor: &Tensor) -> Tensor {
    (x * factor).clamp_(0.0, 1.0)
}

pub fn contrast(x: &Tensor, factor: &Tensor) -> Tensor {
    blend(x, &grey(x).mean_dim([3i64, 4].as_slice(), true, None), factor)
}

pub fn saturation(x: &Tensor, factor: &Tensor) -> Tensor {
    blend(x, &grey(x), factor)
}

/// Through HSV and back.
pub fn hue(x: &Tensor, factor: &Tensor) -> Tensor {
    let channel = |i| x.narrow(1, i, 1);
    let (r, g, b) = (channel(0), channel(1), channel(2));
    let value = x.amax([1i64].as_slice(), true);
    let spread = &value - x.amin([1i64].as_slice(), true);
    let grey = spread.eq(0.0);
    let saturation = &spread / value.masked_fill(&grey, 1.0);
    let divisor = spread.masked_fill(&grey, 1.0);
    // sixths of a turn, from the largest channel: the first of equal ones
    let of = |from: f64, plus: &Tensor, minus: &Tensor| (plus - minus) / &divisor + from;
    let (red, green) = (value.eq_tensor(&r), value.eq_tensor(&g));
    let sixths = of(0.0, &g, &b).where_self(&red, &of(2.0, &b, &r).where_self(&green, &of(4.0, &r, &g)));
    let sixths = sixths.masked_fill(&grey, 0.0) + factor * 6.0;
    // each channel falls from the value as the hue leaves it
    let chroma = &value * &saturation;
    let back = |n: f64| {
        let k = (&sixths + n).remainder(6.0);
        &value - &chroma * k.minimum(&(4.0 - &k)).clamp_(0.0, 1.0)
    };
    Tensor::cat(&[back(5.0), back(3.0), back(1.0)], 1).clamp_(0.0, 1.0)
}
