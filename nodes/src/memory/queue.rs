use crate::limits;
use anyhow::{ensure, Result};
use dv_graph::kind::{In, Init, Inputs, Kind, Out, PortFault, Reference, RegisterDeclaration, State as Declared};
use dv_graph::port::{Port, Type};
use dv_train::exec::batch::{BatchIo, RegisterKind, State};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind as Dtype, Tensor};

/// The newest rows that were written: a step replaces the oldest ones by its batch, in sample order, and goes round at the
/// end (MoCo, algorithm 1). It starts with random values of unit length along the last axis (MoCo; of rows of segments each segment).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// How many rows it holds, at least the batch.
    #[schemars(range(min = 1, max = limits::ROWS))]
    rows: usize,
}

impl Kind for Queue {
    const NAME: &'static str = "memory/queue";
    const INPUTS: &'static [In] = &[];
    const WRITES: &'static [In] = &[In::new("rows", &[Type::Float], "...", "one row of each sample")];
    const OUTPUTS: &'static [Out] =
        &[Out::new("rows", "K ...", "all rows, from before the step"), Out::new("filled", "", "how many of them were written, as a float")];

    fn batch_at_most(&self) -> Option<(&'static str, usize)> {
        Some(("rows", self.rows))
    }
    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        let written = inputs.written("rows")?;
        let shape = std::iter::once(self.rows.into()).chain(written.shape.iter().cloned());
        Ok(vec![Port::whole(Type::Float, shape), Port::scalar()])
    }
}

impl RegisterDeclaration for Queue {
    fn state(&self, inputs: &Inputs) -> Vec<Declared> {
        let written = inputs.written("rows").map(|p| p.shape.clone()).unwrap_or_default();
        let shape = std::iter::once(self.rows.into()).chain(written).collect();
        let rows = Declared { name: "rows", shape, ty: Type::Float, init: Init::UnitLength, reference: Reference::FirstAxisLast };
        let zero = Init::Constant(0.0);
        let pointer = Declared { name: "pointer", shape: vec![1.into()], ty: Type::Index, init: zero, reference: Reference::Same };
        let filled = Declared { name: "filled", shape: vec![], ty: Type::Index, init: zero, reference: Reference::None };
        vec![rows, pointer, filled]
    }
}

impl RegisterKind for Queue {
    fn read(&self, state: &State, io: &mut BatchIo) -> Result<()> {
        io.put("rows", state.get("rows"));
        io.put("filled", state.get("filled").to_kind(Dtype::Float));
        Ok(())
    }
    fn write(&self, state: &State, io: &BatchIo) -> Result<()> {
        let (rows, new, pointer) = (state.get("rows"), io.tensor("rows")?, state.get("pointer"));
        let (k, n) = (self.rows as i64, new.size()[0]);
        ensure!(n <= k, "{n} rows are written to a queue of {k}: it must hold at least one batch");
        let at = i64::try_from(&pointer)?;
        let places = (Tensor::arange(n, (Dtype::Int64, rows.device())) + at).remainder(k);
        let _ = rows.shallow_clone().index_copy_(0, &places, &new.to_kind(Dtype::Float));
        let _ = pointer.shallow_clone().fill_((at + n) % k);
        let filled = i64::try_from(&state.get("filled"))?;
        let _ = state.get("filled").fill_((filled + n).min(k));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn the_oldest_rows_go_and_the_end_meets_the_start() {
        let queue: Queue = testing::kind("rows = 5");
        let batch = |from: i64| Tensor::arange_start(from, from + 3, (Dtype::Float, tch::Device::Cpu)).unsqueeze(1);
        let state = testing::state(&queue, vec![("rows", Port::float([1.into()]))]);
        assert!(f64::try_from((state["rows"].abs() - 1.0).abs().max()).unwrap() < 1e-6, "rows start with length 1");
        let segments = testing::state(&queue, vec![("rows", Port::float([2.into(), 8.into()]))]);
        let lengths = segments["rows"].norm_scalaropt_dim(2, [-1i64].as_slice(), false);
        assert_eq!(lengths.size(), [5, 2]);
        assert!(f64::try_from((lengths - 1.0).abs().max()).unwrap() < 1e-6, "each segment starts with length 1");
        testing::write(&queue, &state, 3, vec![("rows", batch(10))]).unwrap();
        testing::write(&queue, &state, 3, vec![("rows", batch(20))]).unwrap();
        let shown = testing::read(&queue, &state, 3);
        assert_eq!(Vec::<f32>::try_from(shown.tensor("rows").flatten(0, -1)).unwrap(), [22.0, 11.0, 12.0, 20.0, 21.0]);
        assert_eq!(f64::try_from(shown.tensor("filled")).unwrap(), 5.0);
        assert_eq!(i64::try_from(&state["pointer"]).unwrap(), 1);
        let six = Tensor::zeros([6, 1], (Dtype::Float, tch::Device::Cpu));
        assert!(testing::write(&queue, &state, 6, vec![("rows", six)]).unwrap_err().to_string().contains("at least one batch"));
    }
}
