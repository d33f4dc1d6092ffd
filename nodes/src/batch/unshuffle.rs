use anyhow::{ensure, Result};
use dv_graph::kind::{Axes, In, Inputs, Kind, Out, PortFault};
use dv_graph::port::{Port, Rate, Type};
use dv_train::exec::batch::{BatchIo, BatchKind};
use schemars::JsonSchema;
use serde::Deserialize;

/// Brings rows back that `batch/shuffle` put in another order, or what was computed of them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unshuffle {}

impl Kind for Unshuffle {
    const NAME: &'static str = "batch/unshuffle";
    const INPUTS: &'static [In] = &[
        In::new("rows", &[Type::Bytes, Type::Float, Type::Index], "...", "a row a sample, with any item axes"),
        In::new("order", &[Type::Index], "", "the order that `batch/shuffle` drew"),
    ];
    const OUTPUTS: &'static [Out] = &[Out::new("rows", "...", "the rows at their own samples' places again")];
    const RATE: Rate = Rate::Batch;
    const AXES: Axes = Axes::Keep;

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        let rows = inputs.port("rows");
        if !rows.rows {
            return Err(PortFault::input("rows", format!("{rows} has no row for each sample")));
        }
        Ok(vec![rows.clone()])
    }
}

impl BatchKind for Unshuffle {
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        let (rows, order) = (io.tensor("rows")?, io.tensor("order")?);
        ensure!(rows.size()[0] == order.size()[0], "{} rows, but an order of {}", rows.size()[0], order.size()[0]);
        let back = rows.index_select(0, &order.argsort(0, false));
        io.put("rows", back);
        Ok(())
    }
}
