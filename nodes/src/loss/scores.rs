//! What the losses over memory banks share: a sample's products with the rows that were drawn for it.

use super::symbol;
use anyhow::{ensure, Result};
use dv_graph::kind::{In, Inputs};
use dv_graph::port::{Dim, Port, Type};
use dv_train::exec::batch::BatchIo;
use dv_train::state::weights::Weights;
use tch::Tensor;

pub const FEATURES: In = In::new("features", &[Type::Float], "D", "features of one view");
pub const INDEX: In = In::new("index", &[Type::Index], "", "the sample's own row in the banks: its place in the set");
pub const POSITIVES: In =
    In::new("positives", &[Type::Float], "n D", "the other view's bank: the own row is the positive, drawn rows are negatives");
pub const NEGATIVES: In =
    In::new("negatives", &[Type::Float], "n D", "a bank of negatives alone, read at the same rows (IIC's intra-negatives)").optional();
pub const DRAWN: In = In::new("drawn", &[Type::Index], "K", "rows drawn for the sample, which may hit its own");

/// A port of the scores: `1 + K` columns, twice that where there is a bank of negatives alone.
pub fn port(inputs: &Inputs) -> Port {
    let banks = 1 + usize::from(inputs.get("negatives").is_some());
    let drawn = inputs.port("drawn").shape[0].known();
    Port::float([drawn.map_or_else(|| symbol("columns"), |k| Dim::Known(banks * (1 + k)))])
}

/// `[B, columns]`: products over the temperature. The other view's bank at the own row, then at the drawn ones; then
/// the bank of negatives at the same rows. And how many rows a bank has. No gradient reaches the banks.
pub fn scores(io: &BatchIo, temperature: f64) -> Result<(Tensor, i64)> {
    let features = Weights::full(&io.tensor("features")?);
    let rows = Tensor::cat(&[io.tensor("index")?.reshape([-1, 1]), io.tensor("drawn")?], 1);
    let size = features.size();
    let banks = [Some(io.tensor("positives")?), io.optional("negatives")];
    let mut columns = Vec::new();
    for bank in banks.iter().flatten() {
        let (bank, found) = (Weights::full(bank).detach(), bank.size());
        ensure!(found.len() == 2 && found[1] == size[1], "a bank {found:?} must be [n, {}], one feature a row", size[1]);
        // [B, 1 + K, D]
        let taken = bank.index_select(0, &rows.flatten(0, -1)).reshape([size[0], -1, size[1]]);
        columns.push(taken.bmm(&features.unsqueeze(2)).squeeze_dim(2));
    }
    let count = banks[0].as_ref().map_or(0, |b| b.size()[0]);
    Ok((Tensor::cat(&columns, 1) / temperature, count))
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::parity::Case;
    use crate::testing::Outputs;
    use tch::Kind;

    /// One view of a step of the reference's memory: its features against the other bank.
    pub fn inputs(case: &Case, features: &Tensor, step: usize, other: &Tensor, negatives: &Tensor) -> Vec<(&'static str, Tensor)> {
        // the case keeps the own row in column 0
        let index = case.given(&format!("idx{step}"));
        vec![
            ("features", features.shallow_clone()),
            ("index", index.select(1, 0)),
            ("positives", other.shallow_clone()),
            ("negatives", negatives.shallow_clone()),
            ("drawn", index.narrow(1, 1, index.size()[1] - 1)),
        ]
    }

    /// What a step leaves in a bank: `normalise(m * row + (1 - m) * feature)` at the samples' rows.
    pub fn updated(bank: &Tensor, index: &Tensor, features: &Tensor, momentum: f64) -> Tensor {
        let rows = bank.index_select(0, index) * momentum + features.detach() * (1.0 - momentum);
        let norm = rows.square().sum_dim_intlist([1i64].as_slice(), true, None).sqrt();
        bank.index_copy(0, index, &(rows / norm))
    }

    /// The reference's step over two views, both banks and the negatives' bank, as the registers would keep them.
    pub fn two_steps(case: &Case, mut banks: [Tensor; 3], run: impl Fn(Vec<(&'static str, Tensor)>, usize, usize) -> Outputs) {
        for step in 1..=2 {
            let given = |name: &str| case.given(&format!("{name}{step}"));
            let views = ["l", "ab"].map(|name| given(name).set_requires_grad(true));
            let mut total = Tensor::zeros([], (Kind::Float, tch::Device::Cpu));
            for (view, name) in ["l", "ab"].into_iter().enumerate() {
                let out = run(inputs(case, &views[view], step, &banks[1 - view], &banks[2]), view, step);
                case.tensor(&format!("out_{name}.step{step}"), out.tensor("logits"));
                case.scalar(&format!("loss_{name}.step{step}"), out.tensor("loss"));
                total += out.tensor("loss");
            }
            total.backward();
            for (view, name) in ["l", "ab"].into_iter().enumerate() {
                case.tensor(&format!("grad.{name}.step{step}"), &views[view].grad());
            }
            let index = case.given("y");
            let rows = [views[0].shallow_clone(), views[1].shallow_clone(), given("neg")];
            for (bank, rows) in banks.iter_mut().zip(&rows) {
                *bank = updated(bank, &index, rows, case.json["params"]["momentum"].as_f64().unwrap());
            }
            for (bank, name) in banks.iter().zip(["l", "ab", "neg"]) {
                case.tensor(&format!("after.memory_{name}.step{step}"), bank);
            }
        }
    }
}
