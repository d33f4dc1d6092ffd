//! Computes networks: the reader `Forward` of [`Net`], over a model's weights. `Value` is a tensor `[rows, ...]`.

use crate::exec::batch::Batch;
use crate::state::weights::Weights;
use anyhow::{Error, Result};
use dv_graph::net::{join, BatchNorm, Conv3d, Linear, MaxPool3d, Net, Shape, Sketch};
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use tch::Tensor;

/// A reader that takes layers of a kind's own: what [`Net`] has none for.
pub trait Custom: Net {
    /// Both sides of a layer: what it is (shape, parameters, cost), and how it computes.
    fn custom(
        &mut self,
        x: &[&Self::Value],
        sketch: impl FnOnce(&mut Sketch, &[&Shape]) -> Shape,
        forward: impl FnOnce(&mut Forward, &[&Tensor]) -> Result<Tensor>,
    ) -> Self::Value;
}

impl Custom for Sketch {
    fn custom(
        &mut self,
        x: &[&Shape],
        sketch: impl FnOnce(&mut Sketch, &[&Shape]) -> Shape,
        _: impl FnOnce(&mut Forward, &[&Tensor]) -> Result<Tensor>,
    ) -> Shape {
        sketch(self, x)
    }
}

/// One application of a model.
pub struct Forward<'a> {
    pub weights: &'a Weights<'a>,
    scope: String,
    /// How long the name of each scope around is.
    scopes: Vec<usize>,
}

impl Forward<'_> {
    /// What a network computes.
    pub fn of<T>(weights: &Weights, network: impl FnOnce(&mut Forward) -> T) -> Result<T> {
        let mut forward = Forward { weights, scope: String::new(), scopes: Vec::new() };
        // a network has no errors of its own: that of a custom layer unwinds to here
        catch_unwind(AssertUnwindSafe(|| network(&mut forward))).or_else(|payload| match payload.downcast::<Error>() {
            Ok(error) => Err(*error),
            Err(other) => resume_unwind(other),
        })
    }
    /// A parameter of the current scope.
    pub fn weight(&self, name: &str) -> &Tensor {
        self.weights.get(&join(&self.scope, name))
    }
    fn of_layer(&self, layer: &str, leaf: &str) -> &Tensor {
        self.weight(&join(layer, leaf))
    }
}

impl Custom for Forward<'_> {
    fn custom(
        &mut self,
        x: &[&Tensor],
        _: impl FnOnce(&mut Sketch, &[&Shape]) -> Shape,
        forward: impl FnOnce(&mut Forward, &[&Tensor]) -> Result<Tensor>,
    ) -> Tensor {
        forward(self, x).unwrap_or_else(|error| resume_unwind(Box::new(error)))
    }
}

fn sizes<const N: usize>(lengths: [usize; N]) -> [i64; N] {
    lengths.map(|n| n as i64)
}

impl Net for Forward<'_> {
    type Value = Tensor;
    type Plane = Batch;

    fn shape(&self, x: &Tensor) -> Vec<usize> {
        x.size().iter().skip(1).map(|n| *n as usize).collect()
    }
    fn enter(&mut self, scope: &str) {
        self.scopes.push(self.scope.len());
        self.scope = join(&self.scope, scope);
    }
    fn leave(&mut self) {
        self.scope.truncate(self.scopes.pop().expect("a scope that was entered"));
    }
    fn order(&mut self, _: &[&str]) {}
    fn at_least(&mut self, _: &Tensor, _: [usize; 3]) {}
    /// Free where they are already.
    fn channels_last(&mut self, clips: &Tensor) -> Tensor {
        clips.permute([0, 2, 3, 4, 1]).contiguous().permute([0, 4, 1, 2, 3])
    }
    fn share(&mut self, x: &Tensor) -> Tensor {
        x.shallow_clone()
    }
    fn conv3d(&mut self, name: &str, x: &Tensor, layer: &Conv3d) -> Tensor {
        let bias = layer.bias.then(|| self.of_layer(name, "bias"));
        x.conv3d(self.of_layer(name, "weight"), bias, sizes(layer.stride), sizes(layer.padding), [1, 1, 1], 1)
    }
    fn linear(&mut self, name: &str, x: &Tensor, _: &Linear) -> Tensor {
        let (weight, bias) = (self.of_layer(name, "weight"), self.of_layer(name, "bias"));
        // that of a convolution over a map of one cell is a matrix with axes of length 1 behind
        if weight.dim() > 2 {
            return x.linear(&weight.flatten(1, -1), Some(bias));
        }
        x.linear(weight, Some(bias))
    }
    /// In training the statistics are the batch's, and the running ones move towards them (variance unbiased).
    fn batch_norm_with(&mut self, name: &str, x: &Tensor, layer: &BatchNorm) -> Tensor {
        let of = |leaf: &str| self.of_layer(name, leaf);
        let training = self.weights.training();
        if training {
            tch::no_grad(|| {
                let _ = of("num_batches_tracked").shallow_clone().g_add_scalar_(1);
            });
        }
        let norm = |x: &Tensor, running: bool| {
            let of = |leaf: &str| Some(of(leaf));
            let (mean, variance) = if running { (of("running_mean"), of("running_var")) } else { (None, None) };
            x.batch_norm(of("weight"), of("bias"), mean, variance, training, layer.momentum, layer.epsilon, true)
        };
        let parts = self.weights.parts();
        if !training || parts.len() < 2 {
            return norm(x, true);
        }
        let parts = x.split_with_sizes(parts, 0);
        let parts: Vec<Tensor> = parts.iter().enumerate().map(|(rank, part)| norm(part, rank == 0)).collect();
        Tensor::cat(&parts, 0)
    }
    fn relu(&mut self, mut x: Tensor) -> Tensor {
        x.relu_()
    }
    fn sigmoid(&mut self, x: &Tensor) -> Tensor {
        x.sigmoid()
    }
    fn max_pool3d(&mut self, x: &Tensor, layer: &MaxPool3d) -> Tensor {
        x.max_pool3d(sizes(layer.window), sizes(layer.stride), sizes(layer.padding), [1; 3], false)
    }
    fn mean(&mut self, x: &Tensor, axes: &[usize]) -> Tensor {
        let axes: Vec<i64> = axes.iter().map(|a| *a as i64 + 1).collect();
        x.mean_dim(&axes[..], false, None)
    }
    fn add(&mut self, mut x: Tensor, other: &Tensor) -> Tensor {
        x.g_add_(other)
    }
    fn gate(&mut self, x: &Tensor, gate: &Tensor) -> Tensor {
        let ones = vec![1; x.dim() - 2];
        x * gate.reshape([&[gate.size()[0], -1], &ones[..]].concat())
    }
    fn concatenate(&mut self, parts: &[Tensor], axis: usize) -> Tensor {
        Tensor::cat(parts, axis as i64 + 1)
    }
    fn reshape(&mut self, x: &Tensor, shape: &[usize]) -> Tensor {
        let size: Vec<i64> = x.size().into_iter().take(1).chain(shape.iter().map(|n| *n as i64)).collect();
        x.reshape(size)
    }
    fn unit_norm(&mut self, x: &Tensor) -> Tensor {
        x / x.norm_scalaropt_dim(2, [-1i64].as_slice(), true).clamp_min(1e-12)
    }
    fn full(&mut self, x: &Tensor) -> Tensor {
        Weights::full(x)
    }
}
