use crate::prelude::*;
use std::collections::{BTreeMap, HashMap};

/// By how much one retrieval or classifier finds more at `k` than another over the same videos (queries), with the 95 % interval of a
/// paired bootstrap (percentiles). The interval is that of the choice of test videos; it says nothing of how much another
/// training seed would change.
#[kind("evaluate/difference", inputs = In, outputs = Out, rate = Stage, axes = None, seeded = true, source = "standard; Efron 1979")]
pub struct Difference {
    /// A query counts as found where its rank lies below this.
    #[schemars(range(min = 1, max = limits::ROWS))]
    k: i64,
    /// Bootstrap samples.
    #[schemars(range(min = 100, max = 100_000))]
    resamples: usize,
    /// What a bootstrap sample draws with replacement: single queries (`"queries"`), or whole groups of queries that come from one
    /// source video (`"groups"`, the source's `group`), which is right where such clips are alike: on UCF101 intervals over queries are too narrow.
    /// Without it: queries.
    resample: Option<Resample>,
}

/// What a bootstrap draws.
#[choice]
enum Resample {
    Queries,
    Groups,
}

#[derive(Ports)]
pub struct In<P: Plane> {
    /// `1` ranks of the queries in the retrieval, or of the videos' classes in the classifier, that should find more
    better: P::Table,
    /// `1` ranks of the same queries in the other
    worse: P::Table,
}

#[derive(Ports)]
pub struct Out<P: Plane> {
    /// fraction found in `better` minus fraction found in `worse`
    difference: P::Scalar,
    /// 2.5th percentile of the bootstrap
    low: P::Scalar,
    /// 97.5th percentile of the bootstrap
    high: P::Scalar,
}

impl Kind for Difference {}

/// 1 where the query was found.
fn found(table: &Table, k: i64) -> Result<HashMap<&Sample, f64>> {
    let ranks = Vec::<i64>::try_from(table.rows.to_kind(Dtype::Int64).flatten(0, -1))?;
    Ok(table.samples.iter().zip(ranks).map(|(sample, rank)| (sample, f64::from(u8::from(rank < k)))).collect())
}

/// Of each unit that a bootstrap draws: the sum of the differences, and how many there are.
fn units(samples: &[Sample], differences: &[f64], resample: Resample) -> Vec<(f64, f64)> {
    if resample == Resample::Queries {
        return differences.iter().map(|d| (*d, 1.0)).collect();
    }
    let mut groups: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for (sample, difference) in samples.iter().zip(differences) {
        let (sum, count) = groups.entry(&sample.group).or_default();
        (*sum, *count) = (*sum + difference, *count + 1.0);
    }
    groups.into_values().collect()
}

impl BatchKind for Difference {
    fn run(&self, In { better: table, worse: other }: In<Batch>, cx: &Cx<Self>) -> Result<Out<Batch>> {
        let (better, worse) = (found(&table, self.k)?, found(&other, self.k)?);
        if let Some(alone) = better.keys().find(|s| !worse.contains_key(*s)).or_else(|| worse.keys().find(|s| !better.contains_key(*s))) {
            bail!("the two retrievals have different queries ({} and {}): {} is in one only", better.len(), worse.len(), alone.path);
        }
        let differences: Vec<f64> = table.samples.iter().map(|sample| better[sample] - worse[sample]).collect();
        let units = units(&table.samples, &differences, self.resample.unwrap_or(Resample::Queries));
        let n = units.len();
        let mut rng = cx.rng("resample");
        let mut mean = || {
            let drawn = (0..n).map(|_| units[rng.below(n)]);
            let (sum, count) = drawn.fold((0.0, 0.0), |(sum, count), (s, c)| (sum + s, count + c));
            sum / count
        };
        let mut means: Vec<f64> = (0..self.resamples).map(|_| mean()).collect();
        means.sort_by(f64::total_cmp);
        let at = |q: f64| means[((self.resamples - 1) as f64 * q).round() as usize];
        let difference = Tensor::from(differences.iter().sum::<f64>() / differences.len() as f64);
        Ok(Out { difference, low: Tensor::from(at(0.025)), high: Tensor::from(at(0.975)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use dv_train::exec::batch::Value;

    fn ranks(ids: &[u64], ranks: &[i64]) -> Value {
        let samples = ids.iter().map(|id| Sample { group: (id / 5).to_string().into(), ..Sample::new(&id.to_string()) });
        Value::Table(Table::new(samples.collect(), Tensor::from_slice(ranks).unsqueeze(1), None))
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

    /// Groups of five queries of which either all or none are found: the interval is that of twenty groups, sqrt(5) times as wide.
    #[test]
    fn groups_are_drawn_whole() {
        let ids: Vec<u64> = (0..100).collect();
        let better: Vec<i64> = (0..100).map(|i| i64::from(i >= 50)).collect();
        let worse = vec![1i64; 100];
        let width = |resample: &str| {
            let kind = testing::kind::<Difference>(&format!("k = 1\nresamples = 2000\n{resample}"));
            let out = testing::run_values(&kind, 0, 1, vec![("better", ranks(&ids, &better)), ("worse", ranks(&ids, &worse))]).unwrap();
            let get = |name| out.tensor(name).double_value(&[]);
            assert!((get("difference") - 0.5).abs() < 1e-12);
            get("high") - get("low")
        };
        assert_eq!(width(""), width("resample = 'queries'"));
        let ratio = width("resample = 'groups'") / width("");
        assert!((1.9..2.6).contains(&ratio), "{ratio}");
    }

    #[test]
    fn other_queries_are_refused() {
        let kind = testing::kind::<Difference>("k = 1\nresamples = 100");
        assert!(testing::run_values(&kind, 0, 1, vec![("better", ranks(&[1, 2], &[0, 0])), ("worse", ranks(&[1, 3], &[0, 0]))]).is_err());
    }
}
