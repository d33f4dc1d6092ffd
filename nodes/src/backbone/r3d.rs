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
        Map { map: ten::network(net, &clips, self.width, |net, name, x, layer| {
            // its path in the papers' code
            net.within(name, |net| net.conv3d("temporal_spatial_conv", x, layer))
        }) }
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
            kind.parameters(&crate::backbone::tests::clips([16, 112, 112])).into_iter().map(|p| (p.name, p.shape)).collect();
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
    fn a_single_frame_passes() {
        let kind: R3d = testing::kind("width = 2");
        let weights = crate::backbone::tests::initial(&kind);
        let clips = Tensor::rand([2, 3, 1, 20, 17], tch::kind::FLOAT_CPU);
        let port = Port::float([3.into(), 1.into(), 20.into(), 17.into()]);
        let ports = kind.ports(&Inputs::new(vec![("clips".into(), port)])).unwrap();
        let map = testing::forward(&kind, &weights, true, vec![("clips", clips)]).take("map");
        let shape: Vec<i64> = ports[0].shape.iter().map(|d| d.known().unwrap() as i64).collect();
        assert_eq!(map.size()[1..], shape);
    }
}
