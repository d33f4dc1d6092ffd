//! The layout that R3D-10 and R(2+1)D-10 share: a 3x7x7 stem and four residual blocks of two 3x3x3 convolutions, each with
//! batch norm. What a convolution is, each says itself.

use super::Conv;
use crate::pixels::{channels_last, clip_size};
use dv_graph::kind::{In, Inputs, Out, Parameter, PortFault};
use dv_graph::layer::batch_norm;
use dv_graph::port::{Port, Type};
use dv_train::state::weights::Weights;
use tch::Tensor;

pub const INPUTS: &[In] = &[In::new("clips", &[Type::Float], "3 T H W", "normalised clips")];
pub const OUTPUTS: &[Out] = &[Out::new("map", "C T' H' W'", "the last block's map, after its ReLU; C = 8 * width")];

fn stem(width: usize) -> Conv {
    Conv { inputs: 3, out: width, kernel: [3, 7, 7], stride: [1, 2, 2] }
}

/// A residual block.
struct Block {
    name: String,
    conv1: Conv,
    conv2: Conv,
    /// Where the map is halved.
    downsample: Option<Conv>,
}

fn blocks(width: usize) -> impl Iterator<Item = Block> {
    [("conv2", 1, 1), ("conv3", 1, 2), ("conv4", 2, 4), ("conv5", 4, 8)].into_iter().map(move |(name, from, to)| {
        let (inputs, out) = (from * width, to * width);
        let stride = if from < to { [2; 3] } else { [1; 3] };
        Block {
            name: format!("{name}.block1"),
            conv1: Conv { inputs, out, kernel: [3; 3], stride },
            conv2: Conv { inputs: out, out, kernel: [3; 3], stride: [1; 3] },
            downsample: (from < to).then_some(Conv { inputs, out, kernel: [1; 3], stride }),
        }
    })
}

pub fn ports(width: usize, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
    let [time, height, width_of_frame] = clip_size(inputs, "clips")?;
    let shape = [width.saturating_mul(8), time.div_ceil(8), height.div_ceil(16), width_of_frame.div_ceil(16)];
    Ok(vec![Port::float(shape.map(Into::into))])
}

pub fn parameters(width: usize, conv: impl Fn(&Conv, &str) -> Vec<Parameter>) -> Vec<Parameter> {
    let mut list = conv(&stem(width), "conv1");
    list.extend(batch_norm("bn1", width));
    for Block { name, conv1, conv2, downsample } in blocks(width) {
        if let Some(downsample) = downsample {
            list.extend(conv(&downsample, &format!("{name}.downsampleconv")));
            list.extend(batch_norm(&format!("{name}.downsamplebn"), downsample.out));
        }
        list.extend(conv(&conv1, &format!("{name}.conv1")));
        list.extend(batch_norm(&format!("{name}.bn1"), conv1.out));
        list.extend(conv(&conv2, &format!("{name}.conv2")));
        list.extend(batch_norm(&format!("{name}.bn2"), conv2.out));
    }
    list
}

/// The map of clips `[rows, 3, T, H, W]`.
pub fn forward(width: usize, weights: &Weights, clips: &Tensor, conv: impl Fn(&Conv, &Tensor, &str) -> Tensor) -> Tensor {
    let normed = |c: &Conv, x: &Tensor, name: &str, bn: &str| weights.batch_norm(&conv(c, x, name), bn);
    let mut x = normed(&stem(width), &channels_last(clips), "conv1", "bn1").relu_();
    for Block { name, conv1, conv2, downsample } in blocks(width) {
        let y = normed(&conv1, &x, &format!("{name}.conv1"), &format!("{name}.bn1")).relu_();
        let mut y = normed(&conv2, &y, &format!("{name}.conv2"), &format!("{name}.bn2"));
        if let Some(downsample) = downsample {
            x = normed(&downsample, &x, &format!("{name}.downsampleconv"), &format!("{name}.downsamplebn"));
        }
        y += x;
        x = y.relu_();
    }
    x
}
