//! Declarations of the layers that models are made of, with PyTorch's default initialisation
//! (`kaiming_uniform(a = sqrt(5))`: weights and biases uniform in ±1/sqrt(fan-in)).

use crate::kind::{Init, Parameter, Role};

fn parameter(name: String, shape: Vec<usize>, role: Role, init: Init) -> Parameter {
    Parameter { name, shape, role, init }
}

/// A convolution: `weight [out, inputs, kernel...]` and, where asked for, `bias [out]`.
pub fn convolution(name: &str, inputs: usize, out: usize, kernel: &[usize], bias: bool) -> Vec<Parameter> {
    let fan_in = kernel.iter().fold(inputs as f64, |n, k| n * *k as f64);
    let bound = 1.0 / fan_in.sqrt();
    let shape = [&[out, inputs], kernel].concat();
    let mut list = vec![parameter(format!("{name}.weight"), shape, Role::Weight, Init::Uniform(bound))];
    if bias {
        list.push(parameter(format!("{name}.bias"), vec![out], Role::Bias, Init::Uniform(bound)));
    }
    list
}

/// A linear layer: `weight [out, inputs]`, `bias [out]`.
pub fn linear(name: &str, inputs: usize, out: usize) -> Vec<Parameter> {
    convolution(name, inputs, out, &[], true)
}

/// A batch norm over `channels`: weight 1, bias 0, running mean 0, running variance 1.
pub fn batch_norm(name: &str, channels: usize) -> Vec<Parameter> {
    let of = |leaf: &str, role, value| parameter(format!("{name}.{leaf}"), vec![channels], role, Init::Constant(value));
    vec![
        of("weight", Role::Norm, 1.0),
        of("bias", Role::Norm, 0.0),
        of("running_mean", Role::Buffer, 0.0),
        of("running_var", Role::Buffer, 1.0),
        parameter(format!("{name}.num_batches_tracked"), vec![], Role::Counter, Init::Constant(0.0)),
    ]
}
