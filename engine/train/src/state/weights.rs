//! A model's parameters at one application.

use std::collections::HashMap;
use tch::{Kind, Tensor};

/// Parameters and buffers of one model by PyTorch's names.
pub struct Weights<'a> {
    model: &'a str,
    tensors: &'a HashMap<String, Tensor>,
    /// Batch statistics and dropout (training), or running statistics.
    training: bool,
    /// Rows of each part of the world, where batch norm sees them one by one.
    parts: Vec<i64>,
}

impl<'a> Weights<'a> {
    pub fn new(model: &'a str, tensors: &'a HashMap<String, Tensor>, training: bool) -> Weights<'a> {
        Weights { model, tensors, training, parts: Vec::new() }
    }
    /// Batch norm for each part of the rows alone (`batch_norm = "per_rank"`); the running statistics are the first part's.
    pub fn per_part(self, parts: Vec<i64>) -> Weights<'a> {
        Weights { parts, ..self }
    }
    pub fn training(&self) -> bool {
        self.training
    }
    /// Rows of each part that batch norm sees alone; none where it sees all at once.
    pub(crate) fn parts(&self) -> &[i64] {
        &self.parts
    }
    /// A parameter that the model declared.
    pub fn get(&self, name: &str) -> &Tensor {
        self.tensors.get(name).unwrap_or_else(|| panic!("model `{}` declared no parameter `{name}`", self.model))
    }
    /// Float32 whatever autocast made of it: losses and statistics are computed in full precision.
    pub fn full(x: &Tensor) -> Tensor {
        x.to_kind(Kind::Float)
    }
}
