use super::dropout::{self, Kept};
use crate::prelude::*;

/// The head of clip order prediction (VCOP; OPN on frames): each pair of clips, the features of both in a row, goes through one
/// linear layer `fc7` with ReLU; all pairs in a row go through dropout and a second layer, `fc8`, to a logit for each order.
/// Pairs of N clips come as (0, 1), (0, 2) ... (N-2, N-1).
#[kind("head/order", inputs = In, outputs = Logits, draws = Kept, axes = Keep, source = "VCOP (Xu et al. 2019), section 3.3")]
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

#[derive(Ports)]
pub struct In<P: Plane> {
    /// `D` features of clips, on one item axis of at least 2
    features: P::Float,
}

/// How many pairs of clips there are.
fn pairs(clips: usize) -> usize {
    clips * clips.saturating_sub(1) / 2
}

/// `[clips, D]` to `[pairs, 2 D]`.
fn in_pairs<N: Custom>(net: &mut N, features: &N::Value) -> N::Value {
    net.custom(
        &[features],
        |sketch, x| match x[0].lengths() {
            [clips, channels] => sketch.value(vec![pairs(*clips), channels.saturating_mul(2)]),
            other => sketch.misfit(format!("features must be [clips, D], not {other:?}")),
        },
        |_, x| {
            let (size, clip) = (x[0].size(), |i: i64| x[0].select(1, i));
            ensure!(size.len() == 3 && size[1] > 1, "features must be [rows, clips, D], not {size:?}");
            let pair = |(i, j): (i64, i64)| Tensor::cat(&[clip(i), clip(j)], 1);
            let all: Vec<Tensor> = (0..size[1]).flat_map(|i| (i + 1..size[1]).map(move |j| (i, j))).map(pair).collect();
            Ok(Tensor::stack(&all, 1))
        },
    )
}

impl Kind for Order {
    fn drawn(&self, inputs: In<Shapes>) -> Result<Kept<Shapes>, PortFault> {
        let features = inputs.features;
        match &features.axes[..] {
            [axis] if axis.len() > 1 => {
                Ok(Kept { kept: Port::index([pairs(axis.len()).saturating_mul(self.width).into()]).with_range(2.into()) })
            }
            _ => Err(PortFault::port("features", format!("one item axis of at least 2 clips was expected; this is {features}"))),
        }
    }
    fn draw(&self, dice: Kept<Dice>, seen: &Seen<Self>) -> Result<Kept<Row>> {
        Ok(dropout::draw(dice, pairs(seen.inputs.features.shape[0]) * self.width, self.dropout, seen.training))
    }
}

impl ModelKind for Order {
    fn network<N: Custom>(&self, net: &mut N, inputs: In<N::Plane>, draws: Kept<N::Plane>) -> Logits<N::Plane> {
        let x = in_pairs(net, &inputs.features);
        let x = net.linear("fc7", &x, &layer::Linear::new(self.width));
        let x = net.relu(x);
        // all pairs of a sample in a row
        let x = net.flatten(&x);
        let x = dropout::layer(net, &x, &draws.kept, self.dropout);
        let x = net.linear("fc8", &x, &layer::Linear::new(self.classes));
        Logits { logits: net.full(&x) }
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
        let ports = |port: Port| testing::model_shapes(&kind, vec![("features", port)]);
        assert_eq!(ports(features()).unwrap()[1].to_string(), "index [B, 12]");
        assert!(ports(Port::float([5.into()])).unwrap_err().message.contains("item axis"));
    }
}
