//! The nodes of a published method put together by hand: one step against the published code.

mod iic;
mod moco;
mod simclr;

use dv_nodes::testing::below;
use std::collections::HashMap;
use tch::Tensor;

/// Layers of a head, which the reference keeps at paths of their own.
fn head(path: &str, first: usize, all: &HashMap<String, Tensor>) -> HashMap<String, Tensor> {
    let layer = |i: usize| below(&format!("{path}.{}", first + i), all).into_iter().map(move |(name, t)| (format!("{i}.{name}"), t));
    layer(0).chain(layer(2)).collect()
}

/// The permutations that the case drew, `[B, segments]`.
fn permutations(case: &dv_tests::parity::Case) -> Tensor {
    let rows: Vec<Vec<i64>> = serde_json::from_value(case.json["params"]["permutations"].clone()).unwrap();
    Tensor::from_slice2(&rows)
}
