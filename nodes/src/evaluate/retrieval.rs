use anyhow::{anyhow, bail, ensure, Result};
use dv_graph::kind::{Axes, In, Inputs, Kind, Out, PortFault, RowsNeeded};
use dv_graph::port::{Dim, Port, Rate, Type};
use dv_train::batch::{BatchIo, BatchKind, Table};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind as Dtype, Tensor};

/// Nearest-neighbour retrieval: the share of queries of whose `k` nearest rows in the gallery, by cosine, at least one has
/// the query's class. Computed in 64 bits; of equally near rows the first in the gallery counts as nearer.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retrieval {
    /// What is subtracted before rows are brought to unit length: the own mean of each of the two tables (DualVar), the
    /// gallery's mean from both, or nothing (IIC).
    centre: Centre,
    /// The `k` to report; at most the rows of the gallery.
    #[schemars(length(min = 1, max = 5), extend("items" = { "type": "integer", "enum": CUTS.map(|(k, _)| k) }))]
    k: Vec<usize>,
}

/// What rows are centred by.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Centre {
    /// Each table by its own mean.
    Each,
    /// Not at all.
    None,
    /// Both by the gallery's mean.
    Gallery,
}

const CUTS: [(usize, &str); 5] = [(1, "top1"), (5, "top5"), (10, "top10"), (20, "top20"), (50, "top50")];
/// Queries handled at a time.
const CHUNK: i64 = 256;

impl Kind for Retrieval {
    const NAME: &'static str = "evaluate/retrieval";
    const INPUTS: &'static [In] = &[
        In::new("gallery", &[Type::Table], "D", "rows with labels that are searched"),
        In::new("query", &[Type::Table], "D", "rows with labels to find"),
    ];
    const OUTPUTS: &'static [Out] = &[
        Out::new("top1", "", "fraction of queries found at k = 1; like the others given where `k` asks for it"),
        Out::new("top5", "", "at k = 5"),
        Out::new("top10", "", "at k = 10"),
        Out::new("top20", "", "at k = 20"),
        Out::new("top50", "", "at k = 50"),
        Out::new("similarity", "queries gallery", "the cosines"),
        Out::new("neighbours", "k", "of each query, the ids of as many nearest rows as the largest `k` asks for, the nearest first"),
        Out::new("ranks", "1", "of each query, how many rows of the gallery come before the first of its class"),
    ];
    const RATE: Rate = Rate::Stage;
    const AXES: Axes = Axes::None;

    fn rows_needed(&self) -> Option<RowsNeeded> {
        Some(RowsNeeded { input: "gallery", setting: "k", rows: self.most() })
    }
    fn ports(&self, _: &Inputs) -> Result<Vec<Port>, PortFault> {
        let similarity = Port::whole(Type::Float, [Dim::Symbol("queries".into()), Dim::Symbol("gallery".into())]);
        Ok(CUTS.iter().map(|_| Port::scalar()).chain([similarity, Port::table([self.most().into()]), Port::table([1.into()])]).collect())
    }
}

impl Retrieval {
    /// The largest `k` that is asked for.
    fn most(&self) -> usize {
        self.k.iter().copied().max().unwrap_or(1)
    }
}

impl BatchKind for Retrieval {
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        let (gallery, query) = (io.table("gallery")?, io.table("query")?);
        let (g, q) = (rows(&gallery), rows(&query));
        let [gallery_label, query_label] = [label(&gallery, "gallery")?, label(&query, "query")?];
        for k in &self.k {
            ensure!(*k <= gallery.ids.len(), "`k` asks for {k} neighbours in a gallery of {}", gallery.ids.len());
        }
        let mean = |x: &Tensor| x.mean_dim([0i64].as_slice(), true, None);
        let (g, q) = match self.centre {
            Centre::None => (g, q),
            Centre::Each => (&g - mean(&g), &q - mean(&q)),
            Centre::Gallery => (&g - mean(&g), q - mean(&g)),
        };
        let (g, q) = (unit(&g), unit(&q));
        let mut ranks = Vec::new();
        let mut similarities = Vec::new();
        let ids: Vec<i64> = gallery.ids.iter().map(|id| *id as i64).collect();
        let ids = Tensor::from_slice(&ids).to_device(g.device());
        let mut neighbours = Vec::new();
        for start in (0..q.size()[0]).step_by(CHUNK as usize) {
            let size = CHUNK.min(q.size()[0] - start);
            let similarity = q.narrow(0, start, size).matmul(&g.transpose(0, 1));
            if !bool::try_from(similarity.isfinite().all())? {
                bail!("there are features that are not finite");
            }
            ranks.push(first_rank(&similarity, &query_label.narrow(0, start, size), &gallery_label));
            let nearest = similarity.argsort_stable(true, 1, true).narrow(1, 0, self.most() as i64);
            neighbours.push(ids.index_select(0, &nearest.flatten(0, -1)).reshape(nearest.size()));
            similarities.push(similarity.to_kind(Dtype::Float));
        }
        let ranks = Tensor::cat(&ranks, 0);
        for (k, name) in CUTS {
            if self.k.contains(&k) {
                io.put(name, ranks.lt(k as i64).to_kind(Dtype::Double).mean(Dtype::Double));
            }
        }
        io.put("similarity", Tensor::cat(&similarities, 0));
        let neighbours = Tensor::cat(&neighbours, 0);
        io.put_table(
            "neighbours",
            Table { ids: query.ids.clone(), rows: neighbours, label: query.label.as_ref().map(Tensor::shallow_clone) },
        );
        io.put_table("ranks", Table { ids: query.ids, rows: ranks.unsqueeze(1), label: query.label });
        Ok(())
    }
}

