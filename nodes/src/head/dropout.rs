//! Dropout whose draws are the node's own: shown on its output `kept`, reused where an edge brings them.

use crate::prelude::*;

#[derive(Ports)]
pub struct Kept<P: Plane> {
    /// `width` 1 where dropout keeps a value; 1 everywhere outside training
    #[range("2")]
    pub kept: P::Index,
}

/// So many draws.
pub fn draw(mut dice: Kept<Dice>, width: usize, probability: f64, training: bool) -> Kept<Row> {
    let drops = training && probability > 0.0;
    Kept { kept: (0..width).map(|_| i64::from(!(drops && dice.kept.chance(probability)))).collect() }
}

/// The layer: `x [width]` with values set to 0 at this probability, and the others scaled to make up for it, in training.
pub fn layer<N: Custom>(net: &mut N, x: &N::Value, kept: &N::Value, probability: f64) -> N::Value {
    net.custom(
        &[x, kept],
        |sketch, x| {
            if probability > 0.0 {
                sketch.keep(x[1]);
            }
            sketch.value(x[0].lengths().to_vec())
        },
        |forward, x| {
            if !forward.weights.training() || probability == 0.0 {
                return Ok(x[0].shallow_clone());
            }
            ensure!(x[1].size() == x[0].size(), "`kept` {:?} must be {:?}", x[1].size(), x[0].size());
            Ok(x[0] * x[1].to_kind(x[0].kind()) / (1.0 - probability))
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::classifier::Classifier;
    use crate::testing;
    use std::collections::HashMap;

    /// A classifier that hands its features on: what is dropped shows in the logits.
    fn through(training: bool, inputs: Vec<(&str, Tensor)>) -> testing::Outputs {
        let kind: Classifier = testing::kind("classes = 400\ndropout = 0.25\nl2_norm = false\nbatch_norm = false");
        let weights: HashMap<String, Tensor> = HashMap::from([
            ("final_fc.1.weight".to_string(), Tensor::eye(400, tch::kind::FLOAT_CPU)),
            ("final_fc.1.bias".to_string(), Tensor::zeros([400], tch::kind::FLOAT_CPU)),
        ]);
        testing::forward(&kind, &weights, training, inputs)
    }

    #[test]
    fn a_quarter_is_dropped_in_training_and_nothing_afterwards() {
        let ones = || Tensor::ones([3, 400], tch::kind::FLOAT_CPU);
        assert_eq!(*through(false, vec![("features", ones())]).tensor("logits"), ones());
        let trained = through(true, vec![("features", ones())]);
        let (logits, kept) = (trained.tensor("logits"), trained.tensor("kept"));
        assert!((logits - kept / 0.75).abs().max().double_value(&[]) < 1e-6);
        let share = kept.mean(Dtype::Double).double_value(&[]);
        assert!((share - 0.75).abs() < 0.05, "{share}");
        assert_ne!(kept.get(0), kept.get(1));
        let again = through(true, vec![("features", ones()), ("kept", kept.shallow_clone())]);
        assert_eq!(again.tensor("logits"), logits);
        assert_eq!(through(true, vec![("features", ones())]).tensor("kept"), kept);
    }
}
