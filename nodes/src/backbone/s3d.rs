use super::{active, Clips, Map, SPACE};
use crate::prelude::*;

/// S3D and S3D-G (Xie et al. 2018), as CoCLR and DualVar have them: an Inception network whose 3-D convolutions are split in one over
/// space and one over time, batch norm and ReLU after each, no bias; convolutions start from N(0, 0.01). Time is halved three times and
/// height and width five times, rounding up but at the last pooling; 1024 channels.
///
/// The reference's state dict lists every layer twice (`block1.0.` is `Conv_1a.`): dv has the first names.
#[kind("backbone/s3d", inputs = Clips, outputs = Map, source = "S3D-G (Xie et al. 2018), section 4")]
pub struct S3d {
    /// Whether each branch's channels are weighted by a sigmoid of a linear layer over their means: S3D-G.
    gating: bool,
}

/// An Inception block's name, and the channels of its branches: the first; reduced and full of the second and of the third; the pooled one.
type Mixed = (&'static str, [usize; 6]);

/// Blocks between poolings, and the pooling before each group.
const GROUPS: [(MaxPool3d, &[Mixed]); 3] = [
    (SPACE, &[("Mixed_3b", [64, 96, 128, 16, 32, 32]), ("Mixed_3c", [128, 128, 192, 32, 96, 64])]),
    (
        MaxPool3d::padded([3; 3], [2; 3]),
        &[
            ("Mixed_4b", [192, 96, 208, 16, 48, 64]),
            ("Mixed_4c", [160, 112, 224, 24, 64, 64]),
            ("Mixed_4d", [128, 128, 256, 24, 64, 64]),
            ("Mixed_4e", [112, 144, 288, 32, 64, 64]),
            ("Mixed_4f", [256, 160, 320, 32, 128, 128]),
        ],
    ),
    (MaxPool3d::new([2; 3]), &[("Mixed_5b", [256, 160, 320, 32, 128, 128]), ("Mixed_5c", [384, 192, 384, 48, 128, 128])]),
];

fn conv(out: usize, kernel: [usize; 3], stride: [usize; 3]) -> Conv3d {
    Conv3d::new(out, kernel).stride(stride).init(Init::Normal(0.01))
}

/// A 1x1x1 convolution with batch norm.
fn single<N: Net>(net: &mut N, name: &str, x: &N::Value, out: usize) -> N::Value {
    net.within(name, |net| active(net, ["conv", "bn"], x, &conv(out, [1; 3], [1; 3])))
}

/// A convolution over space, then one over time, each with batch norm.
fn split<N: Net>(net: &mut N, name: &str, x: &N::Value, out: usize, side: usize, stride: usize) -> N::Value {
    net.within(name, |net| {
        net.order(&["conv1", "conv2", "bn1", "bn2"]);
        let x = active(net, ["conv1", "bn1"], x, &conv(out, [1, side, side], [1, stride, stride]));
        active(net, ["conv2", "bn2"], &x, &conv(out, [side, 1, 1], [stride, 1, 1]))
    })
}

/// Weights each channel by a sigmoid of a linear layer over the channels' means.
fn gated<N: Net>(net: &mut N, name: &str, x: &N::Value) -> N::Value {
    let mean = net.mean(x, &[1, 2, 3]);
    let channels = net.shape(x)[0];
    let gate = net.within(name, |net| net.linear("fc", &mean, &Linear::new(channels)));
    let gate = net.sigmoid(&gate);
    net.gate(x, &gate)
}

impl Kind for S3d {}

impl ModelKind for S3d {
    fn network<N: Custom>(&self, net: &mut N, inputs: Clips<N::Plane>, _: Nothing<N::Plane>) -> Map<N::Plane> {
        let clips = net.channels_last(&inputs.clips);
        // oneDNN's gradient of the stem's 7x1x1 convolution writes beyond its memory at 5 frames: none below the kernel's length
        net.at_least(&clips, [7, 17, 17]);
        let x = split(net, "Conv_1a", &clips, 64, 7, 2);
        let x = net.max_pool3d(&x, &SPACE);
        let x = single(net, "Conv_2b", &x, 64);
        let mut x = split(net, "Conv_2c", &x, 192, 3, 1);
        for (pool, blocks) in GROUPS {
            x = net.max_pool3d(&x, &pool);
            for (name, channels) in blocks {
                x = net.within(name, |net| self.mixed(net, &x, *channels));
            }
        }
        Map { map: x }
    }
}

impl S3d {
    fn mixed<N: Net>(&self, net: &mut N, x: &N::Value, [first, reduced_1, full_1, reduced_2, full_2, pooled]: [usize; 6]) -> N::Value {
        net.order(&["branch0", "branch1", "branch2", "branch3", "gating_b0", "gating_b1", "gating_b2", "gating_b3"]);
        let branch = |net: &mut N, i: usize, y: N::Value| if self.gating { gated(net, &format!("gating_b{i}"), &y) } else { y };
        let y = single(net, "branch0.0", x, first);
        let mut parts = vec![branch(net, 0, y)];
        for (i, reduced, full) in [(1, reduced_1, full_1), (2, reduced_2, full_2)] {
            let y = single(net, &format!("branch{i}.0"), x, reduced);
            let y = split(net, &format!("branch{i}.1"), &y, full, 3, 1);
            parts.push(branch(net, i, y));
        }
        let y = net.max_pool3d(x, &MaxPool3d::padded([3; 3], [1; 3]));
        let y = single(net, "branch3.1", &y, pooled);
        parts.push(branch(net, 3, y));
        net.concatenate(&parts, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::tests;
    use crate::testing;
    use tch::Tensor;

    #[test]
    fn evaluation_equals_the_reference() {
        tests::equals_the_reference::<S3d>("gating = false", "a_backbone_dualvar_s3d_eval");
    }

    #[test]
    fn every_parameter_learns_and_too_few_pixels_are_told() {
        let kind: S3d = testing::kind("gating = true");
        tests::trains(&kind, [8, 64, 68]);
        let ports = |size: [usize; 3]| testing::model_shapes(&kind, tests::clips(size));
        assert!(ports([6, 32, 32]).is_err() && ports([7, 16, 32]).is_err() && ports([7, 17, 17]).is_ok());
    }

    #[test]
    fn gates_of_a_large_bias_leave_s3d() {
        let (open, plain): (S3d, S3d) = (testing::kind("gating = true"), testing::kind("gating = false"));
        let mut weights = tests::initial(&open);
        for (name, t) in weights.iter_mut().filter(|(n, _)| n.contains(".gating_")) {
            *t = if name.ends_with("bias") { t.full_like(40.0) } else { t.zeros_like() };
        }
        let clips = Tensor::rand([1, 3, 7, 32, 32], tch::kind::FLOAT_CPU);
        let map = |kind: &S3d| testing::forward(kind, &weights, false, vec![("clips", clips.shallow_clone())]).take("map");
        assert_eq!(map(&open), map(&plain));
    }
}
