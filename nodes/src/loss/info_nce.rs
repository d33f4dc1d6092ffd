use super::{first_column_in_top, first_column_loss};
use crate::prelude::*;

/// InfoNCE against a queue, the loss of MoCo: for each query, cross-entropy of its product with its own key against its
/// products with all negatives. Features are used as they come; give unit ones. Each row sees its own key and the queue
/// alone, so the loss and its gradient are the same whatever `world` is. No gradient reaches the negatives.
#[kind("loss/info_nce", inputs = In, outputs = Contrast, rate = Batch, axes = None, source = "MoCo (He et al. 2020), equation 1")]
pub struct InfoNce {
    /// What products are divided by; 0.07 in MoCo and in DualVar.
    #[schemars(range(max = limits::TEMPERATURE), extend("exclusiveMinimum" = 0.0))]
    temperature: f64,
}

#[derive(Ports)]
pub struct In<P: Plane> {
    /// `D` features of one view
    query: P::Float,
    /// `D` features of the other view, as the key encoder gives them
    key: P::Float,
    /// `K D` the queue: keys of earlier batches, one a row
    negatives: P::Float,
}

/// What a contrast with a queue tells.
#[derive(Ports)]
pub struct Contrast<P: Plane> {
    /// the mean over the batch
    loss: P::Scalar,
    /// `1+K` similarities over the temperature: the own key's in column 0, then the queue's
    logits: P::Float,
    /// the true column, 0 in every row
    #[range("1+K")]
    labels: P::Index,
    /// share of rows whose own key is the nearest
    top1: P::Scalar,
    /// share of rows whose own key is among the five nearest
    top5: P::Scalar,
}

/// Its ports, for so many negatives.
pub(super) fn ports(negatives: &Dim) -> Contrast<Shapes> {
    let columns = negatives.known().map_or_else(|| Dim::Symbol("1+K".into()), |k| (k + 1).into());
    let (loss, logits, labels) = (Port::scalar(), Port::float([columns.clone()]), Port::index([]).with_range(columns));
    Contrast { loss, logits, labels, top1: Port::scalar(), top5: Port::scalar() }
}

/// For `query` and `key` `[B, D]` and `negatives` `[K, D]`.
pub(super) fn contrast(query: &Tensor, key: &Tensor, negatives: &Tensor, temperature: f64) -> Contrast<Batch> {
    let own = (query * key).sum_dim_intlist([1i64].as_slice(), true, None);
    let queue = query.matmul(&negatives.detach().transpose(0, 1));
    let logits = Tensor::cat(&[own, queue], 1) / temperature;
    Contrast {
        loss: first_column_loss(&logits),
        labels: Tensor::zeros([logits.size()[0]], (Dtype::Int64, logits.device())),
        top1: first_column_in_top(&logits, 1),
        top5: first_column_in_top(&logits, 5),
        logits,
    }
}

impl Kind for InfoNce {
    fn ports(&self, inputs: In<Shapes>) -> Result<Contrast<Shapes>, PortFault> {
        Ok(ports(&inputs.negatives.shape[0]))
    }
}

impl BatchKind for InfoNce {
    fn run(&self, inputs: In<Batch>, _: &Cx<Self>) -> Result<Contrast<Batch>> {
        let (query, key, negatives) = (full(&inputs.query), full(&inputs.key), full(&inputs.negatives));
        let dim = query.size()[1];
        let [rows, length] = <[i64; 2]>::try_from(negatives.size()).unwrap_or([0, 0]);
        ensure!(length == dim, "`negatives` {:?} must be [K, {dim}], one feature a row", negatives.size());
        ensure!(rows > 0, "there are no negatives");
        Ok(contrast(&query, &key, &negatives, self.temperature))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use dv_train::exec::batch::Value;
    use tch::kind::FLOAT_CPU;

    #[test]
    fn loss_and_gradients_are_those_of_the_definition() {
        let kind: InfoNce = testing::kind("temperature = 0.07");
        let unit = |rows: i64| {
            let x = Tensor::randn([rows, 8], FLOAT_CPU);
            (&x / x.norm_scalaropt_dim(2, [-1i64].as_slice(), true)).set_requires_grad(true)
        };
        let (query, key, queue) = (unit(3), unit(3), unit(5));
        let [q, k, n] = [&query, &key, &queue].map(Tensor::shallow_clone);
        let out = testing::run_world(&kind, 3, 3, vec![("query", q), ("key", k), ("negatives", n)]);
        out.tensor("loss").backward();
        assert!(!queue.grad().defined());
        let rows = |t: &Tensor| Vec::<Vec<f64>>::try_from(t.detach().to_kind(Dtype::Double)).unwrap();
        let (q, k, n) = (rows(&query), rows(&key), rows(&queue));
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>() / 0.07;
        let (mut loss, mut towards) = (0.0, vec![vec![0.0; 8]; 3]);
        for row in 0..3 {
            let all: Vec<f64> = std::iter::once(dot(&q[row], &k[row])).chain(n.iter().map(|x| dot(&q[row], x))).collect();
            let sum: f64 = all.iter().map(|x| x.exp()).sum();
            loss -= (all[0].exp() / sum).ln() / 3.0;
            for (d, g) in towards[row].iter_mut().enumerate() {
                *g = (all[0].exp() / sum - 1.0) * q[row][d] / 0.07 / 3.0;
            }
            let logits = rows(out.tensor("logits"));
            assert!(all.iter().zip(&logits[row]).all(|(a, b)| (a - b).abs() < 1e-4));
        }
        assert!((out.tensor("loss").double_value(&[]) - loss).abs() < 1e-5);
        let found = rows(&key.grad());
        assert!(found.concat().iter().zip(towards.concat()).all(|(a, b)| (a - b).abs() < 1e-4));
        assert_eq!(Vec::<i64>::try_from(out.tensor("labels")).unwrap(), [0, 0, 0]);
    }

    #[test]
    fn negatives_the_wrong_way_round_are_told() {
        let kind: InfoNce = testing::kind("temperature = 1");
        let value = |shape: [i64; 2]| Value::Tensor(Tensor::zeros(shape, FLOAT_CPU));
        let inputs = vec![("query", value([2, 4])), ("key", value([2, 4])), ("negatives", value([4, 9]))];
        let fault = testing::run_values(&kind, 2, 1, inputs).err().unwrap().to_string();
        assert!(fault.contains("[K, 4]"), "{fault}");
        assert_eq!(testing::faults::<InfoNce>("temperature = 0").len(), 1);
    }
}
