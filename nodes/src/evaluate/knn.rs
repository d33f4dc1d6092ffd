use super::centre::{groups, unit_rows, Centre};
use super::nearest::{in_chunks, labels, nearest, note_overlap, rank_of};
use crate::prelude::*;

/// A weighted nearest-neighbour classifier on features: of each query, the `k` nearest rows of the gallery by cosine vote for their class
/// with weight `exp(cosine / temperature)`. Of equal votes the first class counts as more. Computed in 64 bits.
#[kind("evaluate/knn", inputs = In, outputs = Out, rate = Stage, axes = None, source = "Instance discrimination (Wu et al. 2018), section 3.4")]
pub struct Knn {
    /// Neighbours that vote; 200 in the paper. At most the rows of the gallery.
    #[smoke(3)]
    #[schemars(range(min = 1, max = 4096))]
    k: usize,
    /// What cosines are divided by; 0.07 in the paper.
    #[schemars(range(min = 0.001, max = limits::TEMPERATURE))]
    temperature: f64,
    /// What is subtracted before rows are brought to unit length; nothing in the paper.
    centre: Centre,
    /// Which rows of the gallery may vote: all, or only those of another group than the query's, for a gallery that holds the queries or clips
    /// of their source videos.
    neighbours: Neighbours,
}

/// Which rows may vote.
#[choice]
enum Neighbours {
    All,
    OtherGroups,
}

#[derive(Ports)]
pub struct In<P: Plane> {
    /// `D` rows with labels that are searched
    gallery: P::Table,
    /// `D` rows with labels to classify
    query: P::Table,
}

#[derive(Ports)]
pub struct Out<P: Plane> {
    /// fraction of queries whose class has the most votes
    top1: P::Scalar,
    /// fraction of queries whose class is among the five with the most votes
    top5: P::Scalar,
    /// `1` of each query, how many classes have more votes than its own
    ranks: P::Table,
}

impl Kind for Knn {
    fn rows_needed(&self) -> Option<RowsNeeded> {
        Some(RowsNeeded { input: "gallery", setting: "k", rows: self.k })
    }
    fn apart(&self) -> Option<[&'static str; 2]> {
        (self.neighbours == Neighbours::All).then_some(["gallery", "query"])
    }
}

impl BatchKind for Knn {
    fn run(&self, In { gallery, query }: In<Batch>, _: &Cx<Self>) -> Result<Out<Batch>> {
        let (gallery_label, query_label) = (labels(&gallery, "gallery")?, labels(&query, "query")?);
        ensure!(self.k <= gallery.len(), "`k` asks for {} neighbours in a gallery of {}", self.k, gallery.len());
        if self.neighbours == Neighbours::All {
            note_overlap("knn", &gallery, &query);
        }
        let (g, q) = unit_rows(self.centre, &gallery, &query)?;
        let classes = 1 + gallery_label.max().maximum(&query_label.max()).int64_value(&[]);
        let of_groups = groups(&gallery, &query);
        let mut ranks = Vec::new();
        in_chunks(&q, &g, |mut similarity, start, size| {
            if self.neighbours == Neighbours::OtherGroups {
                let own = of_groups.1.narrow(0, start, size).unsqueeze(1).eq_tensor(&of_groups.0.unsqueeze(0));
                similarity = similarity.masked_fill(&own, f64::NEG_INFINITY);
            }
            let positions = nearest(&similarity, self.k as i64)?;
            // less the nearest's, so that no weight is beyond 64 bits; rows that may not vote have weight 0
            let cosines = similarity.gather(1, &positions, false);
            let weights = ((&cosines - cosines.narrow(1, 0, 1)) / self.temperature).exp().nan_to_num(0.0, 0.0, 0.0);
            let voters = gallery_label.index_select(0, &positions.flatten(0, -1)).reshape(positions.size());
            let votes = Tensor::zeros([size, classes], (Dtype::Double, q.device())).scatter_add(1, &voters, &weights);
            ranks.push(rank_of(&votes, &query_label.narrow(0, start, size)));
            Ok(())
        })?;
        let ranks = Tensor::cat(&ranks, 0);
        let [top1, top5] = [1, 5].map(|k| ranks.lt(k).to_kind(Dtype::Double).mean(Dtype::Double));
        Ok(Out { top1, top5, ranks: Table::new(query.samples, ranks.unsqueeze(1), query.label) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use dv_train::exec::batch::Value;

    fn table(rows: &[[f32; 2]], labels: &[i64], groups: &[&str]) -> Table {
        let sample = |(i, group): (usize, &&str)| Sample { group: (*group).into(), ..Sample::new(&i.to_string()) };
        let flat: Vec<f32> = rows.concat();
        let samples = groups.iter().enumerate().map(sample).collect();
        Table::new(samples, Tensor::from_slice(&flat).reshape([-1, 2]), Some(Tensor::from_slice(labels)))
    }

    fn ranks(settings: &str, gallery: Table, query: Table) -> Vec<i64> {
        let kind: Knn = testing::kind(settings);
        let inputs = vec![("gallery", Value::Table(gallery)), ("query", Value::Table(query))];
        let out = testing::run_values(&kind, 0, 1, inputs).unwrap();
        Vec::try_from(out.table("ranks").rows.flatten(0, -1)).unwrap()
    }

    #[test]
    fn near_rows_vote_more() {
        let gallery = || table(&[[1.0, 0.0], [0.0, 1.0], [0.1, 1.0]], &[0, 1, 1], &["a", "b", "c"]);
        let query = || table(&[[1.0, 0.3], [0.0, 1.0]], &[0, 0], &["x", "y"]);
        // by hand: cosines of the first query 0.958, 0.287, 0.381
        assert_eq!(ranks("k = 3\ntemperature = 0.1\ncentre = 'none'\nneighbours = 'all'", gallery(), query()), [0, 1]);
        // with a high temperature two rows outvote one
        assert_eq!(ranks("k = 3\ntemperature = 100.0\ncentre = 'none'\nneighbours = 'all'", gallery(), query()), [1, 1]);
        assert_eq!(ranks("k = 1\ntemperature = 100.0\ncentre = 'none'\nneighbours = 'all'", gallery(), query()), [0, 1]);
    }

    #[test]
    fn rows_of_the_own_group_may_be_left_out() {
        let rows = || table(&[[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]], &[0, 1, 0], &["a", "b", "a"]);
        let of =
            |neighbours: &str| ranks(&format!("k = 1\ntemperature = 0.1\ncentre = 'none'\nneighbours = '{neighbours}'"), rows(), rows());
        assert_eq!((of("all"), of("other_groups")), (vec![0, 0, 0], vec![1, 1, 1]));
    }
}
