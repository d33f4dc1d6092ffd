use super::has_rows;
use crate::prelude::*;

/// Brings rows back that `batch/shuffle` put in another order, or what was computed of them.
#[kind("batch/unshuffle", inputs = In, outputs = Out, rate = Batch, axes = Keep, source = "MoCo (He et al. 2020), section 3.3")]
pub struct Unshuffle {}

#[derive(Ports)]
pub struct In<P: Plane> {
    /// `...` a row a sample, with any item axes
    rows: P::Any,
    /// the order that `batch/shuffle` drew
    order: P::Index,
}

#[derive(Ports)]
pub struct Out<P: Plane> {
    /// `...` the rows at their own samples' places again
    rows: P::Any,
}

impl Kind for Unshuffle {
    fn ports(&self, inputs: In<Shapes>) -> Result<Out<Shapes>, PortFault> {
        has_rows(&inputs.rows)?;
        Ok(Out { rows: inputs.rows })
    }
}

impl BatchKind for Unshuffle {
    fn run(&self, In { rows, order }: In<Batch>, _: &Cx<Self>) -> Result<Out<Batch>> {
        ensure!(rows.size()[0] == order.size()[0], "{} rows, but an order of {}", rows.size()[0], order.size()[0]);
        Ok(Out { rows: rows.index_select(0, &order.argsort(0, false)) })
    }
}
