use super::info_nce;
use crate::limits;
use crate::pixels::length;
use anyhow::{ensure, Result};
use dv_graph::kind::{Axes, In, Inputs, Kind, Out, PortFault};
use dv_graph::port::{Port, Rate, Type};
use dv_train::exec::batch::{BatchIo, BatchKind};
use dv_train::state::weights::Weights;
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;

/// Temporal coherence against a queue, as DualVar computes it on MoCo: InfoNCE in which the similarity of two clips is the
/// mean of all N x N products of their segments' features. That is the product of the clips' mean features, which are not
/// normalised again. No gradient reaches the negatives; the loss is the same whatever `world` is.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TemporalCoherenceQueue {
    /// What similarities are divided by; 0.07 in DualVar.
    #[schemars(range(max = limits::TEMPERATURE), extend("exclusiveMinimum" = 0.0))]
    temperature: f64,
}

impl Kind for TemporalCoherenceQueue {
    const NAME: &'static str = "loss/temporal_coherence_queue";
    const INPUTS: &'static [In] = &[
        In::new("query", &[Type::Float], "N D", "segment features of one clip, unit length each"),
        In::new("key", &[Type::Float], "N D", "segment features of the other clip, as the key encoder gives them"),
        In::new("negatives", &[Type::Float], "K ...", "the queue: series of earlier batches, `N D` each, or all of one in a row"),
    ];
    const OUTPUTS: &'static [Out] = info_nce::OUTPUTS;
    const RATE: Rate = Rate::Batch;
    const AXES: Axes = Axes::None;

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        let (segments, dim) = (length(inputs, "query", 0)?, length(inputs, "query", 1)?);
        let queue = &inputs.port("negatives").shape;
        let lengths: Vec<Option<usize>> = queue[1..].iter().map(|d| d.known()).collect();
        if lengths != [Some(segments), Some(dim)] && lengths != [Some(segments * dim)] {
            let found = inputs.port("negatives");
            return Err(PortFault::input("negatives", format!("rows of {segments} x {dim} were expected; this is {found}")));
        }
        Ok(info_nce::ports(&queue[0]))
    }
}

impl BatchKind for TemporalCoherenceQueue {
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        let (query, key, negatives) = (io.tensor("query")?, io.tensor("key")?, io.tensor("negatives")?);
        let [_, segments, dim] = <[i64; 3]>::try_from(query.size()).unwrap_or([0; 3]);
        let found = negatives.size();
        ensure!(found[0] > 0, "there are no negatives");
        ensure!(
            segments > 0 && found[1..].iter().product::<i64>() == segments * dim,
            "`negatives` {found:?} must be [K, {segments}, {dim}], one series a row"
        );
        let mean = |x: &Tensor| Weights::full(x).mean_dim([1i64].as_slice(), false, None);
        let negatives = mean(&negatives.reshape([-1, segments, dim]));
        info_nce::put(io, &mean(&query), &mean(&key), &negatives, self.temperature);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parity::Case, testing};

    #[test]
    fn loss_logits_and_gradients_equal_the_reference() {
        let case = Case::open("b_moco_tc_loss_s2");
        let (query, key) = (case.given("q").set_requires_grad(true), case.given("k").set_requires_grad(true));
        let kind: TemporalCoherenceQueue = testing::kind("temperature = 0.07");
        // the reference keeps a series in a column
        let queue = case.given("queue").transpose(0, 1);
        let inputs = vec![("query", query.shallow_clone()), ("key", key.shallow_clone()), ("negatives", queue)];
        let out = testing::run(&kind, 3, inputs);
        case.tensor("tc_logits", out.tensor("logits"));
        case.tensor("tc_labels", out.tensor("labels"));
        case.scalar("tc_contrast_loss", out.tensor("loss"));
        out.tensor("loss").backward();
        case.tensor("grad.q", &query.grad());
        case.tensor("grad.k", &key.grad());
    }

    #[test]
    fn a_queue_of_other_series_is_a_fault() {
        let kind: TemporalCoherenceQueue = testing::kind("temperature = 0.07");
        let series = |name: &str| (name.to_string(), Port::float([2.into(), 64.into()]));
        let queue = |shape: &[usize]| ("negatives".to_string(), Port::whole(Type::Float, shape.iter().map(|n| (*n).into())));
        let ports = |shape: &[usize]| kind.ports(&Inputs::new(vec![series("query"), series("key"), queue(shape)]));
        assert_eq!(ports(&[12, 2, 64]).unwrap()[1].to_string(), "float [B, 13]");
        assert!(ports(&[12, 128]).is_ok());
        assert!(ports(&[12, 64]).unwrap_err().message.contains("2 x 64"));
    }
}
