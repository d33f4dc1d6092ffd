use super::centre::{unit_rows, Centre};
use super::nearest::{in_chunks, labels, nearest, note_overlap};
use crate::prelude::*;

/// Nearest-neighbour retrieval: the share of queries of whose `k` nearest rows in the gallery, by cosine, at least one has
/// the query's class. Computed in 64 bits; of equally near rows the first in the gallery counts as nearer.
#[kind("evaluate/retrieval", inputs = In, outputs = Out, rate = Stage, axes = None, source = "Misra et al. 2016; DualVar, IIC: their code")]
pub struct Retrieval {
    /// What is subtracted before rows are brought to unit length: the own mean of each of the two tables (DualVar), the
    /// gallery's mean from both, or nothing (IIC).
    centre: Centre,
    /// The `k` to report; at most the rows of the gallery.
    #[smoke(3)]
    #[schemars(length(min = 1, max = 5), extend("items" = { "type": "integer", "enum": CUTS }))]
    k: Vec<usize>,
}

/// The `k` that there are.
const CUTS: [usize; 5] = [1, 5, 10, 20, 50];

#[derive(Ports)]
pub struct In<P: Plane> {
    /// `D` rows with labels that are searched
    gallery: P::Table,
    /// `D` rows with labels to find
    query: P::Table,
}

#[derive(Ports)]
pub struct Out<P: Plane> {
    /// fraction of queries found at k = 1; like the others given where `k` asks for it
    top1: Option<P::Scalar>,
    /// at k = 5
    top5: Option<P::Scalar>,
    /// at k = 10
    top10: Option<P::Scalar>,
    /// at k = 20
    top20: Option<P::Scalar>,
    /// at k = 50
    top50: Option<P::Scalar>,
    /// `queries gallery` the cosines; made only where something reads them
    similarity: Option<P::Whole>,
    /// `k` of each query, the positions in the gallery of as many nearest rows as the largest `k` asks for, the nearest first; made only where something reads them
    neighbours: Option<P::Table>,
    /// `1` of each query, how many rows of the gallery come before the first of its class
    ranks: P::Table,
}

impl Kind for Retrieval {
    fn rows_needed(&self) -> Option<RowsNeeded> {
        Some(RowsNeeded { input: "gallery", setting: "k", rows: self.most() })
    }
    fn apart(&self) -> Option<[&'static str; 2]> {
        Some(["gallery", "query"])
    }
    fn ports(&self, inputs: In<Shapes>) -> Result<Out<Shapes>, PortFault> {
        let out: Out<Shapes> = derived(self, inputs)?;
        Ok(Out { neighbours: Some(Port::table([self.most().into()])), ..out })
    }
}

impl Retrieval {
    /// The largest `k` that is asked for.
    fn most(&self) -> usize {
        self.k.iter().copied().max().unwrap_or(1)
    }
}

impl BatchKind for Retrieval {
    fn run(&self, In { gallery, query }: In<Batch>, cx: &Cx<Self>) -> Result<Out<Batch>> {
        let (gallery_label, query_label) = (labels(&gallery, "gallery")?, labels(&query, "query")?);
        for k in &self.k {
            ensure!(*k <= gallery.len(), "`k` asks for {k} neighbours in a gallery of {}", gallery.len());
        }
        note_overlap("retrieval", &gallery, &query);
        let (g, q) = unit_rows(self.centre, &gallery, &query)?;
        let (nearest_wanted, similarity_wanted) = (cx.wanted.neighbours == Some(true), cx.wanted.similarity == Some(true));
        let (mut ranks, mut neighbours, mut similarities) = (Vec::new(), Vec::new(), Vec::new());
        in_chunks(&q, &g, |similarity, start, size| {
            ranks.push(first_rank(&similarity, &query_label.narrow(0, start, size), &gallery_label)?);
            if nearest_wanted {
                neighbours.push(nearest(&similarity, self.most() as i64)?);
            }
            if similarity_wanted {
                similarities.push(similarity.to_kind(Dtype::Float));
            }
            Ok(())
        })?;
        let ranks = Tensor::cat(&ranks, 0);
        let top = CUTS.map(|k| self.k.contains(&k).then(|| ranks.lt(k as i64).to_kind(Dtype::Double).mean(Dtype::Double)));
        let [top1, top5, top10, top20, top50] = top;
        let similarity = similarity_wanted.then(|| Tensor::cat(&similarities, 0));
        let label = query.label.as_ref().map(Tensor::shallow_clone);
        let found = || Table { of: Some(gallery.samples), ..Table::new(query.samples.clone(), Tensor::cat(&neighbours, 0), label) };
        let neighbours = nearest_wanted.then(found);
        let ranks = Table::new(query.samples, ranks.unsqueeze(1), query.label);
        Ok(Out { top1, top5, top10, top20, top50, similarity, neighbours, ranks })
    }
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
