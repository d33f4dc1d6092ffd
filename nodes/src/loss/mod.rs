//! Losses. Each is one value of the batch; logits and accuracies beside it are for looking at.

pub mod cross_entropy;
pub mod info_nce;
pub mod mean_square;
pub mod nce;
pub mod nce_constant;
pub mod nce_softmax;
pub mod nt_xent;
pub mod rank;
mod scores;
pub mod sum;
pub mod temporal_coherence;
pub mod temporal_coherence_queue;

use anyhow::{ensure, Result};
use dv_graph::port::{Dim, Port, Type};
use dv_train::exec::batch::NodeEntry;
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Reduction, Tensor};

pub static NODES: &[NodeEntry] = &[
    NodeEntry::batch::<nt_xent::NtXent>(),
    NodeEntry::batch::<temporal_coherence::TemporalCoherence>(),
    NodeEntry::batch::<rank::Rank>(),
    NodeEntry::batch::<info_nce::InfoNce>(),
    NodeEntry::batch::<temporal_coherence_queue::TemporalCoherenceQueue>(),
    NodeEntry::batch::<nce_softmax::NceSoftmax>(),
    NodeEntry::batch::<nce::Nce>(),
    NodeEntry::batch::<nce_constant::NceConstant>(),
    NodeEntry::batch::<cross_entropy::CrossEntropy>(),
    NodeEntry::batch::<mean_square::MeanSquare>(),
    NodeEntry::batch::<sum::Sum>(),
];

/// The gradient of a loss that gathers features over the `world` parts of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Gradient {
    /// That of the loss of the whole batch.
    Exact,
    /// That of the published code on `world` processes: its gather passes gradients to a process's own features only,
    /// and data parallelism then averages over processes.
    Published,
}

fn symbol(name: &str) -> Dim {
    Dim::Symbol(name.into())
}

/// A matrix of the batch as a whole.
fn matrix(rows: &str, columns: &str) -> Port {
    Port::whole(Type::Float, [symbol(rows), symbol(columns)])
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
    let target = Tensor::zeros(logits.size()[0], (Kind::Int64, logits.device()));
    logits.cross_entropy_loss::<Tensor>(&target, None, Reduction::Mean, -100, 0.0)
}

/// The share of rows in which column 0 is among the `k` largest. Ties and NaN count against it.
fn first_column_in_top(logits: &Tensor, k: i64) -> Tensor {
    let logits = logits.detach();
    let others = logits.size()[1] - 1;
    let beaten = logits.narrow(1, 1, others).lt_tensor(&logits.narrow(1, 0, 1)).sum_dim_intlist([1i64].as_slice(), false, Kind::Int64);
    (others - beaten).lt(k).to_kind(Kind::Float).mean(Kind::Float)
}

/// Rows of each of `world` equal parts.
fn part_size(batch: i64, world: usize) -> Result<i64> {
    ensure!(world > 0 && batch % world as i64 == 0, "a batch of {batch} cannot be cut in {world} equal parts");
    Ok(batch / world as i64)
}
