use crate::prelude::*;

/// A table of one row for each video of the stage: the mean over item axes; others may be kept as axes of the row. Means are accumulated in 64 bits and kept
/// in 32.
#[kind("collect/mean", inputs = In, outputs = Out, rate = Stage, axes = Keep, source = "standard")]
pub struct Mean {
    /// The item axes to average over: all that the rows have and `keep` does not name, `["clip"]`; `[]` where there are none.
    over: Vec<String>,
    /// Item axes that become axes of the row, in their order: `["crop"]` for an accuracy of each crop. Without it: none.
    keep: Option<Vec<String>>,
}

#[derive(Ports)]
pub struct In<P: Plane> {
    /// `...` features, logits or probabilities, with any item axes
    rows: P::Float,
    /// the class of each video, kept beside its row
    label: Option<P::Index>,
}

#[derive(Ports)]
pub struct Out<P: Plane> {
    /// `...` one row for each video, with its label where labels came
    rows: P::Table,
}

impl Kind for Mean {
    fn ports(&self, inputs: In<Shapes>) -> Result<Out<Shapes>, PortFault> {
        let rows = inputs.rows;
        let kept = self.keep.as_deref().unwrap_or_default();
        for (setting, names) in [("over", self.over.as_slice()), ("keep", kept)] {
            for name in names {
                if !rows.axes.iter().any(|a| a.name == *name) {
                    return Err(PortFault::setting(setting, format!("the rows, {rows}, have no item axis `{name}`")));
                }
            }
        }
        if let Some(name) = kept.iter().find(|name| self.over.contains(name)) {
            return Err(PortFault::setting("keep", format!("`{name}` is averaged over (`over`), and cannot be kept")));
        }
        if let Some(axis) = rows.axes.iter().find(|a| !self.over.contains(&a.name) && !kept.contains(&a.name)) {
            return Err(PortFault::setting(
                "over",
                format!("a table has one row a video: `{}` must be averaged over too (or kept: keep = [\"{}\"])", axis.name, axis.name),
            ));
        }
        let lengths = rows.axes.iter().filter(|a| kept.contains(&a.name)).map(|a| a.len().into());
        let table = Port::table(lengths.chain(rows.shape.iter().cloned()));
        // the table's labels count what the label does
        Ok(Out { rows: Port { range: inputs.label.and_then(|l| l.range), ..table } })
    }
}

impl BatchKind for Mean {
    fn run(&self, inputs: In<Batch>, cx: &Cx<Self>) -> Result<Out<Batch>> {
        let rows = inputs.rows.detach();
        // item axes lie between the batch and the shape
        let axes: Vec<i64> = cx.axes.rows.iter().enumerate().filter(|(_, a)| self.over.contains(a)).map(|(i, _)| i as i64 + 1).collect();
        let mean = match axes.is_empty() {
            true => rows.to_kind(Dtype::Float),
            false => rows.mean_dim(axes.as_slice(), false, Dtype::Double).to_kind(Dtype::Float),
        };
        let samples = cx.rows().samples();
        ensure!(mean.size().first() == Some(&(samples.len() as i64)), "{} samples, but rows {:?}", samples.len(), mean.size());
        Ok(Out { rows: Table::new(samples, mean, inputs.label.map(|l| l.detach())) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use dv_graph::port::Axis;
    use tch::Tensor;

    #[test]
    fn one_row_a_video_with_its_id_and_label() {
        let kind: Mean = testing::kind("over = ['clip']");
        let rows = Tensor::arange(12, tch::kind::FLOAT_CPU).reshape([2, 3, 2]);
        let out = testing::run_items(&kind, 2, vec![("rows", rows), ("label", Tensor::from_slice(&[7i64, 8]))], &["clip"]);
        let table = out.table("rows");
        assert_eq!(table.samples, Sample::numbered(2));
        assert_eq!(Vec::<Vec<f32>>::try_from(&table.rows).unwrap(), [[2., 3.], [8., 9.]]);
        assert_eq!(Vec::<i64>::try_from(table.label.as_ref().unwrap()).unwrap(), [7, 8]);
    }

    #[test]
    fn a_kept_axis_stays_in_the_row() {
        let rows = Tensor::arange(12, tch::kind::FLOAT_CPU).reshape([1, 3, 2, 2]);
        let both = |over: &str, keep: &str, wanted: &[f32]| {
            let kind: Mean = testing::kind(&format!("over = ['{over}']\nkeep = ['{keep}']"));
            let out = testing::run_items(&kind, 1, vec![("rows", rows.shallow_clone())], &["clip", "crop"]);
            assert_eq!(Vec::<f32>::try_from(out.table("rows").rows.flatten(0, -1)).unwrap(), wanted, "{over}");
        };
        both("clip", "crop", &[4., 5., 6., 7.]);
        both("crop", "clip", &[1., 2., 5., 6., 9., 10.]);
    }

    #[test]
    fn every_item_axis_has_to_be_named() {
        let port = Port::float([4.into()]).with_axis(Axis::counted("clip", 10)).with_axis(Axis::counted("crop", 3));
        let ports = |toml: &str| testing::shapes(&testing::kind::<Mean>(toml), vec![("rows", port.clone())]);
        assert_eq!(ports("over = ['clip', 'crop']").unwrap()[0].to_string(), "table [4]");
        assert_eq!(ports("over = ['clip']\nkeep = ['crop']").unwrap()[0].to_string(), "table [3, 4]");
        assert!(ports("over = ['clip', 'crop']\nkeep = ['crop']").is_err());
        assert!(ports("over = ['clip']").unwrap_err().message.contains("`crop`"));
        assert!(ports("over = ['clip', 'view']").unwrap_err().message.contains("`view`"));
    }
}
