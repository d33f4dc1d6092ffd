//! A model's parameters at one application, and the layers over them.

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

/// PyTorch's defaults.
const MOMENTUM: f64 = 0.1;
const EPSILON: f64 = 1e-5;

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
    /// A parameter that the model declared.
    pub fn get(&self, name: &str) -> &Tensor {
        self.tensors.get(name).unwrap_or_else(|| panic!("model `{}` declared no parameter `{name}`", self.model))
    }
    fn optional(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }
    /// `x [N, C, T, H, W]`; the bias is used where it was declared.
    pub fn conv3d(&self, x: &Tensor, name: &str, stride: [i64; 3], padding: [i64; 3]) -> Tensor {
        let weight = self.get(&format!("{name}.weight"));
        x.conv3d(weight, self.optional(&format!("{name}.bias")), stride, padding, [1, 1, 1], 1)
    }
    /// `x [N, C, ...]`. In training the statistics are the batch's and the running ones move by 0.1 (variance unbiased).
    pub fn batch_norm(&self, x: &Tensor, name: &str) -> Tensor {
        let of = |leaf: &str| self.get(&format!("{name}.{leaf}"));
        if self.training {
            tch::no_grad(|| {
                let _ = of("num_batches_tracked").shallow_clone().g_add_scalar_(1);
            });
        }
        let norm = |x: &Tensor, running: bool| {
            let of = |leaf: &str| Some(of(leaf));
            let (mean, variance) = if running { (of("running_mean"), of("running_var")) } else { (None, None) };
            x.batch_norm(of("weight"), of("bias"), mean, variance, self.training, MOMENTUM, EPSILON, true)
        };
        if !self.training || self.parts.len() < 2 {
            return norm(x, true);
        }
        let parts = x.split_with_sizes(&self.parts[..], 0);
        let parts: Vec<Tensor> = parts.iter().enumerate().map(|(rank, part)| norm(part, rank == 0)).collect();
        Tensor::cat(&parts, 0)
    }
    /// `x [N, inputs]`
    pub fn linear(&self, x: &Tensor, name: &str) -> Tensor {
        x.linear(self.get(&format!("{name}.weight")), self.optional(&format!("{name}.bias")))
    }
    /// Float32 whatever autocast made of it: losses and statistics are computed in full precision.
    pub fn full(x: &Tensor) -> Tensor {
        x.to_kind(Kind::Float)
    }
}
