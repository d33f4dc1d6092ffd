//! Networks from clips to feature maps.

pub mod c3d;
pub mod r21d;
pub mod r2d3d;
pub mod r3d;
pub mod s3d;
mod ten;
#[cfg(test)]
mod tests;

use dv_graph::kind::{Init, Parameter};
use dv_graph::layer::convolution;
use dv_train::exec::batch::NodeEntry;
use dv_train::state::weights::Weights;
use tch::Tensor;

pub static NODES: &[NodeEntry] = &[
    NodeEntry::model::<r3d::R3d>(),
    NodeEntry::model::<r21d::R21d>(),
    NodeEntry::model::<c3d::C3d>(),
    NodeEntry::model::<r2d3d::R2d3d>(),
    NodeEntry::model::<s3d::S3d>(),
];

/// A convolution without bias, padded by half its kernel.
struct Conv {
    inputs: usize,
    out: usize,
    kernel: [usize; 3],
    stride: [i64; 3],
}

impl Conv {
    fn parameters(&self, name: &str, init: Init) -> Vec<Parameter> {
        let list = convolution(name, self.inputs, self.out, &self.kernel, false);
        list.into_iter().map(|p| Parameter { init, ..p }).collect()
    }
    fn run(&self, weights: &Weights, x: &Tensor, name: &str) -> Tensor {
        weights.conv3d(x, name, self.stride, self.kernel.map(|n| n as i64 / 2))
    }
}

/// Max pooling.
mod windows {
    /// Window, stride and padding.
    pub type Window = [[i64; 3]; 3];
    /// Halves height and width, rounding up.
    pub const SPACE: Window = [[1, 3, 3], [1, 2, 2], [0, 1, 1]];
    /// Halves all three, rounding up.
    pub const HALF: Window = [[3; 3], [2; 3], [1; 3]];
    /// Halves all three, rounding down.
    pub const PAIRS: Window = [[2; 3], [2; 3], [0; 3]];
    /// Leaves the size.
    pub const SAME: Window = [[3; 3], [1; 3], [1; 3]];
}

fn pool(x: &Tensor, [window, stride, padding]: windows::Window) -> Tensor {
    x.max_pool3d(window, stride, padding, [1; 3], false)
}
