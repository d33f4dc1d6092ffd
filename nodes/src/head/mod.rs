//! From feature maps to features, and from features to logits.

pub mod classifier;
mod dropout;
pub mod global_pool;
pub mod linear;
pub mod max_pool;
pub mod order;
pub mod projection;
pub mod series;
pub mod softmax;

use dv_graph::kind::{In, Parameter};
use dv_graph::layer::convolution;
use dv_graph::port::Type;
use dv_train::exec::batch::NodeEntry;
use dv_train::state::weights::Weights;
use tch::Tensor;

pub static NODES: &[NodeEntry] = &[
    NodeEntry::model::<projection::Projection>(),
    NodeEntry::model::<series::Series>(),
    NodeEntry::batch::<global_pool::GlobalPool>(),
    NodeEntry::batch::<max_pool::MaxPool>(),
    NodeEntry::model::<linear::Linear>(),
    NodeEntry::model::<classifier::Classifier>(),
    NodeEntry::model::<order::Order>(),
    NodeEntry::batch::<softmax::Softmax>(),
];

const MAP: In = In::new("map", &[Type::Float], "C T H W", "feature maps");

/// The mean over time and space: `[rows, C, T, H, W]` to `[rows, C]`.
fn pool(map: &Tensor) -> Tensor {
    map.mean_dim([2i64, 3, 4].as_slice(), false, None)
}

/// 1x1x1 convolutions with bias and ReLU between, in PyTorch's names: `0`, `2`, `4`.
fn stack_parameters(inputs: usize, widths: &[usize]) -> Vec<Parameter> {
    let before = std::iter::once(inputs).chain(widths.iter().copied());
    before
        .zip(widths)
        .enumerate()
        .flat_map(|(i, (inputs, out))| convolution(&(2 * i).to_string(), inputs, *out, &[1, 1, 1], true))
        .collect()
}

/// Their output for pooled features `[rows, C]`, in full precision.
fn stack(weights: &Weights, x: &Tensor, layers: usize) -> Tensor {
    let mut x = x.shallow_clone();
    for i in 0..layers {
        let of = |leaf: &str| weights.get(&format!("{}.{leaf}", 2 * i));
        // on a map of one cell the convolution is a matrix product
        x = x.linear(&of("weight").flatten(1, -1), Some(of("bias")));
        if i + 1 < layers {
            x = x.relu();
        }
    }
    Weights::full(&x)
}

/// Divides by the L2 norm along the last axis.
fn unit_norm(x: &Tensor) -> Tensor {
    x / x.norm_scalaropt_dim(2, [-1i64].as_slice(), true).clamp_min(1e-12)
}
