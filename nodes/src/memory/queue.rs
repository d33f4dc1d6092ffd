use crate::prelude::*;

/// The newest rows that were written: a step replaces the oldest ones by its batch, in sample order, and goes round at the
/// end (MoCo, algorithm 1). It starts with random values of unit length along the last axis (MoCo; of rows of segments each segment).
#[kind("memory/queue", outputs = Out, writes = Written, source = "MoCo (He et al. 2020), algorithm 1")]
pub struct Queue {
    /// How many rows it holds, at least the batch.
    #[smoke(batch)]
    #[schemars(range(min = 1, max = limits::ROWS))]
    rows: usize,
}

#[derive(Ports)]
pub struct Written<P: Plane> {
    /// `...` one row of each sample
    rows: P::Float,
}

#[derive(Ports)]
pub struct Out<P: Plane> {
    /// `K ...` all rows, from before the step
    rows: P::Whole,
    /// how many of them were written, as a float
    filled: P::Scalar,
}

#[derive(Ports)]
pub struct Kept<P: Plane> {
    /// `K ...` the rows
    rows: P::Float,
    /// `1` where the next batch goes
    pointer: P::Index,
    /// how many rows were written
    filled: P::Index,
}

impl Kind for Queue {
    fn batch_at_most(&self) -> Option<(&'static str, usize)> {
        Some(("rows", self.rows))
    }
}

impl RegisterDeclaration for Queue {
    type Kept<P: Plane> = Kept<P>;
    fn outputs(&self, written: &Written<Late>) -> Result<Out<Shapes>, PortFault> {
        let shape = std::iter::once(self.rows.into()).chain(written.rows.clone()?.shape);
        Ok(Out { rows: Port::whole(Type::Float, shape), filled: Port::scalar() })
    }
    fn state(&self, written: &Written<Late>) -> Result<Kept<States>, PortFault> {
        let shape = std::iter::once(self.rows.into()).chain(written.rows.clone()?.shape);
        Ok(Kept {
            rows: State::new(shape, Init::UnitLength).reference(Reference::FirstAxisLast),
            pointer: State::new([1.into()], Init::Constant(0.0)),
            filled: State::new([], Init::Constant(0.0)).reference(Reference::None),
        })
    }
}

impl RegisterKind for Queue {
    fn read(&self, kept: Kept<Batch>) -> Result<Out<Batch>> {
        Ok(Out { rows: kept.rows, filled: kept.filled.to_kind(Dtype::Float) })
    }
    fn write(&self, mut kept: Kept<Batch>, Written { rows: new }: Written<Batch>) -> Result<()> {
        let (k, n) = (self.rows as i64, new.size()[0]);
        ensure!(n <= k, "{n} rows are written to a queue of {k}: it must hold at least one batch");
        let at = i64::try_from(&kept.pointer)?;
        let places = (Tensor::arange(n, (Dtype::Int64, kept.rows.device())) + at).remainder(k);
        let _ = kept.rows.index_copy_(0, &places, &new.to_kind(Dtype::Float));
        let _ = kept.pointer.fill_((at + n) % k);
        let filled = i64::try_from(&kept.filled)?;
        let _ = kept.filled.fill_((filled + n).min(k));
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
        testing::write(&queue, &state, vec![("rows", batch(10))]).unwrap();
        testing::write(&queue, &state, vec![("rows", batch(20))]).unwrap();
        let shown = testing::read(&queue, &state);
        assert_eq!(Vec::<f32>::try_from(shown.tensor("rows").flatten(0, -1)).unwrap(), [22.0, 11.0, 12.0, 20.0, 21.0]);
        assert_eq!(f64::try_from(shown.tensor("filled")).unwrap(), 5.0);
        assert_eq!(i64::try_from(&state["pointer"]).unwrap(), 1);
        let six = Tensor::zeros([6, 1], (Dtype::Float, tch::Device::Cpu));
        assert!(testing::write(&queue, &state, vec![("rows", six)]).unwrap_err().to_string().contains("at least one batch"));
    }
}
