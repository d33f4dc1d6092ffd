use crate::pixels::{channels_last, clip_size};
use anyhow::Result;
use dv_graph::kind::{In, Inputs, Kind, ModelDeclaration, Out, Parameter, PortFault};
use dv_graph::layer::{batch_norm, convolution};
use dv_graph::port::{Port, Type};
use dv_graph::settings::SettingFaults;
use dv_train::batch::{BatchIo, ModelKind};
use dv_train::weights::Weights;
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
    width: usize,
}

/// One split convolution.
struct Split {
    inputs: usize,
    out: usize,
    kernel: [usize; 3],
}

impl Split {
    /// Channels between the two parts (section 3.5 of the paper).
    fn between(&self) -> usize {
        let [time, height, width] = self.kernel;
        let space = height * width * self.inputs;
        space * time * self.out / (space + time * self.out)
    }
    fn parameters(&self, name: &str) -> Vec<Parameter> {
        let [time, height, width] = self.kernel;
        let mut list = convolution(&format!("{name}.spatial_conv"), self.inputs, self.between(), &[1, height, width], false);
        list.extend(batch_norm(&format!("{name}.bn"), self.between()));
        list.extend(convolution(&format!("{name}.temporal_conv"), self.between(), self.out, &[time, 1, 1], false));
        list
    }
}

/// Its output; both parts are padded by half their kernel.
fn split(weights: &Weights, x: &Tensor, name: &str, [time, space]: [i64; 2], kernel: [i64; 2]) -> Tensor {
    let pad = |n: i64| n / 2;
    let x = weights.conv3d(x, &format!("{name}.spatial_conv"), [1, space, space], [0, pad(kernel[1]), pad(kernel[1])]);
    let x = weights.batch_norm(&x, &format!("{name}.bn")).relu_();
    weights.conv3d(&x, &format!("{name}.temporal_conv"), [time, 1, 1], [pad(kernel[0]), 0, 0])
}

impl R21d {
    /// Each block's name, inputs, outputs, and whether it halves its map.
    fn blocks(&self) -> [(&'static str, usize, usize, bool); 4] {
        let w = self.width;
        [("conv2", w, w, false), ("conv3", w, 2 * w, true), ("conv4", 2 * w, 4 * w, true), ("conv5", 4 * w, 8 * w, true)]
    }
}

impl Kind for R21d {
    const NAME: &'static str = "backbone/r21d";
    const INPUTS: &'static [In] = &[In::new("clips", &[Type::Float], "3 T H W", "normalised clips")];
    const OUTPUTS: &'static [Out] = &[Out::new("map", "C T' H' W'", "the last block's map, after its ReLU; C = 8 * width")];

    fn check(&self, faults: &mut SettingFaults) {
        faults.require(self.width > 0, "width", "must be at least 1 channel");
    }
    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        let [time, height, width] = clip_size(inputs, "clips")?;
        let shape = [8 * self.width, time.div_ceil(8), height.div_ceil(16), width.div_ceil(16)];
        Ok(vec![Port::float(shape.map(Into::into))])
    }
}

impl ModelDeclaration for R21d {
    fn parameters(&self, _: &Inputs) -> Vec<Parameter> {
        let mut list = Split { inputs: 3, out: self.width, kernel: [3, 7, 7] }.parameters("conv1");
        list.extend(batch_norm("bn1", self.width));
        for (name, inputs, out, halves) in self.blocks() {
            let block = format!("{name}.block1");
            if halves {
                list.extend(Split { inputs, out, kernel: [1; 3] }.parameters(&format!("{block}.downsampleconv")));
                list.extend(batch_norm(&format!("{block}.downsamplebn"), out));
            }
            list.extend(Split { inputs, out, kernel: [3; 3] }.parameters(&format!("{block}.conv1")));
            list.extend(batch_norm(&format!("{block}.bn1"), out));
            list.extend(Split { inputs: out, out, kernel: [3; 3] }.parameters(&format!("{block}.conv2")));
            list.extend(batch_norm(&format!("{block}.bn2"), out));
        }
        list
    }
}

impl ModelKind for R21d {
    fn forward(&self, weights: &Weights, io: &mut BatchIo) -> Result<()> {
        let x = channels_last(&io.tensor("clips")?);
        let mut x = weights.batch_norm(&split(weights, &x, "conv1", [1, 2], [3, 7]), "bn1").relu_();
        for (name, _, _, halves) in self.blocks() {
            let block = format!("{name}.block1");
            let stride = if halves { [2; 2] } else { [1; 2] };
            let y = split(weights, &x, &format!("{block}.conv1"), stride, [3; 2]);
            let y = weights.batch_norm(&y, &format!("{block}.bn1")).relu_();
            let mut y = weights.batch_norm(&split(weights, &y, &format!("{block}.conv2"), [1; 2], [3; 2]), &format!("{block}.bn2"));
            if halves {
                let short = split(weights, &x, &format!("{block}.downsampleconv"), stride, [1; 2]);
                x = weights.batch_norm(&short, &format!("{block}.downsamplebn"));
            }
            y += x;
            x = y.relu_();
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
        tests::equals_the_reference::<R21d>("width = 64", "a_backbone_dualvar_r21d_eval");
        tests::pools_to_the_reference::<R21d>("width = 64", "a_backbone_iic_r21d_pool_eval");
    }

    #[test]
    fn every_parameter_learns_and_a_single_frame_passes() {
        tests::trains(&testing::kind::<R21d>("width = 4"), [4, 20, 17]);
        tests::trains(&testing::kind::<R21d>("width = 4"), [1, 20, 17]);
    }
}
