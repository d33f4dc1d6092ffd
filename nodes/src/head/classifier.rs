use super::dropout::{self, Kept};
use crate::prelude::*;

/// DualVar's classifier for fine-tuning and linear probes, on pooled features: L2 norm, batch norm and dropout, each where it
/// is asked for, then a linear layer with bias, which starts from N(0, 0.01) and 0.
#[kind("head/classifier", inputs = Features, outputs = Out, draws = Kept, source = "DualVar (Zhang et al. 2021), its code")]
pub struct Classifier {
    /// Classes, and so logits.
    #[schemars(range(min = 1, max = limits::CLASSES))]
    classes: usize,
    /// Probability that dropout sets a feature to 0 in training, before the linear layer; 0 has none. With it
    /// the linear layer is `final_fc.1`, without `final_fc.0`, as in the reference.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    dropout: f64,
    /// Whether features are divided by their L2 norm first (`use_l2_norm`).
    l2_norm: bool,
    /// Whether features then go through a batch norm, `final_bn` (`use_final_bn`).
    batch_norm: bool,
}

#[derive(Ports)]
pub struct Out<P: Plane> {
    /// `classes` one logit for each class
    logits: P::Float,
    /// `C` the features after the L2 norm and before the batch norm
    features: P::Float,
}

impl Kind for Classifier {
    fn drawn(&self, inputs: Features<Shapes>) -> Result<Kept<Shapes>, PortFault> {
        Ok(Kept { kept: Port::index(inputs.features.shape).with_range(2.into()) })
    }
    fn draw(&self, dice: Kept<Dice>, seen: &Seen<Self>) -> Result<Kept<Row>> {
        Ok(dropout::draw(dice, seen.inputs.features.shape[0], self.dropout, seen.training))
    }
}

impl ModelKind for Classifier {
    fn network<N: Custom>(&self, net: &mut N, inputs: Features<N::Plane>, draws: Kept<N::Plane>) -> Out<N::Plane> {
        let mut features = inputs.features;
        if self.l2_norm {
            features = net.full(&features);
            features = net.unit_norm(&features);
        }
        let x = if self.batch_norm { net.batch_norm("final_bn", &features) } else { net.share(&features) };
        let x = dropout::layer(net, &x, &draws.kept, self.dropout);
        let name = if self.dropout > 0.0 { "final_fc.1" } else { "final_fc.0" };
        let x = net.linear(name, &x, &layer::Linear::new(self.classes).init(Init::Normal(0.01), Init::Constant(0.0)));
        Out { logits: net.full(&x), features }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parity::Case, testing};
    use tch::{kind::FLOAT_CPU, Kind as Dtype, Tensor};

    const PLAIN: &str = "classes = 101\ndropout = 0\nl2_norm = false\nbatch_norm = false";

    #[test]
    fn the_plain_one_has_the_references_names_and_is_a_linear_layer() {
        let case = Case::open("c_linear_classifier_r3d_plain_train");
        let kind: Classifier = testing::kind(PLAIN);
        let port = vec![("features", Port::float([512.into()]))];
        let declared: Vec<(String, Vec<usize>)> = testing::parameters(&kind, port).into_iter().map(|p| (p.name, p.shape)).collect();
        let own = case.weight_shapes().into_iter().filter(|(name, _)| !name.starts_with("backbone."));
        assert_eq!(declared, own.collect::<Vec<_>>());
        let weights = case.weights();
        let features = Tensor::rand([3, 512], FLOAT_CPU);
        let logits = testing::forward(&kind, &weights, true, vec![("features", features.shallow_clone())]).take("logits");
        assert_eq!(logits, features.linear(&weights["final_fc.0.weight"], Some(&weights["final_fc.0.bias"])));
    }

    #[test]
    fn norms_come_before_the_linear_layer() {
        let kind: Classifier = testing::kind("classes = 4\ndropout = 0\nl2_norm = true\nbatch_norm = true");
        let weights = testing::initial(&kind, vec![("features", Port::float([6.into()]))]);
        let features = Tensor::rand([5, 6], FLOAT_CPU) * 3.0;
        let out = testing::forward(&kind, &weights, true, vec![("features", features.shallow_clone())]);
        let unit = &features / features.square().sum_dim_intlist([1i64].as_slice(), true, None).sqrt();
        let close = |a: &Tensor, b: &Tensor| assert!((a - b).abs().max().double_value(&[]) < 1e-5, "{a:?} {b:?}");
        close(out.tensor("features"), &unit);
        let (mean, variance) = (unit.mean_dim([0i64].as_slice(), true, None), unit.var_dim([0i64].as_slice(), false, true));
        let normed = (&unit - &mean) / (variance + 1e-5f64).sqrt();
        close(out.tensor("logits"), &normed.matmul(&weights["final_fc.0.weight"].transpose(0, 1)));
        close(&weights["final_bn.running_mean"], &(mean.squeeze() * 0.1));
        let again = testing::forward(&kind, &weights, false, vec![("features", features)]);
        assert!((again.tensor("logits") - out.tensor("logits")).abs().max().double_value(&[]) > 1e-4);
        assert_eq!(weights["final_bn.num_batches_tracked"].int64_value(&[]), 1);
        assert_eq!(weights["final_fc.0.weight"].kind(), Dtype::Float);
    }

    #[test]
    fn bad_settings_are_told() {
        assert_eq!(testing::faults::<Classifier>("classes = 0\ndropout = 1\nl2_norm = false\nbatch_norm = false").len(), 2);
    }
}
