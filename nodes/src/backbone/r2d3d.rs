use super::{active, he, normed, Clips, Map, SPACE};
use crate::prelude::*;

/// R2D3D: a ResNet over frames that sees time late. Convolutions start from N(0, 2 / (outputs * kernel)), none has bias.
///
/// Depth 50 (CoCLR's, CVRL's; DualVar's `r50` where it runs): a 5x7x7 stem that halves time, 3-4-6-3 bottlenecks, 3x1x1 kernels over time in
/// the last two layers only, height and width halved five times; 2048 channels, ReLU at the end. Depth 18 (DualVar's `r2d3d18`): a 1x7x7
/// stem, 2-2-2-2 blocks of two 1x3x3 convolutions, so that nothing looks across frames and time keeps its length; the last layer has 256
/// channels, not 512, and no ReLU at its end.
#[kind("backbone/r2d3d", inputs = Clips, outputs = Map, source = "CVRL (Qian et al. 2021); DualVar's and CoCLR's code")]
pub struct R2d3d {
    /// Layers.
    #[schemars(extend("enum" = [18, 50]))]
    depth: usize,
    /// Channels of the stem, 64 in the papers.
    #[schemars(range(min = 1, max = limits::WIDTH))]
    width: usize,
}

impl Kind for R2d3d {}

impl ModelKind for R2d3d {
    fn network<N: Custom>(&self, net: &mut N, inputs: Clips<N::Plane>, _: Nothing<N::Plane>) -> Map<N::Plane> {
        let clips = net.channels_last(&inputs.clips);
        let (deep, width) = (self.depth == 50, self.width);
        let stem = if deep { he(width, [5, 7, 7], [2; 3]) } else { he(width, [1, 7, 7], [1, 2, 2]) };
        let (counts, widths) = if deep { ([3, 4, 6, 3], [1, 2, 4, 8]) } else { ([2; 4], [1, 2, 4, 4]) };
        let x = active(net, ["conv1", "bn1"], &clips, &stem);
        let mut x = net.max_pool3d(&x, &SPACE);
        for (layer, (count, times)) in counts.into_iter().zip(widths).enumerate() {
            let planes = times * width;
            for i in 0..count {
                let stride = if layer > 0 && i == 0 { [1, 2, 2] } else { [1; 3] };
                let convolutions = if deep {
                    let time = if layer < 2 { 1 } else { 3 };
                    vec![he(planes, [time, 1, 1], [1; 3]), he(planes, [1, 3, 3], stride), he(4 * planes, [1; 3], [1; 3])]
                } else {
                    vec![he(planes, [1, 3, 3], stride), he(planes, [1, 3, 3], [1; 3])]
                };
                let last = layer == 3 && i + 1 == count;
                x = net.within(&format!("layer{}.{i}", layer + 1), |net| block(net, &x, &convolutions, stride, deep || !last));
            }
        }
        Map { map: x }
    }
}

/// A residual block. A 1x1x1 convolution lies beside the others where sizes differ; `relu` is whether one follows the sum.
fn block<N: Net>(net: &mut N, x: &N::Value, convolutions: &[Conv3d], stride: [usize; 3], relu: bool) -> N::Value {
    let mut y = net.share(x);
    for (i, layer) in convolutions.iter().enumerate() {
        y = normed(net, [&format!("conv{}", i + 1), &format!("bn{}", i + 1)], &y, layer);
        if i + 1 < convolutions.len() {
            y = net.relu(y);
        }
    }
    let out = net.shape(&y)[0];
    let y = if stride != [1; 3] || net.shape(x)[0] != out {
        let short = normed(net, ["downsample.0", "downsample.1"], x, &he(out, [1; 3], stride));
        net.add(y, &short)
    } else {
        net.add(y, x)
    };
    if relu {
        net.relu(y)
    } else {
        y
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
        tests::equals_the_reference::<R2d3d>("depth = 50\nwidth = 64", "a_backbone_dualvar_r50_eval");
    }

    #[test]
    fn every_parameter_learns() {
        tests::trains(&testing::kind::<R2d3d>("depth = 50\nwidth = 4"), [5, 70, 33]);
        tests::trains(&testing::kind::<R2d3d>("depth = 18\nwidth = 4"), [3, 70, 33]);
    }

    #[test]
    fn depth_18_sees_single_frames_and_ends_without_a_relu() {
        let kind: R2d3d = testing::kind("depth = 18\nwidth = 4");
        let weights = tests::initial(&kind);
        let clips = Tensor::rand([1, 3, 4, 40, 40], tch::kind::FLOAT_CPU);
        let map = |clips: &Tensor| testing::forward(&kind, &weights, false, vec![("clips", clips.shallow_clone())]).take("map");
        let (whole, turned) = (map(&clips), map(&clips.flip([2])));
        assert_eq!(whole.size(), [1, 16, 4, 2, 2]);
        assert!((whole.flip([2]) - turned).abs().max().double_value(&[]) < 1e-5);
        assert!(whole.min().double_value(&[]) < 0.0);
        assert_eq!(testing::faults::<R2d3d>("depth = 34\nwidth = 0").len(), 2);
    }
}
