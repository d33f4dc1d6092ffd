use super::nearest::{labels, rank_of};
use crate::prelude::*;

/// Accuracy of a table of logits or probabilities. Of equally large ones the first class counts as larger. Where rows keep an item axis
/// (`keep = ["crop"]` of the `collect`), it is the mean of the items' accuracies: DualVar's published five- and ten-crop accuracy. Averaged over the
/// crops first (`over = ["clip", "crop"]`), it is the accuracy of the mean probabilities.
#[kind("evaluate/accuracy", inputs = In, outputs = Out, rate = Stage, axes = None, source = "standard; DualVar's code")]
pub struct Accuracy {}

#[derive(Ports)]
pub struct In<P: Plane> {
    /// `... classes` logits or probabilities of each video, with labels
    #[counts("classes")]
    table: P::Table,
}

#[derive(Ports)]
pub struct Out<P: Plane> {
    /// fraction of videos whose class is the largest
    top1: P::Scalar,
    /// fraction of videos whose class is among the five largest
    top5: P::Scalar,
    /// top1 of each class, then the mean over the classes that occur
    class_mean_top1: P::Scalar,
    /// top5 of each class, then the mean over the classes that occur
    class_mean_top5: P::Scalar,
    /// `items` of each video, how many classes are larger than its own; one number for each kept item
    ranks: P::Table,
}

impl Kind for Accuracy {
    fn ports(&self, inputs: In<Shapes>) -> Result<Out<Shapes>, PortFault> {
        let kept = &inputs.table.shape[..inputs.table.shape.len().saturating_sub(1)];
        let items = if kept.is_empty() { vec![1.into()] } else { kept.to_vec() };
        Ok(Out { ranks: Port::table(items), ..derived(self, inputs)? })
    }
}

impl BatchKind for Accuracy {
    fn run(&self, In { table }: In<Batch>, _: &Cx<Self>) -> Result<Out<Batch>> {
        let label = labels(&table, "table")?;
        let classes = *table.rows.size().last().filter(|_| table.rows.dim() > 1).ok_or_else(|| anyhow!("a row holds no classes"))?;
        ensure!(bool::try_from(table.rows.isfinite().all())?, "the table holds values that are not finite");
        // each kept item is a row of its own: all have the same videos, so the mean over all is the mean of the items' accuracies
        let rows = table.rows.reshape([-1, classes]);
        let label = label.repeat_interleave_self_int(rows.size()[0] / label.size()[0].max(1), None, None);
        let highest = label.max().int64_value(&[]);
        ensure!(highest < classes, "there is a label {highest}, but there are {classes} classes");
        let rank = rank_of(&rows, &label);
        let videos = label.bincount::<Tensor>(None, classes).to_kind(Dtype::Double);
        let occurring = videos.gt(0.0).sum(Dtype::Double);
        let [(top1, class_mean_top1), (top5, class_mean_top5)] = [1, 5].map(|k| {
            let right = rank.lt(k).to_kind(Dtype::Double);
            let share = right.new_zeros([classes], (Dtype::Double, right.device())).index_add(0, &label, &right) / videos.clamp_min(1.0);
            let by_class = (share.sum(Dtype::Double) / &occurring).to_kind(Dtype::Float);
            (right.mean(Dtype::Double).to_kind(Dtype::Float), by_class)
        });
        let kept = &table.rows.size()[1..table.rows.dim() - 1];
        let items = if kept.is_empty() { &[1] } else { kept };
        let ranks = Table::new(table.samples, rank.reshape([&[-1], items].concat()), table.label);
        Ok(Out { top1, top5, class_mean_top1, class_mean_top5, ranks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::mean::Mean;
    use crate::head::softmax::Softmax;
    use crate::{parity::Case, testing};
    use dv_graph::draw::Sample;
    use dv_train::exec::batch::{Table, Value};

    fn accuracy(case: &Case, probabilities: bool) -> (Tensor, testing::Outputs) {
        let logits = case.given("logits");
        let [videos, clips, classes] = <[i64; 3]>::try_from(logits.size()).unwrap();
        let mut rows = logits.reshape([videos * clips, classes]);
        if probabilities {
            rows = testing::run(&testing::kind::<Softmax>(""), (videos * clips) as usize, vec![("logits", rows)]).take("probabilities");
        }
        let inputs = vec![("rows", rows.reshape([videos, clips, classes])), ("label", case.given("label"))];
        let collected = testing::run_items(&testing::kind::<Mean>("over = ['clip']"), videos as usize, inputs, &["clip"]);
        let table = collected.table("rows").shallow_clone();
        let mean = table.rows.shallow_clone();
        (mean, testing::run_values(&testing::kind::<Accuracy>(""), 0, 1, vec![("table", Value::Table(table))]).unwrap())
    }

    /// Two videos, two crops: the mean of the crops' accuracies is not the accuracy of the mean.
    #[test]
    fn kept_crops_count_one_by_one() {
        let rows = Tensor::from_slice(&[0.9f32, 0.1, 0.4, 0.6, 0.2, 0.8, 0.3, 0.7]).reshape([2, 2, 2]);
        let label = Tensor::from_slice(&[0i64, 1]);
        let table = |rows: Tensor| Value::Table(Table::new(Sample::numbered(2), rows, Some(label.shallow_clone())));
        let top1 = |rows: Tensor| {
            let out = testing::run_values(&testing::kind::<Accuracy>(""), 0, 1, vec![("table", table(rows))]).unwrap();
            (out.tensor("top1").double_value(&[]), out.tensor("class_mean_top1").double_value(&[]))
        };
        assert_eq!(top1(rows.shallow_clone()), (0.75, 0.75));
        assert_eq!(top1(rows.mean_dim([1i64].as_slice(), false, Dtype::Float)), (1.0, 1.0));
    }

    #[test]
    fn values_that_are_not_finite_are_an_error() {
        let rows = Tensor::from_slice(&[f32::NAN, 0.0]).reshape([1, 2]);
        let table = Table::new(Sample::numbered(1), rows, Some(Tensor::from_slice(&[0i64])));
        let error = testing::run_values(&testing::kind::<Accuracy>(""), 0, 1, vec![("table", Value::Table(table))]).err().unwrap();
        assert!(error.to_string().contains("not finite"), "{error}");
    }

    #[test]
    fn ten_clips_averaged_as_probabilities_or_as_logits() {
        let case = Case::open("e_tenclip_dualvar");
        let (mean, out) = accuracy(&case, true);
        case.tensor("mean_prob", &mean);
        for name in ["top1", "top5", "class_mean_top1", "class_mean_top5"] {
            case.scalar(name, out.tensor(name));
        }
        case.scalar("logit_mean_top1", accuracy(&case, false).1.tensor("top1"));
    }
}
