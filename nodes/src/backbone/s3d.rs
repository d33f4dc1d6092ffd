use super::{pool, windows, Conv};
use crate::pixels::{channels_last, clip_size};
use anyhow::Result;
use dv_graph::kind::{In, Init, Inputs, Kind, ModelDeclaration, Out, Parameter, PortFault};
use dv_graph::layer::{batch_norm, linear};
use dv_graph::port::{Port, Type};
use dv_train::exec::batch::{BatchIo, ModelKind};
use dv_train::state::weights::Weights;
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;

/// S3D and S3D-G (Xie et al. 2018), as CoCLR and DualVar have them: an Inception network whose 3-D convolutions are split in one over
/// space and one over time, batch norm and ReLU after each, no bias; convolutions start from N(0, 0.01). Time is halved three times and
/// height and width five times, rounding up but at the last pooling; 1024 channels.
///
/// The reference's state dict lists every layer twice (`block1.0.` is `Conv_1a.`): dv has the first names.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct S3d {
    /// Whether each branch's channels are weighted by a sigmoid of a linear layer over their means: S3D-G.
    gating: bool,
}

/// An Inception block's name, its inputs, and the channels of its branches: the first; reduced and full of the second and of the third;
/// the pooled one.
type Mixed = (&'static str, usize, [usize; 6]);

/// Blocks between poolings, and the pooling before each group.
const GROUPS: [(windows::Window, &[Mixed]); 3] = [
    (windows::SPACE, &[("Mixed_3b", 192, [64, 96, 128, 16, 32, 32]), ("Mixed_3c", 256, [128, 128, 192, 32, 96, 64])]),
    (
        windows::HALF,
        &[
            ("Mixed_4b", 480, [192, 96, 208, 16, 48, 64]),
            ("Mixed_4c", 512, [160, 112, 224, 24, 64, 64]),
            ("Mixed_4d", 512, [128, 128, 256, 24, 64, 64]),
            ("Mixed_4e", 512, [112, 144, 288, 32, 64, 64]),
            ("Mixed_4f", 528, [256, 160, 320, 32, 128, 128]),
        ],
    ),
    (windows::PAIRS, &[("Mixed_5b", 832, [256, 160, 320, 32, 128, 128]), ("Mixed_5c", 832, [384, 192, 384, 48, 128, 128])]),
];

const INIT: Init = Init::Normal(0.01);

/// A 1x1x1 convolution with batch norm.
fn single_parameters(name: &str, inputs: usize, out: usize) -> Vec<Parameter> {
    let mut list = Conv { inputs, out, kernel: [1; 3], stride: [1; 3] }.parameters(&format!("{name}.conv"), INIT);
    list.extend(batch_norm(&format!("{name}.bn"), out));
    list
}

fn single(weights: &Weights, x: &Tensor, name: &str) -> Tensor {
    weights.batch_norm(&weights.conv3d(x, &format!("{name}.conv"), [1; 3], [0; 3]), &format!("{name}.bn")).relu_()
}

/// A convolution over space, then one over time, each with batch norm.
fn split_parameters(name: &str, inputs: usize, out: usize, side: usize) -> Vec<Parameter> {
    let conv = |inputs, kernel| Conv { inputs, out, kernel, stride: [1; 3] };
    let mut list = conv(inputs, [1, side, side]).parameters(&format!("{name}.conv1"), INIT);
    list.extend(conv(out, [side, 1, 1]).parameters(&format!("{name}.conv2"), INIT));
    list.extend(batch_norm(&format!("{name}.bn1"), out));
    list.extend(batch_norm(&format!("{name}.bn2"), out));
    list
}

fn split(weights: &Weights, x: &Tensor, name: &str, side: i64, stride: i64) -> Tensor {
    let pad = side / 2;
    let x = weights.conv3d(x, &format!("{name}.conv1"), [1, stride, stride], [0, pad, pad]);
    let x = weights.batch_norm(&x, &format!("{name}.bn1")).relu_();
    let x = weights.conv3d(&x, &format!("{name}.conv2"), [stride, 1, 1], [pad, 0, 0]);
    weights.batch_norm(&x, &format!("{name}.bn2")).relu_()
}

impl S3d {
    fn mixed_parameters(&self, (name, inputs, out): &Mixed) -> Vec<Parameter> {
        let [first, reduced_1, full_1, reduced_2, full_2, pooled] = *out;
        let mut list = single_parameters(&format!("{name}.branch0.0"), *inputs, first);
        for (branch, reduced, full) in [(1, reduced_1, full_1), (2, reduced_2, full_2)] {
            list.extend(single_parameters(&format!("{name}.branch{branch}.0"), *inputs, reduced));
            list.extend(split_parameters(&format!("{name}.branch{branch}.1"), reduced, full, 3));
        }
        list.extend(single_parameters(&format!("{name}.branch3.1"), *inputs, pooled));
        if self.gating {
            for (branch, channels) in [first, full_1, full_2, pooled].into_iter().enumerate() {
                list.extend(linear(&format!("{name}.gating_b{branch}.fc"), channels, channels));
            }
        }
        list
    }
    fn mixed(&self, weights: &Weights, x: &Tensor, name: &str) -> Tensor {
        let branch = |i: usize| {
            let reduced = |x: &Tensor| single(weights, x, &format!("{name}.branch{i}.0"));
            let y = match i {
                0 => reduced(x),
                3 => single(weights, &pool(x, windows::SAME), &format!("{name}.branch3.1")),
                _ => split(weights, &reduced(x), &format!("{name}.branch{i}.1"), 3, 1),
            };
            if !self.gating {
                return y;
            }
            let mean = y.mean_dim([2i64, 3, 4].as_slice(), false, None);
            let gate = weights.linear(&mean, &format!("{name}.gating_b{i}.fc")).sigmoid();
            y * gate.reshape([gate.size()[0], -1, 1, 1, 1])
        };
        Tensor::cat(&[0, 1, 2, 3].map(branch), 1)
    }
}

impl Kind for S3d {
    const NAME: &'static str = "backbone/s3d";
    const INPUTS: &'static [In] =
        &[In::new("clips", &[Type::Float], "3 T H W", "normalised clips of at least 7 frames and 17 x 17 pixels")];
    const OUTPUTS: &'static [Out] = &[Out::new("map", "1024 T' H' W'", "the last block's map, after its branches' ReLU")];

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        let [time, height, width] = clip_size(inputs, "clips")?;
        // oneDNN's gradient of the stem's 7x1x1 convolution writes beyond its memory at 5 frames: none below the kernel's length
        if time < 7 || height < 17 || width < 17 {
            let found = format!("{time} frames of {height}x{width} are too few: at least 7 of 17x17 are needed");
            return Err(PortFault::input("clips", found));
        }
        let shape = [1024, time.div_ceil(4) / 2, height.div_ceil(16) / 2, width.div_ceil(16) / 2];
        Ok(vec![Port::float(shape.map(Into::into))])
    }
}