fn rows(table: &Table) -> Tensor {
    table.rows.to_kind(Dtype::Double).flatten(1, -1)
}

fn label(table: &Table, name: &str) -> Result<Tensor> {
    table.label.as_ref().map(|l| l.to_device(table.rows.device())).ok_or_else(|| anyhow!("the rows of `{name}` have no labels"))
}

fn unit(x: &Tensor) -> Tensor {
    x / x.norm_scalaropt_dim(2, [1i64].as_slice(), true).clamp_min(1e-12)
}

/// How many rows of the gallery come before the first of the query's class; all of them where none is.
fn first_rank(similarity: &Tensor, query: &Tensor, gallery: &Tensor) -> Tensor {
    let count = |x: Tensor| x.sum_dim_intlist([1i64].as_slice(), false, Dtype::Int64);
    let other = query.unsqueeze(1).ne_tensor(&gallery.unsqueeze(0));
    let best = similarity.masked_fill(&other, f64::NEG_INFINITY).amax([1i64].as_slice(), true);
    let nearer = count(similarity.gt_tensor(&best));
    // of equally near rows those before the first of the class
    let level = similarity.eq_tensor(&best);
    let seen = level.logical_and(&other.logical_not()).to_kind(Dtype::Int64).cumsum(1, Dtype::Int64);
    nearer + count(level.logical_and(&seen.eq(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::mean::Mean;
    use crate::{parity::Case, testing};
    use dv_train::batch::Value;

    fn table(case: &Case, set: &str) -> Table {
        let features = case.given(&format!("{set}_feature"));
        let rows = features.size()[0] as usize;
        let inputs = vec![("rows", features), ("label", case.given(&format!("{set}_label")))];
        testing::run(&testing::kind::<Mean>("over = ['clip']"), rows, inputs).table("rows").shallow_clone()
    }

    fn score(kind: &str, gallery: Table, query: Table) -> Result<testing::Outputs> {
        testing::run_values(
            &testing::kind::<Retrieval>(kind),
            0,
            1,
            vec![("gallery", Value::Table(gallery)), ("query", Value::Table(query))],
        )
    }

    #[test]
    fn dualvars_protocol_equals_the_reference() {
        let case = Case::open("e_retrieval_dualvar");
        let query = table(&case, "test");
        case.tensor("test_mean_feature", &query.rows);
        let out = score("centre = 'each'\nk = [1, 5, 10, 20, 50]", table(&case, "train"), query).unwrap();
        case.tensor("similarity", out.tensor("similarity"));
        for name in ["top1", "top5", "top10", "top20", "top50"] {
            case.scalar(name, out.tensor(name));
        }
    }

    #[test]
    fn without_centring_the_shares_are_those_that_the_case_tells() {
        let case = Case::open("e_retrieval_dualvar");
        let out = score("centre = 'none'\nk = [1, 5, 10, 20, 50]", table(&case, "train"), table(&case, "test")).unwrap();
        for k in ["1", "5", "10", "20", "50"] {
            let expected = case.json["params"]["without_centring_would_be"][k].as_f64().unwrap();
            assert!((out.tensor(&format!("top{k}")).double_value(&[]) - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn iics_protocol_equals_the_reference() {
        let case = Case::open("e_retrieval_iic");
        let out = score("centre = 'none'\nk = [1, 5, 10, 20, 50]", table(&case, "train"), table(&case, "test")).unwrap();
        for name in ["top1", "top5", "top10", "top20", "top50"] {
            case.scalar(name, out.tensor(name));
        }
    }

    fn small(rows: &[f32], label: &[i64]) -> Table {
        let rows = Tensor::from_slice(rows).reshape([label.len() as i64, 2]);
        Table { ids: (0..label.len() as u64).collect(), rows, label: Some(Tensor::from_slice(label)) }
    }

    #[test]
    fn of_equally_near_rows_the_first_counts() {
        let gallery = [1., 0., 2., 0., 3., 0., 0., 1., 0., 1.];
        let hit = |label: i64| {
            let out = score("centre = 'none'\nk = [1, 5]", small(&gallery, &[0, 1, 1, 2, 3]), small(&[1., 0.], &[label])).unwrap();
            (out.tensor("top1").double_value(&[]), out.tensor("top5").double_value(&[]))
        };
        assert_eq!(hit(0), (1.0, 1.0));
        assert_eq!(hit(1), (0.0, 1.0));
        assert_eq!(hit(9), (0.0, 0.0));
    }

    #[test]
    fn neighbours_are_ids_the_nearest_first_and_of_equals_the_first() {
        let mut gallery = small(&[1., 0., 0., 1., 2., 0., 1., 1., -1., 0.], &[0, 1, 1, 2, 3]);
        gallery.ids = vec![10, 11, 12, 13, 14];
        let out = score("centre = 'none'\nk = [1, 5]", gallery, small(&[1., 0.1], &[0])).unwrap();
        assert_eq!(Vec::<i64>::try_from(out.table("neighbours").rows.flatten(0, -1)).unwrap(), [10, 12, 13, 11, 14]);
    }

    #[test]
    fn more_neighbours_than_rows_are_an_error() {
        let error = score("centre = 'none'\nk = [5]", small(&[1., 0.], &[0]), small(&[1., 0.], &[0])).err().unwrap();
        assert!(error.to_string().contains("gallery of 1"), "{error}");
        assert_eq!(testing::faults::<Retrieval>("centre = 'none'\nk = [3]").len(), 1);
    }
}
