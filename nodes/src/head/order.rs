use super::dropout;
use crate::limits;
use crate::pixels::length;
use anyhow::{ensure, Result};
use dv_graph::kind::{Axes, In, Inputs, Kind, ModelDeclaration, Out, Parameter, PortFault};
use dv_graph::layer;
use dv_graph::port::{Port, Type};
use dv_train::exec::batch::{BatchIo, ModelKind};
use dv_train::state::weights::Weights;
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;

/// The head of clip order prediction (VCOP; OPN on frames): each pair of clips, the features of both in a row, goes through one
/// linear layer `fc7` with ReLU; all pairs in a row go through dropout and a second layer, `fc8`, to a logit for each order.
/// Pairs of N clips come as (0, 1), (0, 2) ... (N-2, N-1).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Orders that there are, and so logits: the range of `order/class`.
    #[schemars(range(min = 1, max = limits::CLASSES))]
    classes: usize,
    /// Channels of a pair; 512 in VCOP.
    #[schemars(range(min = 1, max = limits::CHANNELS))]
    width: usize,
    /// Probability that dropout sets a pair's channel to 0 in training; 0.5 in VCOP.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    dropout: f64,
}

/// How many pairs of clips there are.
fn pairs(clips: usize) -> usize {
    clips * clips.saturating_sub(1) / 2
}

impl Kind for Order {
    const NAME: &'static str = "head/order";
    const INPUTS: &'static [In] = &[In::new("features", &[Type::Float], "D", "features of clips, on one item axis of at least 2")];
    const OUTPUTS: &'static [Out] = &[Out::new("logits", "classes", "one logit for each order"), dropout::KEPT];
    const AXES: Axes = Axes::Keep;

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        length(inputs, "features", 0)?;
        match inputs.axes("features") {
            [axis] if axis.len() > 1 => {
                Ok(vec![Port::float([self.classes.into()]), dropout::port(pairs(axis.len()).saturating_mul(self.width))])
            }
            _ => {
                let found = inputs.port("features");
                Err(PortFault::input("features", format!("one item axis of at least 2 clips was expected; this is {found}")))
            }
        }
    }
}

impl ModelDeclaration for Order {
    fn parameters(&self, inputs: &Inputs) -> Vec<Parameter> {
        let channels = length(inputs, "features", 0).unwrap_or(0);
        let clips = inputs.axes("features").first().map_or(0, |axis| axis.len());
        let mut list = layer::linear("fc7", 2 * channels, self.width);
        list.extend(layer::linear("fc8", pairs(clips) * self.width, self.classes));
        list
    }
}

impl ModelKind for Order {
    fn forward(&self, weights: &Weights, io: &mut BatchIo) -> Result<()> {
        let features = io.tensor("features")?;
        let size = features.size();
        ensure!(size.len() == 3 && size[1] > 1, "features must be [rows, clips, D], not {size:?}");
        let clip = |i: i64| features.select(1, i);
        let pair = |(i, j): (i64, i64)| Tensor::cat(&[clip(i), clip(j)], 1);
        let all: Vec<Tensor> = (0..size[1]).flat_map(|i| (i + 1..size[1]).map(move |j| (i, j))).map(pair).collect();
        // [rows, pairs * width]
        let x = weights.linear(&Tensor::stack(&all, 1), "fc7").relu().flatten(1, -1);
        let x = dropout::apply(io, weights, &x, self.dropout)?;
        let logits = Weights::full(&weights.linear(&x, "fc8"));
        io.put("logits", logits);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use dv_graph::port::Axis;

    fn features() -> Port {
        Port::float([5.into()]).with_axis(Axis::counted("clip", 3))
    }

    #[test]
    fn pairs_share_a_layer_and_come_in_order() {
        let kind: Order = testing::kind("classes = 6\nwidth = 4\ndropout = 0.5");
        let weights = testing::initial(&kind, vec![("features", features())]);
        assert_eq!((weights["fc7.weight"].size(), weights["fc8.weight"].size()), (vec![4, 10], vec![6, 12]));
        let x = Tensor::rand([2, 3, 5], tch::kind::FLOAT_CPU);
        let out = testing::forward(&kind, &weights, false, vec![("features", x.shallow_clone())]);
        let pair = |i: i64, j: i64| Tensor::cat(&[x.select(1, i), x.select(1, j)], 1);
        let hidden = |x: Tensor| x.linear(&weights["fc7.weight"], Some(&weights["fc7.bias"])).relu();
        let all = Tensor::cat(&[hidden(pair(0, 1)), hidden(pair(0, 2)), hidden(pair(1, 2))], 1);
        let logits = all.linear(&weights["fc8.weight"], Some(&weights["fc8.bias"]));
        assert!((out.tensor("logits") - logits).abs().max().double_value(&[]) < 1e-6);
    }

    #[test]
    fn clips_must_lie_on_an_item_axis() {
        let kind: Order = testing::kind("classes = 6\nwidth = 4\ndropout = 0");
        let ports = |port: Port| kind.ports(&Inputs::new(vec![("features".into(), port)]));
        assert_eq!(ports(features()).unwrap()[1].to_string(), "index [B, 12]");
        assert!(ports(Port::float([5.into()])).unwrap_err().message.contains("item axis"));
    }
}
