use anyhow::{anyhow, ensure, Result};
use dv_graph::kind::{Axes, In, Inputs, Kind, Out, PortFault};
use dv_graph::port::{Port, Rate, Type};
use dv_train::batch::{BatchIo, BatchKind};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind as Dtype, Tensor};

/// Accuracy of a table of logits or probabilities. Of equally large ones the first class counts as larger.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Accuracy {}

impl Kind for Accuracy {
    const NAME: &'static str = "evaluate/accuracy";
    const INPUTS: &'static [In] = &[In::new("table", &[Type::Table], "classes", "logits or probabilities of each video, with labels")];
    const OUTPUTS: &'static [Out] = &[
        Out::new("top1", "", "fraction of videos whose class is the largest"),
        Out::new("top5", "", "fraction of videos whose class is among the five largest"),
        Out::new("class_mean_top1", "", "top1 of each class, then the mean over the classes that occur"),
        Out::new("class_mean_top5", "", "top5 of each class, then the mean over the classes that occur"),
    ];
    const RATE: Rate = Rate::Stage;
    const AXES: Axes = Axes::None;

    fn ports(&self, _: &Inputs) -> Result<Vec<Port>, PortFault> {
        Ok(Self::OUTPUTS.iter().map(|_| Port::scalar()).collect())
    }
}

impl BatchKind for Accuracy {
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        let table = io.table("table")?;
        let label = table.label.as_ref().ok_or_else(|| anyhow!("the rows have no labels"))?.to_device(table.rows.device());
        let classes = table.rows.size()[1];
        let highest = label.max().int64_value(&[]);
        ensure!(highest < classes, "there is a label {highest}, but there are {classes} classes");
        let column = label.unsqueeze(1);
        let own = table.rows.gather(1, &column, false);
        let before = Tensor::arange(classes, (Dtype::Int64, table.rows.device())).unsqueeze(0).lt_tensor(&column);
        // not below, so that NaN counts against
        let above = table.rows.le_tensor(&own).logical_not().logical_or(&table.rows.eq_tensor(&own).logical_and(&before));
        let rank = above.sum_dim_intlist([1i64].as_slice(), false, Dtype::Int64);
        let videos = label.bincount::<Tensor>(None, classes).to_kind(Dtype::Double);
        for (k, name, by_class) in [(1, "top1", "class_mean_top1"), (5, "top5", "class_mean_top5")] {
            let right = rank.lt(k).to_kind(Dtype::Double);
            let share = right.new_zeros([classes], (Dtype::Double, right.device())).index_add(0, &label, &right) / videos.clamp_min(1.0);
            let occurring = videos.gt(0.0).sum(Dtype::Double);
            io.put(by_class, (share.sum(Dtype::Double) / occurring).to_kind(Dtype::Float));
            io.put(name, right.mean(Dtype::Double).to_kind(Dtype::Float));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::mean::Mean;
    use crate::head::softmax::Softmax;
    use crate::{parity::Case, testing};
    use dv_train::batch::Value;

    fn accuracy(case: &Case, probabilities: bool) -> (Tensor, testing::Outputs) {
        let logits = case.given("logits");
        let [videos, clips, classes] = <[i64; 3]>::try_from(logits.size()).unwrap();
        let mut rows = logits.reshape([videos * clips, classes]);
        if probabilities {
            rows = testing::run(&testing::kind::<Softmax>(""), (videos * clips) as usize, vec![("logits", rows)]).take("probabilities");
        }
        let inputs = vec![("rows", rows.reshape([videos, clips, classes])), ("label", case.given("label"))];
        let collected = testing::run(&testing::kind::<Mean>("over = ['clip']"), videos as usize, inputs);
        let table = collected.table("rows").shallow_clone();
        let mean = table.rows.shallow_clone();
        (mean, testing::run_values(&testing::kind::<Accuracy>(""), 0, 1, vec![("table", Value::Table(table))]).unwrap())
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
