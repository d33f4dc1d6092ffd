use anyhow::{anyhow, ensure, Result};
use dv_datasets::overlap::{self, Item};
use dv_graph::kind::{Axes, In, Inputs, Kind, Out, PortFault, RowsNeeded};
use dv_graph::port::{Dim, Port, Rate, Type};
use dv_train::exec::batch::{BatchIo, BatchKind, Table};
use dv_train::run::progress::note;
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
/// Bytes of the similarities that are handled at a time.
const CHUNK_BYTES: i64 = 256 << 20;
/// Rows of the gallery that one product takes. BLAS copies the whole second factor into an order of its own.
const TILE_ROWS: i64 = 8192;

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
        Out::new("similarity", "queries gallery", "the cosines; made only where something reads them"),
        Out::new("neighbours", "k", "of each query, the positions in the gallery of as many nearest rows as the largest `k` asks for, the nearest first; made only where something reads them"),
        Out::new("ranks", "1", "of each query, how many rows of the gallery come before the first of its class"),
    ];
    const RATE: Rate = Rate::Stage;
    const AXES: Axes = Axes::None;

    fn rows_needed(&self) -> Option<RowsNeeded> {
        Some(RowsNeeded { input: "gallery", setting: "k", rows: self.most() })
    }
    fn apart(&self) -> Option<[&'static str; 2]> {
        Some(["gallery", "query"])
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
        let [gallery_label, query_label] = [label(&gallery, "gallery")?, label(&query, "query")?];
        for k in &self.k {
            ensure!(*k <= gallery.len(), "`k` asks for {k} neighbours in a gallery of {}", gallery.len());
        }
        for line in overlap::shared(items(&gallery), items(&query)).lines("the gallery", "the queries") {
            note(&format!("retrieval: {line}"));
        }
        let (g, q) = self.unit_rows(&gallery, &query);
        for (name, rows) in [("gallery", &g), ("query", &q)] {
            // rows of unit length: a sum of finite ones is finite
            ensure!(f64::try_from(rows.sum(Dtype::Double))?.is_finite(), "`{name}` holds features that are not finite");
        }
        let (nearest_wanted, similarity_wanted) = (io.wants("neighbours"), io.wants("similarity"));
        let (mut ranks, mut neighbours, mut similarities) = (Vec::new(), Vec::new(), Vec::new());
        let (queries, chunk) = (q.size()[0], (CHUNK_BYTES / 8 / gallery.len() as i64).max(1));
        for start in (0..queries).step_by(chunk as usize) {
            let size = chunk.min(queries - start);
            let similarity = similarity(&q.narrow(0, start, size), &g);
            ranks.push(first_rank(&similarity, &query_label.narrow(0, start, size), &gallery_label)?);
            if nearest_wanted {
                neighbours.push(nearest(&similarity, self.most() as i64)?);
            }
            if similarity_wanted {
                similarities.push(similarity.to_kind(Dtype::Float));
            }
        }
        let ranks = Tensor::cat(&ranks, 0);
        for (k, name) in CUTS {
            if self.k.contains(&k) {
                io.put(name, ranks.lt(k as i64).to_kind(Dtype::Double).mean(Dtype::Double));
            }
        }
        if similarity_wanted {
            io.put("similarity", Tensor::cat(&similarities, 0));
        }
        if nearest_wanted {
            let label = query.label.as_ref().map(Tensor::shallow_clone);
            let neighbours = Table { of: Some(gallery.samples), ..Table::new(query.samples.clone(), Tensor::cat(&neighbours, 0), label) };
            io.put_table("neighbours", neighbours);
        }
        io.put_table("ranks", Table::new(query.samples, ranks.unsqueeze(1), query.label));
        Ok(())
    }
}

impl Retrieval {
    /// Both tables as rows of unit length, centred as the settings say. Copied once each, then changed in place: a gallery may be large.
    fn unit_rows(&self, gallery: &Table, query: &Table) -> (Tensor, Tensor) {
        let rows = |table: &Table| table.rows.to_dtype(Dtype::Double, false, true).flatten(1, -1);
        let (mut g, mut q) = (rows(gallery), rows(query));
        let mean = |x: &Tensor| x.mean_dim([0i64].as_slice(), true, None);
        match self.centre {
            Centre::None => {}
            Centre::Each => {
                let means = (mean(&g), mean(&q));
                (g, q) = (g.g_sub_(&means.0), q.g_sub_(&means.1));
            }
            Centre::Gallery => {
                let mean = mean(&g);
                (g, q) = (g.g_sub_(&mean), q.g_sub_(&mean));
            }
        }
        let unit = |mut x: Tensor| {
            let length = x.norm_scalaropt_dim(2, [1i64].as_slice(), true).clamp_min(1e-12);
            x.g_div_(&length)
        };
        (unit(g), unit(q))
    }
}

/// The cosines of unit rows, `[queries, gallery]`.
fn similarity(query: &Tensor, gallery: &Tensor) -> Tensor {
    let rows = gallery.size()[0];
    if rows <= TILE_ROWS {
        return query.matmul(&gallery.transpose(0, 1));
    }
    let all = Tensor::empty([query.size()[0], rows], (query.kind(), query.device()));
    for start in (0..rows).step_by(TILE_ROWS as usize) {
        let size = TILE_ROWS.min(rows - start);
        all.narrow(1, start, size).copy_(&query.matmul(&gallery.narrow(0, start, size).transpose(0, 1)));
    }
    all
}

/// The videos of a table.
fn items(table: &Table) -> impl Iterator<Item = Item<'_>> {
    table.samples.iter().map(|sample| Item { path: &sample.path, sha256: None, group: &sample.group })
}

