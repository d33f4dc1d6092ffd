//! Networks from clips to feature maps.

use crate::prelude::*;

mod ten;
#[cfg(test)]
mod tests;

family! {
    model r3d::R3d,
    model r21d::R21d,
    model c3d::C3d,
    model r2d3d::R2d3d,
    model s3d::S3d,
}

#[derive(Ports)]
pub struct Clips<P: Plane> {
    /// `3 T H W` normalised clips
    pub clips: P::Float,
}

#[derive(Ports)]
pub struct Map<P: Plane> {
    /// `C T' H' W'` the last layer's map
    pub map: P::Float,
}

/// A convolution and a batch norm.
fn normed<N: Net>(net: &mut N, [conv, norm]: [&str; 2], x: &N::Value, layer: &Conv3d) -> N::Value {
    let x = net.conv3d(conv, x, layer);
    net.batch_norm(norm, &x)
}

/// The same with a ReLU behind.
fn active<N: Net>(net: &mut N, names: [&str; 2], x: &N::Value, layer: &Conv3d) -> N::Value {
    let x = normed(net, names, x, layer);
    net.relu(x)
}

/// Max pooling that halves height and width, rounding up.
const SPACE: MaxPool3d = MaxPool3d::padded([1, 3, 3], [1, 2, 2]);
