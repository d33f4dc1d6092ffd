use super::{ten, Clips, Map};
use crate::prelude::*;

/// R(2+1)D-10 (Tran et al. 2018): the layout of `backbone/r3d` with each 3-D convolution split in one over space and one
/// over time, batch norm and ReLU between, with as many channels between as leave the number of weights. No bias.
/// This is the "R(2+1)D" of both papers' tables (14.4 M parameters at width 64), not an 18-layer network. Time is
/// halved three times, height and width four times, rounding up.
#[kind("backbone/r21d", inputs = Clips, outputs = Map, source = "Tran et al. 2018, section 3.5")]
pub struct R21d {
    /// Channels of the stem, 64 in the papers; the blocks have 1, 2, 4 and 8 times as many.
    #[schemars(range(min = 1, max = limits::WIDTH))]
    width: usize,
}

/// A convolution in two: over space, then over time.
fn split<N: Net>(net: &mut N, x: &N::Value, layer: &Conv3d) -> N::Value {
    let ([time, height, width], [time_stride, down, right]) = (layer.kernel, layer.stride);
    let (space, times) = (height * width * net.shape(x)[0], time * layer.out);
    // channels between the two parts (section 3.5 of the paper)
    let between = space * times / (space + times);
    let x = net.conv3d("spatial_conv", x, &Conv3d::new(between, [1, height, width]).stride([1, down, right]));
    let x = net.batch_norm("bn", &x);
    let x = net.relu(x);
    net.conv3d("temporal_conv", &x, &Conv3d::new(layer.out, [time, 1, 1]).stride([time_stride, 1, 1]))
}

impl Kind for R21d {}

impl ModelKind for R21d {
    fn network<N: Custom>(&self, net: &mut N, inputs: Clips<N::Plane>, _: Nothing<N::Plane>) -> Map<N::Plane> {
        let clips = net.channels_last(&inputs.clips);
        Map { map: ten::network(net, &clips, self.width, |net, name, x, layer| net.within(name, |net| split(net, x, layer))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::tests;
    use crate::testing;

    #[test]
    fn evaluation_equals_the_reference() {
        tests::equals_the_reference::<R21d>("width = 64", "a_backbone_dualvar_r21d_eval");
        tests::pools_to_the_reference::<R21d>("width = 64", "a_backbone_iic_r21d_pool_eval");
    }

    #[test]
    fn every_parameter_learns_and_a_single_frame_passes() {
        tests::trains(&testing::kind::<R21d>("width = 4"), [4, 20, 17]);
        tests::trains(&testing::kind::<R21d>("width = 4"), [1, 20, 17]);
    }
}
