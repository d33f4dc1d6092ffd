use anyhow::{ensure, Result};
use dv_graph::kind::{Axes, In, Inputs, Kind, Out, PortFault};
use dv_graph::port::{Port, Rate, Type};
use dv_train::batch::{BatchIo, BatchKind, Table};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Kind as Dtype;

/// A table of one row for each video of the stage: the mean over its item axes. Means are accumulated in 64 bits and kept
/// in 32.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mean {
    /// The item axes to average over: all that the rows have, `["clip"]`; `[]` where they have none.
    over: Vec<String>,
}

impl Kind for Mean {
    const NAME: &'static str = "collect/mean";
    const INPUTS: &'static [In] = &[
        In::new("rows", &[Type::Float], "...", "features, logits or probabilities, with any item axes"),
        In::new("label", &[Type::Index], "", "the class of each video, kept beside its row").optional(),
    ];
    const OUTPUTS: &'static [Out] = &[Out::new("rows", "...", "one row for each video, with its label where labels came")];
    const RATE: Rate = Rate::Stage;
    const AXES: Axes = Axes::Keep;

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        let rows = inputs.port("rows");
        for name in &self.over {
            if !rows.axes.iter().any(|a| a.name == *name) {
                return Err(PortFault::setting("over", format!("the rows, {rows}, have no item axis `{name}`")));
            }
        }
        if let Some(axis) = rows.axes.iter().find(|a| !self.over.contains(&a.name)) {
            return Err(PortFault::setting("over", format!("a table has one row a video: `{}` must be averaged over too", axis.name)));
        }
        Ok(vec![Port::table(rows.shape.clone())])
    }
}

impl BatchKind for Mean {
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        let rows = io.tensor("rows")?.detach();
        // the axes are all named in `over`, and lie between the batch and the shape
        let axes: Vec<i64> = (1..=self.over.len() as i64).collect();
        let mean = match axes.is_empty() {
            true => rows.to_kind(Dtype::Float),
            false => rows.mean_dim(axes.as_slice(), false, Dtype::Double).to_kind(Dtype::Float),
        };
        let ids: Vec<u64> = io.rows().iter().map(|r| r.sample.id).collect();
        ensure!(mean.size().first() == Some(&(ids.len() as i64)), "{} samples, but rows {:?}", ids.len(), mean.size());
        let label = io.optional("label").map(|l| l.detach());
        io.put_table("rows", Table { ids, rows: mean, label });
        Ok(())
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
        let out = testing::run(&kind, 2, vec![("rows", rows), ("label", Tensor::from_slice(&[7i64, 8]))]);
        let table = out.table("rows");
        assert_eq!(table.ids, [0, 1]);
        assert_eq!(Vec::<Vec<f32>>::try_from(&table.rows).unwrap(), [[2., 3.], [8., 9.]]);
        assert_eq!(Vec::<i64>::try_from(table.label.as_ref().unwrap()).unwrap(), [7, 8]);
    }

    #[test]
    fn every_item_axis_has_to_be_named() {
        let port = Port::float([4.into()]).with_axis(Axis::counted("clip", 10)).with_axis(Axis::counted("crop", 3));
        let inputs = Inputs::new(vec![("rows".into(), port)]);
        let ports = |toml: &str| testing::kind::<Mean>(toml).ports(&inputs);
        assert_eq!(ports("over = ['clip', 'crop']").unwrap()[0].to_string(), "table [4]");
        assert!(ports("over = ['clip']").unwrap_err().message.contains("`crop`"));
        assert!(ports("over = ['clip', 'view']").unwrap_err().message.contains("`view`"));
    }
}
