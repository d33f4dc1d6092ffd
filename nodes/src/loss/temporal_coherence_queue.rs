use super::info_nce::{self, contrast, Contrast};
use crate::prelude::*;

/// Temporal coherence against a queue, as DualVar computes it on MoCo: InfoNCE in which the similarity of two clips is the
/// mean of all N x N products of their segments' features. That is the product of the clips' mean features, which are not
/// normalised again. No gradient reaches the negatives; the loss is the same whatever `world` is.
#[kind("loss/temporal_coherence_queue", inputs = In, outputs = Contrast, rate = Batch, axes = None, source = "DualVar (Zhang et al. 2021), section 3.4, and its code")]
pub struct TemporalCoherenceQueue {
    /// What similarities are divided by; 0.07 in DualVar.
    #[schemars(range(max = limits::TEMPERATURE), extend("exclusiveMinimum" = 0.0))]
    temperature: f64,
}

#[derive(Ports)]
pub struct In<P: Plane> {
    /// `N D` segment features of one clip, unit length each
    query: P::Float,
    /// `N D` segment features of the other clip, as the key encoder gives them
    key: P::Float,
    /// `K ...` the queue: series of earlier batches, `N D` each, or all of one in a row
    negatives: P::Float,
}

impl Kind for TemporalCoherenceQueue {
    fn ports(&self, inputs: In<Shapes>) -> Result<Contrast<Shapes>, PortFault> {
        let (segments, dim) = (length(&inputs.query, "query", 0)?, length(&inputs.query, "query", 1)?);
        let queue = &inputs.negatives.shape;
        let lengths: Vec<Option<usize>> = queue[1..].iter().map(|d| d.known()).collect();
        if lengths != [Some(segments), Some(dim)] && lengths != [Some(segments * dim)] {
            let found = &inputs.negatives;
            return Err(PortFault::port("negatives", format!("rows of {segments} x {dim} were expected; this is {found}")));
        }
        Ok(info_nce::ports(&queue[0]))
    }
}

impl BatchKind for TemporalCoherenceQueue {
    fn run(&self, In { query, key, negatives }: In<Batch>, _: &Cx<Self>) -> Result<Contrast<Batch>> {
        let [_, segments, dim] = <[i64; 3]>::try_from(query.size()).unwrap_or([0; 3]);
        let found = negatives.size();
        ensure!(found[0] > 0, "there are no negatives");
        let fits = segments > 0 && found[1..].iter().product::<i64>() == segments * dim;
        ensure!(fits, "`negatives` {found:?} must be [K, {segments}, {dim}], one series a row");
        let mean = |x: &Tensor| full(x).mean_dim([1i64].as_slice(), false, None);
        let negatives = mean(&negatives.reshape([-1, segments, dim]));
        Ok(contrast(&mean(&query), &mean(&key), &negatives, self.temperature))
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
        let series = |name: &'static str| (name, Port::float([2.into(), 64.into()]));
        let queue = |shape: &[usize]| ("negatives", Port::whole(Type::Float, shape.iter().map(|n| (*n).into())));
        let ports = |shape: &[usize]| testing::shapes(&kind, vec![series("query"), series("key"), queue(shape)]);
        assert_eq!(ports(&[12, 2, 64]).unwrap()[1].to_string(), "float [B, 13]");
        assert!(ports(&[12, 128]).is_ok());
        assert!(ports(&[12, 64]).unwrap_err().message.contains("2 x 64"));
    }
}
