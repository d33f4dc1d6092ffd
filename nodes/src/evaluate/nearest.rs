//! Nearest rows of one table for those of another, in pieces: the matrix of all similarities need not fit into memory.

use crate::prelude::*;
use dv_datasets::overlap::{self, Item};
use dv_train::run::progress::note;

/// Bytes of the similarities that are handled at a time.
const CHUNK_BYTES: i64 = 256 << 20;
/// Rows of the gallery that one product takes. BLAS copies the whole second factor into an order of its own.
const TILE_ROWS: i64 = 8192;

/// The labels of a table.
pub fn labels(table: &Table, name: &str) -> Result<Tensor> {
    table.label.as_ref().map(|l| l.to_device(table.rows.device())).ok_or_else(|| anyhow!("the rows of `{name}` have no labels"))
}

/// Prints a note of each video, group or file that both tables have.
pub fn note_overlap(what: &str, gallery: &Table, query: &Table) {
    fn items(table: &Table) -> impl Iterator<Item = Item<'_>> {
        table.samples.iter().map(|sample| Item { path: &sample.path, sha256: None, group: &sample.group })
    }
    for line in overlap::shared(items(gallery), items(query)).lines("the gallery", "the queries") {
        note(&format!("{what}: {line}"));
    }
}

/// Calls `each` with the cosines of some queries and the whole gallery, `[queries, gallery]`, and where these queries lie: first and count.
pub fn in_chunks(query: &Tensor, gallery: &Tensor, mut each: impl FnMut(Tensor, i64, i64) -> Result<()>) -> Result<()> {
    let (queries, chunk) = (query.size()[0], (CHUNK_BYTES / 8 / gallery.size()[0].max(1)).max(1));
    for start in (0..queries).step_by(chunk as usize) {
        let size = chunk.min(queries - start);
        each(similarity(&query.narrow(0, start, size), gallery), start, size)?;
    }
    Ok(())
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

/// Positions of the `k` nearest rows of the gallery, the nearest first; of equally near ones the first.
pub fn nearest(similarity: &Tensor, k: i64) -> Result<Tensor> {
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

/// How many classes come before a row's own in `[rows, classes]`: those with more, and of equal ones the first.
pub fn rank_of(scores: &Tensor, label: &Tensor) -> Tensor {
    let column = label.unsqueeze(1);
    let own = scores.gather(1, &column, false);
    let before = Tensor::arange(scores.size()[1], (Dtype::Int64, scores.device())).unsqueeze(0).lt_tensor(&column);
    let above = scores.gt_tensor(&own).logical_or(&scores.eq_tensor(&own).logical_and(&before));
    above.sum_dim_intlist([1i64].as_slice(), false, Dtype::Int64)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
