//! Dropout whose draws are the node's own: shown on its output `kept`, reused where an edge brings them.

use anyhow::{ensure, Result};
use dv_graph::kind::Out;
use dv_graph::port::{Dim, Port};
use dv_train::exec::batch::BatchIo;
use dv_train::state::weights::Weights;
use tch::{Kind, Tensor};

pub const KEPT: Out = Out::draw("kept", "width", "1 where dropout keeps a value; 1 everywhere outside training");

pub fn port(width: impl Into<Dim>) -> Port {
    Port::index([width.into()]).with_range(2.into())
}

/// `x [rows, width]` with values set to 0 at this probability, and the others scaled to make up for it, in training.
pub fn apply(io: &mut BatchIo, weights: &Weights, x: &Tensor, probability: f64) -> Result<Tensor> {
    let size = x.size();
    if !weights.training() || probability == 0.0 {
        io.put("kept", Tensor::ones(&size[..], (Kind::Int64, x.device())));
        return Ok(x.shallow_clone());
    }
    let kept = io.draw_index("kept", &size[1..], |rng, _| (0..size[1]).map(|_| i64::from(!rng.chance(probability))).collect())?;
    ensure!(kept.size() == size, "`kept` {:?} must be {size:?}", kept.size());
    Ok(x * kept.to_kind(x.kind()) / (1.0 - probability))
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
        let share = kept.mean(Kind::Double).double_value(&[]);
        assert!((share - 0.75).abs() < 0.05, "{share}");
        assert_ne!(kept.get(0), kept.get(1));
        let again = through(true, vec![("features", ones()), ("kept", kept.shallow_clone())]);
        assert_eq!(again.tensor("logits"), logits);
        assert_eq!(through(true, vec![("features", ones())]).tensor("kept"), kept);
    }
}