fn label(table: &Table, name: &str) -> Result<Tensor> {
    table.label.as_ref().map(|l| l.to_device(table.rows.device())).ok_or_else(|| anyhow!("the rows of `{name}` have no labels"))
}

/// Positions of the `k` nearest rows of the gallery, the nearest first; of equally near ones the first.
fn nearest(similarity: &Tensor, k: i64) -> Result<Tensor> {
    // one more shows whether equals lie on both sides of the cut
    let seen = (k + 1).min(similarity.size()[1]);
    let (values, positions) = similarity.topk(seen, 1, true, true);
    let level = values.narrow(1, 0, seen - 1).eq_tensor(&values.narrow(1, 1, seen - 1)).any_dim(1, false);
    let mut positions = positions.narrow(1, 0, k);
    if bool::try_from(level.any())? {
        // of equals `topk` takes any
        let rows = level.nonzero().flatten(0, -1);
        let sorted = similarity.index_select(0, &rows).argsort_stable(true, 1, true).narrow(1, 0, k);
        positions = positions.index_copy(0, &rows, &sorted);
    }
    Ok(positions)
}

/// How many rows of the gallery come before the first of the query's class; all of them where none is.
fn first_rank(similarity: &Tensor, query: &Tensor, gallery: &Tensor) -> Result<Tensor> {
    let count = |x: Tensor| x.sum_dim_intlist([1i64].as_slice(), false, Dtype::Int64);
    let other = query.unsqueeze(1).ne_tensor(&gallery.unsqueeze(0));
    let best = similarity.masked_fill(&other, f64::NEG_INFINITY).amax([1i64].as_slice(), true);
    let nearer = count(similarity.gt_tensor(&best));
    // of equally near rows those before the first of the class
    let level = similarity.eq_tensor(&best);
    if !bool::try_from(count(level.shallow_clone()).gt(1).any())? {
        return Ok(nearer);
    }
    let seen = level.logical_and(&other.logical_not()).to_kind(Dtype::Int64).cumsum(1, Dtype::Int64);
    Ok(nearer + count(level.logical_and(&seen.eq(0))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::mean::Mean;
    use crate::{parity::Case, testing};
    use dv_graph::draw::Sample;
    use dv_train::exec::batch::Value;

    fn table(case: &Case, set: &str) -> Table {
        let features = case.given(&format!("{set}_feature"));
        let rows = features.size()[0] as usize;
        let inputs = vec![("rows", features), ("label", case.given(&format!("{set}_label")))];
        testing::run_items(&testing::kind::<Mean>("over = ['clip']"), rows, inputs, &["clip"]).table("rows").shallow_clone()
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
        Table::new(Sample::numbered(label.len()), rows, Some(Tensor::from_slice(label)))
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
    fn neighbours_are_positions_the_nearest_first_and_of_equals_the_first() {
        let gallery = small(&[1., 0., 0., 1., 2., 0., 1., 1., -1., 0.], &[0, 1, 1, 2, 3]);
        let out = score("centre = 'none'\nk = [1, 5]", gallery, small(&[1., 0.1], &[0])).unwrap();
        let table = out.table("neighbours");
        assert_eq!(Vec::<i64>::try_from(table.rows.flatten(0, -1)).unwrap(), [0, 2, 3, 1, 4]);
        assert_eq!(table.of.as_ref().unwrap(), &Sample::numbered(5));
    }

    /// Equals on both sides of the cut, in a gallery of which only some is asked for.
    #[test]
    fn the_nearest_of_many_equals_are_the_first() {
        let row = |i: i64| if i % 3 == 0 { [1f32, 0.] } else { [i as f32, 1.] };
        let rows: Vec<f32> = (0..600).flat_map(row).collect();
        let similarity = {
            let g = Tensor::from_slice(&rows).reshape([600, 2]).to_kind(Dtype::Double);
            let g = &g / g.norm_scalaropt_dim(2, [1i64].as_slice(), true);
            Tensor::from_slice(&[1f64, 0., 0., 1.]).reshape([2, 2]).matmul(&g.transpose(0, 1))
        };
        for k in [1, 20, 50, 199, 600] {
            let all = similarity.argsort_stable(true, 1, true).narrow(1, 0, k);
            assert!(nearest(&similarity, k).unwrap().equal(&all), "{k}");
        }
    }

    #[test]
    fn a_gallery_of_many_tiles_gives_all_its_cosines() {
        tch::manual_seed(0);
        let (q, g) = (
            Tensor::randn([3, 4], (Dtype::Double, tch::Device::Cpu)),
            Tensor::randn([2 * TILE_ROWS + 7, 4], (Dtype::Double, tch::Device::Cpu)),
        );
        let error = (similarity(&q, &g) - q.matmul(&g.transpose(0, 1))).abs().max().double_value(&[]);
        assert!(error < 1e-12, "{error}");
    }

    #[test]
    fn features_that_are_not_finite_are_an_error() {
        let error = score("centre = 'none'\nk = [1]", small(&[1., 0.], &[0]), small(&[f32::NAN, 0.], &[0])).err().unwrap();
        assert!(error.to_string().contains("`query`") && error.to_string().contains("not finite"), "{error}");
    }

    #[test]
    fn more_neighbours_than_rows_are_an_error() {
        let error = score("centre = 'none'\nk = [5]", small(&[1., 0.], &[0]), small(&[1., 0.], &[0])).err().unwrap();
        assert!(error.to_string().contains("gallery of 1"), "{error}");
        assert_eq!(testing::faults::<Retrieval>("centre = 'none'\nk = [3]").len(), 1);
    }
}
