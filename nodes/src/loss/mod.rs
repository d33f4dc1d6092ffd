//! Losses. Each is one value of the batch; logits and accuracies beside it are for looking at.

use crate::prelude::*;

mod scores;

family! {
    batch nt_xent::NtXent,
    batch temporal_coherence::TemporalCoherence,
    batch rank::Rank,
    batch info_nce::InfoNce,
    batch temporal_coherence_queue::TemporalCoherenceQueue,
    batch nce_softmax::NceSoftmax,
    batch nce::Nce,
    batch nce_constant::NceConstant,
    batch cross_entropy::CrossEntropy,
    batch mean_square::MeanSquare,
    batch sum::Sum,
}

#[derive(Ports)]
pub struct Loss<P: Plane> {
    /// the mean over the batch
    pub loss: P::Scalar,
}

/// The gradient of a loss that gathers features over the `world` parts of a batch.
#[choice]
pub enum Gradient {
    /// That of the loss of the whole batch.
    Exact,
    /// That of the published code on `world` processes: its gather passes gradients to a process's own features only,
    /// and data parallelism then averages over processes.
    Published,
}

/// `[anchors, n - 1]`: similarities of anchors with their positives (column 0), then with all others in order, over the
/// temperature. `all` holds `n` features of which the second half are the positives of the first; `rows` says which of
/// them the anchors are.
fn contrast(anchors: &Tensor, all: &Tensor, rows: &[usize], temperature: f64) -> Tensor {
    let n = all.size()[0] as usize;
    let columns: Vec<i64> = rows.iter().flat_map(|&row| positive_first(row, n)).collect();
    let columns = Tensor::from_slice(&columns).reshape([rows.len() as i64, n as i64 - 1]).to_device(all.device());
    anchors.matmul(&all.transpose(0, 1)).gather(1, &columns, false) / temperature
}

/// The partner of `row` among `n` in two halves, then all others but `row` itself.
fn positive_first(row: usize, n: usize) -> impl Iterator<Item = i64> {
    let positive = (row + n / 2) % n;
    std::iter::once(positive).chain((0..n).filter(move |i| *i != row && *i != positive)).map(|i| i as i64)
}

/// Cross-entropy of logits whose true class is column 0.
fn first_column_loss(logits: &Tensor) -> Tensor {
    let target = Tensor::zeros(logits.size()[0], (Dtype::Int64, logits.device()));
    logits.cross_entropy_loss::<Tensor>(&target, None, Reduction::Mean, -100, 0.0)
}

/// The share of rows in which column 0 is among the `k` largest. Ties and NaN count against it.
fn first_column_in_top(logits: &Tensor, k: i64) -> Tensor {
    let logits = logits.detach();
    let others = logits.size()[1] - 1;
    let beaten = logits.narrow(1, 1, others).lt_tensor(&logits.narrow(1, 0, 1)).sum_dim_intlist([1i64].as_slice(), false, Dtype::Int64);
    (others - beaten).lt(k).to_kind(Dtype::Float).mean(Dtype::Float)
}

/// Rows of each of `world` equal parts.
fn part_size(batch: i64, world: usize) -> Result<i64> {
    ensure!(world > 0 && batch % world as i64 == 0, "a batch of {batch} cannot be cut in {world} equal parts");
    Ok(batch / world as i64)
}
