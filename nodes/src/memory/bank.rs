use crate::prelude::*;

/// One row for each sample: `row <- normalise(momentum * row + (1 - momentum) * written)` (instance discrimination; IIC, lib/NCE).
/// It starts uniform in ±sqrt(3 / D), as the published code does; rows have length 1 only once they were written.
#[kind("memory/bank", outputs = Out, writes = Written, source = "Instance discrimination (Wu et al. 2018), section 3.2; IIC's code")]
pub struct Bank {
    /// Share of the old row.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    momentum: f64,
}

#[derive(Ports)]
pub struct Written<P: Plane> {
    /// which row each sample has
    index: P::Index,
    /// `D` features of the samples
    rows: P::Float,
}

#[derive(Ports)]
pub struct Out<P: Plane> {
    /// `videos D` all rows, from before the step
    rows: P::Whole,
}

impl Kind for Bank {}

/// `[videos, D]`
fn shape(written: &Written<Late>) -> Result<[Dim; 2], PortFault> {
    let (index, rows) = (written.index.clone()?, written.rows.clone()?);
    let unknown = || PortFault::node("the index that is written does not say how many samples there are: write `index` from the source");
    Ok([index.range.ok_or_else(unknown)?, rows.shape[0].clone()])
}

impl RegisterDeclaration for Bank {
    type Kept<P: Plane> = Out<P>;
    fn outputs(&self, written: &Written<Late>) -> Result<Out<Shapes>, PortFault> {
        Ok(Out { rows: Port::whole(Type::Float, shape(written)?) })
    }
    fn state(&self, written: &Written<Late>) -> Result<Out<States>, PortFault> {
        let shape = shape(written)?;
        let bound = shape[1].known().map_or(1.0, |d| (3.0 / d as f64).sqrt());
        Ok(Out { rows: State::new(shape, Init::Uniform(bound)) })
    }
}

impl RegisterKind for Bank {
    fn read(&self, kept: Out<Batch>) -> Result<Out<Batch>> {
        Ok(kept)
    }
    fn write(&self, kept: Out<Batch>, Written { index, rows: new }: Written<Batch>) -> Result<()> {
        let mut rows = kept.rows;
        let mixed = rows.index_select(0, &index) * self.momentum + new.to_kind(Dtype::Float) * (1.0 - self.momentum);
        let length = mixed.square().sum_dim_intlist([1i64].as_slice(), true, None::<Dtype>).sqrt();
        let _ = rows.index_copy_(0, &index, &(mixed / length));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use tch::Tensor;

    #[test]
    fn written_rows_are_mixed_and_have_length_1_others_stay() {
        let bank: Bank = testing::kind("momentum = 0.5");
        let ports = vec![("index", Port::index([]).with_range(4.into())), ("rows", Port::float([2.into()]))];
        let state = testing::state(&bank, ports);
        let before = state["rows"].copy();
        assert!(f64::try_from(before.abs().max()).unwrap() <= (3f64 / 2.0).sqrt());
        let new = Tensor::from_slice(&[3f32, 4.0, 0.0, 2.0]).reshape([2, 2]);
        testing::write(&bank, &state, vec![("index", Tensor::from_slice(&[2i64, 0])), ("rows", new.shallow_clone())]).unwrap();
        for (sample, row) in [(0, 2), (1, 0)] {
            let want = before.get(row) * 0.5 + new.get(sample) * 0.5;
            let want = &want / want.norm();
            assert!((state["rows"].get(row) - want).abs().max().double_value(&[]) < 1e-6);
        }
        for row in [1, 3] {
            assert!(state["rows"].get(row).equal(&before.get(row)));
        }
    }
}
