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
    model r3d_18::R3d18,
    model i3d::I3d,
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

/// A convolution without bias, of which the weights start from N(0, 2 / (outputs * kernel)) (He et al. 2015, over the fan out).
fn he(out: usize, kernel: [usize; 3], stride: [usize; 3]) -> Conv3d {
    let fan_out = kernel.iter().fold(out as f64, |n, k| n * *k as f64);
    Conv3d::new(out, kernel).stride(stride).init(Init::Normal((2.0 / fan_out).sqrt()))
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
