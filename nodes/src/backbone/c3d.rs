use crate::limits;
use crate::pixels::{channels_last, clip_size};
use anyhow::Result;
use dv_graph::kind::{In, Inputs, Kind, ModelDeclaration, Out, Parameter, PortFault};
use dv_graph::layer::{batch_norm, convolution};
use dv_graph::port::{Port, Type};
use dv_train::exec::batch::{BatchIo, ModelKind};
use dv_train::state::weights::Weights;
use schemars::JsonSchema;
use serde::Deserialize;

/// C3D (Tran et al. 2015) with batch norm, as both papers have it: eight 3x3x3 convolutions with bias, max pooling after the
/// first, the second and each following pair but the last (the first over space only), no fully connected layers. Time is halved
/// three times, height and width four times, rounding down.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct C3d {
    /// Channels of the first convolution, 64 in the papers; the others have 2, 4, 4 and four times 8 times as many.
    #[schemars(range(min = 1, max = limits::WIDTH))]
    width: usize,
}

/// Each layer's name, its channels over the width, and the window of the max pooling after it.
const LAYERS: [(&str, usize, Option<[i64; 3]>); 8] = [
    ("1", 1, Some([1, 2, 2])),
    ("2", 2, Some([2; 3])),
    ("3a", 4, None),
    ("3b", 4, Some([2; 3])),
    ("4a", 8, None),
    ("4b", 8, Some([2; 3])),
    ("5a", 8, None),
    ("5b", 8, None),
];

impl Kind for C3d {
    const NAME: &'static str = "backbone/c3d";
    const INPUTS: &'static [In] =
        &[In::new("clips", &[Type::Float], "3 T H W", "normalised clips of at least 8 frames and 16 x 16 pixels")];
    const OUTPUTS: &'static [Out] = &[Out::new("map", "C T' H' W'", "the last layer's map, after its ReLU; C = 8 * width")];

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        let [time, height, width] = clip_size(inputs, "clips")?;
        if time < 8 || height < 16 || width < 16 {
            let found = format!("{time} frames of {height}x{width} are too few: at least 8 of 16x16 are needed");
            return Err(PortFault::input("clips", found));
        }
        Ok(vec![Port::float([self.width.saturating_mul(8), time / 8, height / 16, width / 16].map(Into::into))])
    }
}

impl ModelDeclaration for C3d {
    fn parameters(&self, _: &Inputs) -> Vec<Parameter> {
        let (mut list, mut inputs) = (Vec::new(), 3);
        for (name, times, _) in LAYERS {
            let out = times * self.width;
            list.extend(convolution(&format!("conv{name}"), inputs, out, &[3; 3], true));
            list.extend(batch_norm(&format!("bn{name}"), out));
            inputs = out;
        }
        list
    }
}

impl ModelKind for C3d {
    fn forward(&self, weights: &Weights, io: &mut BatchIo) -> Result<()> {
        let mut x = channels_last(&io.tensor("clips")?);
        for (name, _, pool) in LAYERS {
            x = weights.batch_norm(&weights.conv3d(&x, &format!("conv{name}"), [1; 3], [1; 3]), &format!("bn{name}")).relu_();
            if let Some(window) = pool {
                x = x.max_pool3d(window, window, [0; 3], [1; 3], false);
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
        tests::pools_to_the_reference::<C3d>("width = 64", "a_backbone_iic_c3d_pool_eval");
    }

    #[test]
    fn every_parameter_learns_and_too_few_pixels_are_told() {
        let kind: C3d = testing::kind("width = 4");
        tests::trains(&kind, [9, 35, 16]);
        let ports = |size: [usize; 3]| kind.ports(&tests::clips(size));
        assert!(ports([7, 16, 16]).is_err() && ports([8, 15, 16]).is_err() && ports([8, 16, 16]).is_ok());
    }
}
