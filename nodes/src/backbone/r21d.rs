use super::{ten, Conv};
use crate::limits;
use anyhow::Result;
use dv_graph::kind::{In, Inputs, Kind, ModelDeclaration, Out, Parameter, PortFault};
use dv_graph::layer::{batch_norm, convolution};
use dv_graph::port::Port;
use dv_train::exec::batch::{BatchIo, ModelKind};
use dv_train::state::weights::Weights;
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;

/// R(2+1)D-10 (Tran et al. 2018): the layout of `backbone/r3d` with each 3-D convolution split in one over space and one
/// over time, batch norm and ReLU between, with as many channels between as leave the number of weights. No bias.
/// This is the "R(2+1)D" of both papers' tables (14.4 M parameters at width 64), not an 18-layer network. Time is
/// halved three times, height and width four times, rounding up.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct R21d {
    /// Channels of the stem, 64 in the papers; the blocks have 1, 2, 4 and 8 times as many.
    #[schemars(range(min = 1, max = limits::WIDTH))]
    width: usize,
}

/// Both parts of a convolution: over space, then over time.
fn split(conv: &Conv) -> [Conv; 2] {
    let ([time, height, width], [time_stride, down, right]) = (conv.kernel, conv.stride);
    // the products are beyond 64 bits for a width that is only just too large
    let (space, times) = ((height * width) as u128 * conv.inputs as u128, time as u128 * conv.out as u128);
    // channels between the two parts (section 3.5 of the paper)
    let between = (space * times / (space + times)) as usize;
    [
        Conv { inputs: conv.inputs, out: between, kernel: [1, height, width], stride: [1, down, right] },
        Conv { inputs: between, out: conv.out, kernel: [time, 1, 1], stride: [time_stride, 1, 1] },
    ]
}

fn parameters(conv: &Conv, name: &str) -> Vec<Parameter> {
    let [space, time] = split(conv);
    let mut list = convolution(&format!("{name}.spatial_conv"), space.inputs, space.out, &space.kernel, false);
    list.extend(batch_norm(&format!("{name}.bn"), space.out));
    list.extend(convolution(&format!("{name}.temporal_conv"), time.inputs, time.out, &time.kernel, false));
    list
}

fn run(weights: &Weights, conv: &Conv, x: &Tensor, name: &str) -> Tensor {
    let [space, time] = split(conv);
    let x = space.run(weights, x, &format!("{name}.spatial_conv"));
    let x = weights.batch_norm(&x, &format!("{name}.bn")).relu_();
    time.run(weights, &x, &format!("{name}.temporal_conv"))
}

impl Kind for R21d {
    const NAME: &'static str = "backbone/r21d";
    const INPUTS: &'static [In] = ten::INPUTS;
    const OUTPUTS: &'static [Out] = ten::OUTPUTS;

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        ten::ports(self.width, inputs)
    }
}

impl ModelDeclaration for R21d {
    fn parameters(&self, _: &Inputs) -> Vec<Parameter> {
        ten::parameters(self.width, parameters)
    }
}

impl ModelKind for R21d {
    fn forward(&self, weights: &Weights, io: &mut BatchIo) -> Result<()> {
        let map = ten::forward(self.width, weights, &io.tensor("clips")?, |conv, x, name| run(weights, conv, x, name));
        io.put("map", map);
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
        tests::equals_the_reference::<R21d>("width = 64", "a_backbone_dualvar_r21d_eval");
        tests::pools_to_the_reference::<R21d>("width = 64", "a_backbone_iic_r21d_pool_eval");
    }

    #[test]
    fn every_parameter_learns_and_a_single_frame_passes() {
        tests::trains(&testing::kind::<R21d>("width = 4"), [4, 20, 17]);
        tests::trains(&testing::kind::<R21d>("width = 4"), [1, 20, 17]);
    }
}
