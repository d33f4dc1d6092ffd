use super::nearest::labels;
use crate::prelude::*;

/// Which classes are taken for which: the counts of true and predicted classes, and the accuracy of each class. Of equally large values the
/// first class is predicted.
#[kind("evaluate/confusion", inputs = In, outputs = Out, rate = Stage, axes = None, source = "standard")]
pub struct Confusion {}

#[derive(Ports)]
pub struct In<P: Plane> {
    /// `classes` logits or probabilities of each video, with labels
    #[counts("classes")]
    table: P::Table,
}

#[derive(Ports)]
pub struct Out<P: Plane> {
    /// fraction of videos whose class is predicted
    top1: P::Scalar,
    /// `classes` a row for each true class: how many of its videos are predicted to be of each class
    matrix: P::Table,
    /// `2` a row for each true class: fraction of its videos that are predicted right (0 without videos), and how many it has
    classes: P::Table,
}

impl Kind for Confusion {}

impl BatchKind for Confusion {
    fn run(&self, In { table }: In<Batch>, _: &Cx<Self>) -> Result<Out<Batch>> {
        let (label, classes) = (labels(&table, "table")?, table.rows.size()[1]);
        ensure!(bool::try_from(table.rows.isfinite().all())?, "the table holds values that are not finite");
        let highest = label.max().int64_value(&[]);
        ensure!(highest < classes, "there is a label {highest}, but there are {classes} classes");
        let predicted = table.rows.argmax(1, false);
        let matrix = (&label * classes + predicted).bincount::<Tensor>(None, classes * classes).reshape([classes, classes]);
        let (right, count) = (matrix.diag(0), matrix.sum_dim_intlist([1i64].as_slice(), false, Dtype::Int64));
        let share = right.to_kind(Dtype::Double) / count.clamp_min(1).to_kind(Dtype::Double);
        let of_classes = Tensor::stack(&[share, count.to_kind(Dtype::Double)], 1).to_kind(Dtype::Float);
        let rows = |rows: Tensor| Table::new(Sample::numbered(classes as usize), rows, None);
        let top1 = right.sum(Dtype::Double) / table.len() as f64;
        Ok(Out { top1, matrix: rows(matrix.to_kind(Dtype::Float)), classes: rows(of_classes) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use dv_train::exec::batch::Value;

    #[test]
    fn counts_by_hand() {
        let rows = Tensor::from_slice(&[3f32, 1.0, 0.0, 0.0, 2.0, 0.0, 5.0, 0.0, 1.0, 1.0, 1.0, 0.0]).reshape([4, 3]);
        let table = Table::new(Sample::numbered(4), rows, Some(Tensor::from_slice(&[0i64, 1, 1, 0])));
        let out = testing::run_values(&testing::kind::<Confusion>(""), 0, 1, vec![("table", Value::Table(table))]).unwrap();
        let list = |name: &str| Vec::<f32>::try_from(out.table(name).rows.flatten(0, -1)).unwrap();
        assert_eq!(list("matrix"), [2.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(list("classes"), [1.0, 2.0, 0.5, 2.0, 0.0, 0.0]);
        assert_eq!(out.tensor("top1").double_value(&[]), 0.75);
    }
}
