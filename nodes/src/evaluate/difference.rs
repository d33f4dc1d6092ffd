use crate::limits;
use anyhow::{ensure, Result};
use dv_graph::kind::{Axes, In, Inputs, Kind, Out, PortFault};
use dv_graph::port::{Port, Rate, Type};
use dv_train::batch::{BatchIo, BatchKind, Table};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::HashMap;
use tch::{Kind as Dtype, Tensor};

/// By how much one retrieval finds more queries at `k` than another over the same queries, with the 95 % interval of a
/// paired bootstrap over the queries (percentiles).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// A query counts as found where its rank lies below this.
    #[schemars(range(min = 1, max = limits::ROWS))]
    k: i64,
    /// Bootstrap samples.
    #[schemars(range(min = 100, max = 100_000))]
    resamples: usize,
}

impl Kind for Difference {
    const NAME: &'static str = "evaluate/difference";
    const INPUTS: &'static [In] = &[
        In::new("better", &[Type::Table], "1", "ranks of the queries in the retrieval that should find more"),
        In::new("worse", &[Type::Table], "1", "ranks of the same queries in the other"),
    ];
    const OUTPUTS: &'static [Out] = &[
        Out::new("difference", "", "fraction found in `better` minus fraction found in `worse`"),
        Out::new("low", "", "2.5th percentile of the bootstrap"),
        Out::new("high", "", "97.5th percentile of the bootstrap"),
    ];
    const RATE: Rate = Rate::Stage;
    const AXES: Axes = Axes::None;
    const SEEDED: bool = true;

    fn ports(&self, _: &Inputs) -> Result<Vec<Port>, PortFault> {
        Ok(vec![Port::scalar(), Port::scalar(), Port::scalar()])
    }
}

/// 1 where the query was found, by sample id.
fn found(table: &Table, k: i64) -> Result<HashMap<u64, f64>> {
    let ranks = Vec::<i64>::try_from(table.rows.to_kind(Dtype::Int64).flatten(0, -1))?;
    Ok(table.ids.iter().zip(ranks).map(|(id, rank)| (*id, f64::from(u8::from(rank < k)))).collect())
}

impl BatchKind for Difference {
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        let (table, other) = (io.table("better")?, io.table("worse")?);
        let (better, worse) = (found(&table, self.k)?, found(&other, self.k)?);
        ensure!(
            better.len() == worse.len() && better.keys().all(|id| worse.contains_key(id)),
            "the two retrievals have different queries: {} and {}",
            better.len(),
            worse.len()
        );
        let differences: Vec<f64> = table.ids.iter().map(|id| better[id] - worse[id]).collect();
        let n = differences.len();
        let mut rng = io.batch_rng();
        let mut means: Vec<f64> = (0..self.resamples).map(|_| (0..n).map(|_| differences[rng.below(n)]).sum::<f64>() / n as f64).collect();
        means.sort_by(f64::total_cmp);
        let at = |q: f64| means[((self.resamples - 1) as f64 * q).round() as usize];
        io.put("difference", Tensor::from(differences.iter().sum::<f64>() / n as f64));
        io.put("low", Tensor::from(at(0.025)));
        io.put("high", Tensor::from(at(0.975)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use dv_train::batch::Value;

    fn ranks(ids: &[u64], ranks: &[i64]) -> Value {
        Value::Table(Table { ids: ids.to_vec(), rows: Tensor::from_slice(ranks).unsqueeze(1), label: None })
    }

    #[test]
    fn the_interval_holds_the_difference_and_pairs_by_query() {
        let kind = testing::kind::<Difference>("k = 1\nresamples = 2000");
        let ids: Vec<u64> = (0..100).collect();
        let reversed: Vec<u64> = (0..100).rev().collect();
        let better: Vec<i64> = (0..100).map(|i| i64::from(i >= 70)).collect();
        // queries 0..20 are found in both, listed the other way round
        let worse: Vec<i64> = (0..100).rev().map(|i| i64::from(i >= 20)).collect();
        let out = testing::run_values(&kind, 0, 1, vec![("better", ranks(&ids, &better)), ("worse", ranks(&reversed, &worse))]).unwrap();
        let get = |name| out.tensor(name).double_value(&[]);
        assert!((get("difference") - 0.5).abs() < 1e-12);
        // the deviation of the mean of 100 pairs with share one half is 0.05
        assert!((get("low") - 0.40).abs() < 0.02 && (get("high") - 0.60).abs() < 0.02, "{} {}", get("low"), get("high"));
    }

    #[test]
    fn other_queries_are_refused() {
        let kind = testing::kind::<Difference>("k = 1\nresamples = 100");
        assert!(testing::run_values(&kind, 0, 1, vec![("better", ranks(&[1, 2], &[0, 0])), ("worse", ranks(&[1, 3], &[0, 0]))]).is_err());
    }
}
