use super::{active, he, normed, Clips, Map};
use crate::prelude::*;

/// R3D-18 (Tran et al. 2018) as torchvision's `r3d_18` has it, with the names of its state dict and without `avgpool` and `fc`: a 3x7x7 stem that halves
/// height and width, four layers of two blocks of two 3x3x3 convolutions, batch norm after each, no bias. Convolutions start from
/// N(0, 2 / (outputs * kernel)). Time is halved three times, height and width four times, rounding up; 8 times `width` channels.
/// No numbers of torchvision's are compared here: names, shapes and the number of parameters are.
#[kind("backbone/r3d_18", inputs = Clips, outputs = Map, source = "R3D-18 (Tran et al. 2018), section 3.2; torchvision's code")]
pub struct R3d18 {
    /// Channels of the stem, 64 in torchvision; the layers have 1, 2, 4 and 8 times as many.
    #[schemars(range(min = 1, max = limits::WIDTH))]
    width: usize,
}

impl Kind for R3d18 {}

impl ModelKind for R3d18 {
    fn network<N: Custom>(&self, net: &mut N, inputs: Clips<N::Plane>, _: Nothing<N::Plane>) -> Map<N::Plane> {
        let clips = net.channels_last(&inputs.clips);
        let mut x = active(net, ["stem.0", "stem.1"], &clips, &he(self.width, [3, 7, 7], [1, 2, 2]));
        for (layer, times) in [1, 2, 4, 8].into_iter().enumerate() {
            for i in 0..2 {
                let stride = if layer > 0 && i == 0 { [2; 3] } else { [1; 3] };
                x = net.within(&format!("layer{}.{i}", layer + 1), |net| block(net, &x, times * self.width, stride));
            }
        }
        Map { map: x }
    }
}

/// A residual block. A 1x1x1 convolution lies beside the others where the map is halved.
fn block<N: Net>(net: &mut N, x: &N::Value, out: usize, stride: [usize; 3]) -> N::Value {
    let y = active(net, ["conv1.0", "conv1.1"], x, &he(out, [3; 3], stride));
    let y = normed(net, ["conv2.0", "conv2.1"], &y, &he(out, [3; 3], [1; 3]));
    let y = if stride != [1; 3] {
        let short = normed(net, ["downsample.0", "downsample.1"], x, &he(out, [1; 3], stride));
        net.add(y, &short)
    } else {
        net.add(y, x)
    };
    net.relu(y)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::tests;
    use crate::testing;

    #[test]
    fn parameters_are_torchvisions_in_name_order_and_number() {
        let parameters = testing::parameters(&testing::kind::<R3d18>("width = 64"), tests::clips([16, 112, 112]));
        let all: Vec<&str> = parameters.iter().map(|p| p.name.as_str()).collect();
        let of = |conv: &str, norm: &str| {
            let norm = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"].map(|leaf| format!("{norm}.{leaf}"));
            std::iter::once(format!("{conv}.weight")).chain(norm).collect::<Vec<_>>()
        };
        let mut expected = of("stem.0", "stem.1");
        for layer in 1..=4 {
            for block in 0..2 {
                let name = |leaf: &str| format!("layer{layer}.{block}.{leaf}");
                expected.extend(of(&name("conv1.0"), &name("conv1.1")));
                expected.extend(of(&name("conv2.0"), &name("conv2.1")));
                if layer > 1 && block == 0 {
                    expected.extend(of(&name("downsample.0"), &name("downsample.1")));
                }
            }
        }
        assert_eq!(all, expected);
        let trained = parameters.iter().filter(|p| p.role.trained()).map(|p| p.shape.iter().product::<usize>());
        // torchvision's documentation: 33,371,472 with `fc`, a linear layer from 512 to 400
        assert_eq!(trained.sum::<usize>(), 33_371_472 - (512 * 400 + 400));
        let stem = Init::Normal((2.0 / (64.0 * 147.0f64)).sqrt());
        assert_eq!((parameters[0].init, &parameters[0].shape[..]), (stem, &[64, 3, 3, 7, 7][..]));
    }

    #[test]
    fn the_map_of_clips_of_any_size() {
        let kind: R3d18 = testing::kind("width = 64");
        assert_eq!(tests::map_shape(&kind, [16, 112, 112]), [512, 2, 7, 7]);
        assert_eq!(tests::map_shape(&kind, [9, 113, 65]), [512, 2, 8, 5]);
        assert_eq!(tests::map_shape(&kind, [1, 17, 16]), [512, 1, 2, 1]);
    }

    #[test]
    fn every_parameter_learns_and_a_single_frame_passes() {
        tests::trains(&testing::kind::<R3d18>("width = 4"), [5, 36, 17]);
        tests::trains(&testing::kind::<R3d18>("width = 4"), [1, 20, 35]);
    }
}
