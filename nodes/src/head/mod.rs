//! From feature maps to features, and from features to logits.

use crate::prelude::*;

mod dropout;

family! {
    model projection::Projection,
    model series::Series,
    batch global_pool::GlobalPool,
    batch max_pool::MaxPool,
    model linear::Linear,
    model classifier::Classifier,
    model order::Order,
    batch softmax::Softmax,
}

/// 1x1x1 convolutions with bias and ReLU between, in PyTorch's names `0`, `2`, `4`, over the mean of a map: on one cell each is a linear
/// layer. In full precision.
fn stack<N: Net>(net: &mut N, map: &N::Value, widths: &[usize]) -> N::Value {
    let mut x = net.mean(map, &[1, 2, 3]);
    for (i, out) in widths.iter().enumerate() {
        x = net.linear(&(2 * i).to_string(), &x, &layer::Linear::pointwise(*out));
        if i + 1 < widths.len() {
            x = net.relu(x);
        }
    }
    net.full(&x)
}
