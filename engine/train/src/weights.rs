//! A model's parameters at one application, and the layers over them.

use std::collections::HashMap;
use tch::{Kind, Tensor};

/// Parameters and buffers of one model by PyTorch's names.
pub struct Weights<'a> {
    model: &'a str,
    tensors: &'a HashMap<String, Tensor>,
    /// Batch statistics and dropout (training), or running statistics.
    training: bool,
}

/// PyTorch's defaults.
const MOMENTUM: f64 = 0.1;
const EPSILON: f64 = 1e-5;

impl<'a> Weights<'a> {
    pub fn new(model: &'a str, tensors: &'a HashMap<String, Tensor>, training: bool) -> Weights<'a> {
        Weights { model, tensors, training }
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
        x.batch_norm(
            Some(of("weight")),
            Some(of("bias")),
            Some(of("running_mean")),
            Some(of("running_var")),
            self.training,
            MOMENTUM,
            EPSILON,
            true,
        )
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