impl ModelDeclaration for S3d {
    fn parameters(&self, _: &Inputs) -> Vec<Parameter> {
        let mut list = split_parameters("Conv_1a", 3, 64, 7);
        list.extend(single_parameters("Conv_2b", 64, 64));
        list.extend(split_parameters("Conv_2c", 64, 192, 3));
        let blocks = GROUPS.iter().flat_map(|(_, blocks)| blocks.iter());
        list.extend(blocks.flat_map(|block| self.mixed_parameters(block)));
        list
    }
}

impl ModelKind for S3d {
    fn forward(&self, weights: &Weights, io: &mut BatchIo) -> Result<()> {
        let x = channels_last(&io.tensor("clips")?);
        let x = pool(&split(weights, &x, "Conv_1a", 7, 2), windows::SPACE);
        let mut x = split(weights, &single(weights, &x, "Conv_2b"), "Conv_2c", 3, 1);
        for (window, blocks) in GROUPS {
            x = pool(&x, window);
            for (name, _, _) in blocks {
                x = self.mixed(weights, &x, name);
            }
        }
        io.put("map", x);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::tests;
    use crate::testing;

    #[test]
    fn evaluation_equals_the_reference() {
        tests::equals_the_reference::<S3d>("gating = false", "a_backbone_dualvar_s3d_eval");
    }

    #[test]
    fn every_parameter_learns_and_too_few_pixels_are_told() {
        let kind: S3d = testing::kind("gating = true");
        tests::trains(&kind, [8, 64, 68]);
        let ports = |size: [usize; 3]| kind.ports(&tests::clips(size));
        assert!(ports([6, 32, 32]).is_err() && ports([7, 16, 32]).is_err() && ports([7, 17, 17]).is_ok());
    }

    #[test]
    fn gates_of_a_large_bias_leave_s3d() {
        let (open, plain): (S3d, S3d) = (testing::kind("gating = true"), testing::kind("gating = false"));
        let mut weights = testing::initial(&open, vec![]);
        for (name, t) in weights.iter_mut().filter(|(n, _)| n.contains(".gating_")) {
            *t = if name.ends_with("bias") { t.full_like(40.0) } else { t.zeros_like() };
        }
        let clips = Tensor::rand([1, 3, 7, 32, 32], tch::kind::FLOAT_CPU);
        let map = |kind: &S3d| testing::forward(kind, &weights, false, vec![("clips", clips.shallow_clone())]).take("map");
        assert_eq!(map(&open), map(&plain));
    }
}
