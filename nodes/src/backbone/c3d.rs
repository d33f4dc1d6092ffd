use super::{active, Clips, Map};
use crate::prelude::*;

/// C3D (Tran et al. 2015) with batch norm, as both papers have it: eight 3x3x3 convolutions with bias, max pooling after the
/// first, the second and each following pair but the last (the first over space only), no fully connected layers. Time is halved
/// three times, height and width four times, rounding down.
#[kind("backbone/c3d", inputs = Clips, outputs = Map, source = "C3D (Tran et al. 2015), section 3")]
pub struct C3d {
    /// Channels of the first convolution, 64 in the papers; the others have 2, 4, 4 and four times 8 times as many.
    #[schemars(range(min = 1, max = limits::WIDTH))]
    width: usize,
}

/// Each layer's name, its channels over the width, and the window of the max pooling after it.
const LAYERS: [(&str, usize, Option<[usize; 3]>); 8] = [
    ("1", 1, Some([1, 2, 2])),
    ("2", 2, Some([2; 3])),
    ("3a", 4, None),
    ("3b", 4, Some([2; 3])),
    ("4a", 8, None),
    ("4b", 8, Some([2; 3])),
    ("5a", 8, None),
    ("5b", 8, None),
];

impl Kind for C3d {}

impl ModelKind for C3d {
    fn network<N: Custom>(&self, net: &mut N, inputs: Clips<N::Plane>, _: Nothing<N::Plane>) -> Map<N::Plane> {
        let clips = net.channels_last(&inputs.clips);
        net.at_least(&clips, [8, 16, 16]);
        let mut x = clips;
        for (name, times, window) in LAYERS {
            let layer = Conv3d::new(times * self.width, [3; 3]).with_bias();
            x = active(net, [&format!("conv{name}"), &format!("bn{name}")], &x, &layer);
            if let Some(window) = window {
                x = net.max_pool3d(&x, &MaxPool3d::new(window));
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

    #[test]
    fn evaluation_equals_the_reference() {
        tests::pools_to_the_reference::<C3d>("width = 64", "a_backbone_iic_c3d_pool_eval");
    }

    #[test]
    fn every_parameter_learns_and_too_few_pixels_are_told() {
        let kind: C3d = testing::kind("width = 4");
        tests::trains(&kind, [9, 35, 16]);
        let ports = |size: [usize; 3]| testing::model_shapes(&kind, tests::clips(size));
        assert!(ports([7, 16, 16]).is_err() && ports([8, 15, 16]).is_err() && ports([8, 16, 16]).is_ok());
    }
}
