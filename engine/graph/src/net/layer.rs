//! What layers are, with PyTorch's default initialisation (`kaiming_uniform(a = sqrt(5))`: weights and biases uniform in
//! ±1/sqrt(fan-in)) where they state no other.

use super::join;
use crate::kind::{Init, Parameter, Role};

/// A 3-D convolution: `weight [out, inputs, kernel...]` and, where asked for, `bias [out]`.
#[derive(Clone, Copy, Debug)]
pub struct Conv3d {
    pub out: usize,
    pub kernel: [usize; 3],
    pub stride: [usize; 3],
    pub padding: [usize; 3],
    pub bias: bool,
    init: Option<Init>,
}

impl Conv3d {
    /// Of stride 1, padded by half its kernel, without bias.
    pub const fn new(out: usize, kernel: [usize; 3]) -> Conv3d {
        let padding = [kernel[0] / 2, kernel[1] / 2, kernel[2] / 2];
        Conv3d { out, kernel, stride: [1; 3], padding, bias: false, init: None }
    }
    pub const fn stride(self, stride: [usize; 3]) -> Conv3d {
        Conv3d { stride, ..self }
    }
    pub const fn with_bias(self) -> Conv3d {
        Conv3d { bias: true, ..self }
    }
    /// Padded by that much at both ends of each axis.
    pub const fn padding(self, padding: [usize; 3]) -> Conv3d {
        Conv3d { padding, ..self }
    }
    /// What the weights start from.
    pub const fn init(self, init: Init) -> Conv3d {
        Conv3d { init: Some(init), ..self }
    }
    pub(super) fn parameters(&self, name: &str, inputs: usize) -> Vec<Parameter> {
        weights(name, [&[self.out, inputs], &self.kernel[..]].concat(), self.bias, [self.init, None])
    }
}

/// A linear layer with bias: `weight [out, inputs]`, `bias [out]`.
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    pub out: usize,
    /// Axes of length 1 behind the weight's: it is that of a convolution over maps of one cell.
    ones: usize,
    init: [Option<Init>; 2],
}

impl Linear {
    pub const fn new(out: usize) -> Linear {
        Linear { out, ones: 0, init: [None; 2] }
    }
    /// Of which the weight lies as that of a 1x1x1 convolution, `[out, inputs, 1, 1, 1]`.
    pub const fn pointwise(out: usize) -> Linear {
        Linear { ones: 3, ..Linear::new(out) }
    }
    /// What weight and bias start from.
    pub const fn init(self, weight: Init, bias: Init) -> Linear {
        Linear { init: [Some(weight), Some(bias)], ..self }
    }
    pub(super) fn parameters(&self, name: &str, inputs: usize) -> Vec<Parameter> {
        weights(name, [&[self.out, inputs], &[1; 3][..self.ones]].concat(), true, self.init)
    }
}

/// Max pooling.
#[derive(Clone, Copy, Debug)]
pub struct MaxPool3d {
    pub window: [usize; 3],
    pub stride: [usize; 3],
    pub padding: [usize; 3],
}

impl MaxPool3d {
    /// Windows side by side, without padding: rounds down.
    pub const fn new(window: [usize; 3]) -> MaxPool3d {
        MaxPool3d { window, stride: window, padding: [0; 3] }
    }
    /// Windows of another stride, padded by half of them: rounds up.
    pub const fn padded(window: [usize; 3], stride: [usize; 3]) -> MaxPool3d {
        MaxPool3d { window, stride, padding: [window[0] / 2, window[1] / 2, window[2] / 2] }
    }
}

/// A batch norm.
#[derive(Clone, Copy, Debug)]
pub struct BatchNorm {
    /// Added to the variance.
    pub epsilon: f64,
    /// How far the running statistics move towards those of a batch.
    pub momentum: f64,
}

impl BatchNorm {
    /// PyTorch's.
    pub const USUAL: BatchNorm = BatchNorm { epsilon: 1e-5, momentum: 0.1 };
}

fn weights(name: &str, shape: Vec<usize>, bias: bool, [weight_init, bias_init]: [Option<Init>; 2]) -> Vec<Parameter> {
    let fan_in = shape[1..].iter().fold(1.0, |n, k| n * *k as f64);
    let usual = Init::Uniform(1.0 / fan_in.sqrt());
    let out = shape[0];
    let parameter = |leaf, shape, role, init: Option<Init>| Parameter { name: join(name, leaf), shape, role, init: init.unwrap_or(usual) };
    let mut list = vec![parameter("weight", shape, Role::Weight, weight_init)];
    if bias {
        list.push(parameter("bias", vec![out], Role::Bias, bias_init));
    }
    list
}

/// A batch norm over `channels`: weight 1, bias 0, running mean 0, running variance 1.
pub(super) fn batch_norm(name: &str, channels: usize) -> Vec<Parameter> {
    let of = |leaf: &str, shape, role, value| Parameter { name: join(name, leaf), shape, role, init: Init::Constant(value) };
    vec![
        of("weight", vec![channels], Role::Norm, 1.0),
        of("bias", vec![channels], Role::Norm, 0.0),
        of("running_mean", vec![channels], Role::Buffer, 0.0),
        of("running_var", vec![channels], Role::Buffer, 1.0),
        of("num_batches_tracked", vec![], Role::Counter, 0.0),
    ]
}
