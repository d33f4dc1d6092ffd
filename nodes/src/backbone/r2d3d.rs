use super::{pool, windows, Conv};
use crate::limits;
use crate::pixels::{channels_last, clip_size};
use anyhow::Result;
use dv_graph::kind::{In, Init, Inputs, Kind, ModelDeclaration, Out, Parameter, PortFault};
use dv_graph::layer::batch_norm;
use dv_graph::port::{Port, Type};
use dv_train::exec::batch::{BatchIo, ModelKind};
use dv_train::state::weights::Weights;
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;

/// R2D3D: a ResNet over frames that sees time late. Convolutions start from N(0, 2 / (outputs * kernel)), none has bias.
///
/// Depth 50 (CoCLR's, CVRL's; DualVar's `r50` where it runs): a 5x7x7 stem that halves time, 3-4-6-3 bottlenecks, 3x1x1 kernels over time in
/// the last two layers only, height and width halved five times; 2048 channels, ReLU at the end. Depth 18 (DualVar's `r2d3d18`): a 1x7x7
/// stem, 2-2-2-2 blocks of two 1x3x3 convolutions, so that nothing looks across frames and time keeps its length; the last layer has 256
/// channels, not 512, and no ReLU at its end.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct R2d3d {
    /// Layers.
    #[schemars(extend("enum" = [18, 50]))]
    depth: usize,
    /// Channels of the stem, 64 in the papers.
    #[schemars(range(min = 1, max = limits::WIDTH))]
    width: usize,
}

/// One residual block.
struct Block {
    name: String,
    convolutions: Vec<Conv>,
    /// A 1x1x1 convolution beside them, where sizes differ.
    short: Option<Conv>,
    /// Whether a ReLU follows the sum.
    relu: bool,
}

impl R2d3d {
    fn deep(&self) -> bool {
        self.depth == 50
    }
    fn stem(&self) -> Conv {
        let (kernel, stride) = if self.deep() { ([5, 7, 7], [2; 3]) } else { ([1, 7, 7], [1, 2, 2]) };
        Conv { inputs: 3, out: self.width, kernel, stride }
    }
    /// Channels of the map.
    fn channels(&self) -> usize {
        let times = if self.deep() { 32 } else { 4 };
        self.width.saturating_mul(times)
    }
    fn blocks(&self) -> Vec<Block> {
        let (counts, widths) = if self.deep() { ([3, 4, 6, 3], [1, 2, 4, 8]) } else { ([2; 4], [1, 2, 4, 4]) };
        let mut inputs = self.width;
        let mut blocks = Vec::new();
        for (layer, (count, times)) in counts.into_iter().zip(widths).enumerate() {
            let planes = times * self.width;
            for i in 0..count {
                let stride = if layer > 0 && i == 0 { [1, 2, 2] } else { [1; 3] };
                let conv = |inputs, out, kernel, stride| Conv { inputs, out, kernel, stride };
                let out = if self.deep() { 4 * planes } else { planes };
                let convolutions = if self.deep() {
                    let time = if layer < 2 { 1 } else { 3 };
                    vec![
                        conv(inputs, planes, [time, 1, 1], [1; 3]),
                        conv(planes, planes, [1, 3, 3], stride),
                        conv(planes, out, [1; 3], [1; 3]),
                    ]
                } else {
                    vec![conv(inputs, planes, [1, 3, 3], stride), conv(planes, planes, [1, 3, 3], [1; 3])]
                };
                let short = (stride != [1; 3] || inputs != out).then(|| conv(inputs, out, [1; 3], stride));
                let last = layer == 3 && i + 1 == count;
                blocks.push(Block { name: format!("layer{}.{i}", layer + 1), convolutions, short, relu: self.deep() || !last });
                inputs = out;
            }
        }
        blocks
    }
}

impl Kind for R2d3d {
    const NAME: &'static str = "backbone/r2d3d";
    const INPUTS: &'static [In] = &[In::new("clips", &[Type::Float], "3 T H W", "normalised clips")];
    const OUTPUTS: &'static [Out] =
        &[Out::new("map", "C T' H' W'", "the last block's map; C = 4 * width in depth 18, 32 * width in depth 50")];

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        let [time, height, width] = clip_size(inputs, "clips")?;
        let time = if self.deep() { time.div_ceil(2) } else { time };
        Ok(vec![Port::float([self.channels(), time, height.div_ceil(32), width.div_ceil(32)].map(Into::into))])
    }
}

impl ModelDeclaration for R2d3d {
    fn parameters(&self, _: &Inputs) -> Vec<Parameter> {
        let normal = |conv: &Conv| Init::Normal((2.0 / conv.kernel.iter().fold(conv.out as f64, |n, k| n * *k as f64)).sqrt());
        let mut list = self.stem().parameters("conv1", normal(&self.stem()));
        list.extend(batch_norm("bn1", self.width));
        for block in self.blocks() {
            for (i, conv) in block.convolutions.iter().enumerate() {
                list.extend(conv.parameters(&format!("{}.conv{}", block.name, i + 1), normal(conv)));
                list.extend(batch_norm(&format!("{}.bn{}", block.name, i + 1), conv.out));
            }
            if let Some(short) = &block.short {
                list.extend(short.parameters(&format!("{}.downsample.0", block.name), normal(short)));
                list.extend(batch_norm(&format!("{}.downsample.1", block.name), short.out));
            }
        }
        list
    }
}

impl ModelKind for R2d3d {
    fn forward(&self, weights: &Weights, io: &mut BatchIo) -> Result<()> {
        let run = |conv: &Conv, x: &Tensor, name: &str, norm: &str| weights.batch_norm(&conv.run(weights, x, name), norm);
        let x = channels_last(&io.tensor("clips")?);
        let mut x = pool(&run(&self.stem(), &x, "conv1", "bn1").relu_(), windows::SPACE);
        for block in self.blocks() {
            let name = &block.name;
            let mut y = x.shallow_clone();
            for (i, conv) in block.convolutions.iter().enumerate() {
                y = run(conv, &y, &format!("{name}.conv{}", i + 1), &format!("{name}.bn{}", i + 1));
                if i + 1 < block.convolutions.len() {
                    y = y.relu_();
                }
            }
            if let Some(short) = &block.short {
                x = run(short, &x, &format!("{name}.downsample.0"), &format!("{name}.downsample.1"));
            }
            y += x;
            x = if block.relu { y.relu_() } else { y };
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
        let weights = testing::initial(&kind, vec![]);
        let clips = Tensor::rand([1, 3, 4, 40, 40], tch::kind::FLOAT_CPU);
        let map = |clips: &Tensor| testing::forward(&kind, &weights, false, vec![("clips", clips.shallow_clone())]).take("map");
        let (whole, turned) = (map(&clips), map(&clips.flip([2])));
        assert_eq!(whole.size(), [1, 16, 4, 2, 2]);
        assert!((whole.flip([2]) - turned).abs().max().double_value(&[]) < 1e-5);
        assert!(whole.min().double_value(&[]) < 0.0);
        assert_eq!(testing::faults::<R2d3d>("depth = 34\nwidth = 0").len(), 2);
    }
}
