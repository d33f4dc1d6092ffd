//! What the losses over memory banks share: a sample's products with the rows that were drawn for it.

use crate::prelude::*;

#[derive(Ports)]
pub struct Rows<P: Plane> {
    /// `D` features of one view
    pub features: P::Float,
    /// the sample's own row in the banks: its place in the set
    pub index: P::Index,
    /// `n D` the other view's bank: the own row is the positive, drawn rows are negatives
    pub positives: P::Float,
    /// `n D` a bank of negatives alone, read at the same rows (IIC's intra-negatives)
    pub negatives: Option<P::Float>,
    /// `K` rows drawn for the sample, which may hit its own
    pub drawn: P::Index,
}

/// A port of the scores: `1 + K` columns, twice that where there is a bank of negatives alone.
pub fn columns(negatives: bool, drawn: &Port) -> Port {
    let banks = 1 + usize::from(negatives);
    Port::float([drawn.shape[0].known().map_or_else(|| Dim::Symbol("columns".into()), |k| Dim::Known(banks * (1 + k)))])
}

/// `[B, columns]`: products over the temperature. The other view's bank at the own row, then at the drawn ones; then
/// the bank of negatives at the same rows. And how many rows a bank has. No gradient reaches the banks.
pub fn scores(inputs: Rows<Batch>, temperature: f64) -> Result<(Tensor, i64)> {
    let features = full(&inputs.features);
    let rows = Tensor::cat(&[inputs.index.reshape([-1, 1]), inputs.drawn], 1);
    let (size, count) = (features.size(), inputs.positives.size()[0]);
    let mut columns = Vec::new();
    for bank in std::iter::once(inputs.positives).chain(inputs.negatives) {
        let (bank, found) = (full(&bank).detach(), bank.size());
        ensure!(found.len() == 2 && found[1] == size[1], "a bank {found:?} must be [n, {}], one feature a row", size[1]);
        // [B, 1 + K, D]
        let taken = bank.index_select(0, &rows.flatten(0, -1)).reshape([size[0], -1, size[1]]);
        columns.push(taken.bmm(&features.unsqueeze(2)).squeeze_dim(2));
    }
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
