use super::{ten, Clips, Map};
use crate::prelude::*;

/// R3D-10: a 3x7x7 stem and four residual blocks of two 3x3x3 convolutions, each with batch norm, none with bias.
/// This is the "R3D" of both papers' tables (14.4 M parameters at width 64), not an 18-layer network.
/// Time is halved three times, height and width four times, rounding up.
#[kind("backbone/r3d", inputs = Clips, outputs = Map, source = "R3D (Tran et al. 2018), section 3.2; both papers' code")]
pub struct R3d {
    /// Channels of the stem, 64 in the papers; the blocks have 1, 2, 4 and 8 times as many.
    #[schemars(range(min = 1, max = limits::WIDTH))]
    width: usize,
}

impl Kind for R3d {}

impl ModelKind for R3d {
    fn network<N: Custom>(&self, net: &mut N, inputs: Clips<N::Plane>, _: Nothing<N::Plane>) -> Map<N::Plane> {
        let clips = net.channels_last(&inputs.clips);
        Map {
            map: ten::network(net, &clips, self.width, |net, name, x, layer| {
                // its path in the papers' code
                net.within(name, |net| net.conv3d("temporal_spatial_conv", x, layer))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parity::Case, testing};
    use tch::Tensor;

    #[test]
    fn parameters_are_the_references_in_name_shape_and_order() {
        let kind: R3d = testing::kind("width = 64");
        let case = Case::open("a_backbone_dualvar_r3d_train");
        let declared: Vec<(String, Vec<usize>)> =
            testing::parameters(&kind, crate::backbone::tests::clips([16, 112, 112])).into_iter().map(|p| (p.name, p.shape)).collect();
        assert_eq!(declared, case.weight_shapes());
    }

    #[test]
    fn evaluation_equals_the_reference() {
        let case = Case::open("a_backbone_dualvar_r3d_eval");
        let mut map = testing::forward(&testing::kind::<R3d>("width = 64"), &case.weights(), false, vec![("clips", case.input("x"))]);
        let map = map.take("map");
        case.tensor("pooled", &map.mean_dim([2, 3, 4].as_slice(), false, None));
        case.tensor("sample", &case.strided(&map));
    }

    #[test]
    fn iics_is_the_same_network() {
        crate::backbone::tests::pools_to_the_reference::<R3d>("width = 64", "a_backbone_iic_r3d_pool_eval");
    }

    #[test]
    fn training_equals_the_reference_with_gradients_and_buffers() {
        let case = Case::open("a_backbone_dualvar_r3d_train");
        let weights = case.weights();
        let mut out = testing::forward(&testing::kind::<R3d>("width = 64"), &weights, true, vec![("clips", case.input("x"))]);
        let map = out.take("map");
        case.tensor("pooled", &map.mean_dim([2, 3, 4].as_slice(), false, None));
        case.tensor("sample", &case.strided(&map));
        let loss = map.square().mean(tch::Kind::Float);
        case.scalar("loss", &loss);
        loss.backward();
        case.gradients(&weights);
        case.buffers(&weights);
    }

    #[test]
    fn the_cost_of_a_clip_is_that_of_a_hand_count() {
        let kind: R3d = testing::kind("width = 64");
        let inputs = crate::backbone::tests::clips([16, 112, 112]).into_iter().map(|(name, port)| (name.to_owned(), port));
        let sketch = dv_train::exec::batch::sketch(&kind, &dv_graph::kind::Inputs::new(inputs.collect()))
            .unwrap_or_else(|f| panic!("{}", f.message));
        // cells of the maps: 16x56x56, and each time an eighth
        let cells = [50_176u128, 6272, 784, 98];
        let stem = 3 * 64 * (3 * 7 * 7) * cells[0];
        let first = 2 * 64 * 64 * 27 * cells[0];
        let halved = |channels: u128, cells: u128| (channels / 2 * channels * (27 + 1) + channels * channels * 27) * cells;
        let multiply_adds = stem + first + halved(128, cells[1]) + halved(256, cells[2]) + halved(512, cells[3]);
        // the clip, what each convolution gives and what each ReLU leaves
        let kept = 3 * 16 * 112 * 112 + 6 * 64 * cells[0] + 5 * (128 * cells[1] + 256 * cells[2] + 512 * cells[3]);
        assert_eq!((sketch.cost.multiply_adds, sketch.cost.kept), (multiply_adds, kept));
        assert_eq!(multiply_adds, 19_887_357_952);
        let trained = sketch.parameters.iter().filter(|p| p.role.trained());
        assert_eq!(trained.map(|p| p.shape.iter().product::<usize>()).sum::<usize>(), 14_361_792);
    }

    #[test]
    fn a_single_frame_passes() {
        let kind: R3d = testing::kind("width = 2");
        let weights = crate::backbone::tests::initial(&kind);
        let clips = Tensor::rand([2, 3, 1, 20, 17], tch::kind::FLOAT_CPU);
        let map = testing::forward(&kind, &weights, true, vec![("clips", clips)]).take("map");
        assert_eq!(map.size()[1..], crate::backbone::tests::map_shape(&kind, [1, 20, 17]));
    }
}
