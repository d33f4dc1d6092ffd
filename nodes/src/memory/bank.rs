use anyhow::Result;
use dv_graph::kind::{In, Init, Inputs, Kind, Out, PortFault, Reference, RegisterDeclaration, State as Declared};
use dv_graph::port::{Dim, Port, Type};
use dv_train::exec::batch::{BatchIo, RegisterKind, State};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Kind as Dtype;

/// One row for each sample: `row <- normalise(momentum * row + (1 - momentum) * written)` (instance discrimination; IIC, lib/NCE).
/// It starts uniform in ±sqrt(3 / D), as the published code does; rows have length 1 only once they were written.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bank {
    /// Share of the old row.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    momentum: f64,
}

fn videos(inputs: &Inputs) -> Result<Dim, PortFault> {
    let range = inputs.written("index")?.range.clone();
    range.ok_or_else(|| PortFault::node("the index that is written does not say how many samples there are: write `index` from the source"))
}

impl Kind for Bank {
    const NAME: &'static str = "memory/bank";
    const INPUTS: &'static [In] = &[];
    const WRITES: &'static [In] = &[
        In::new("index", &[Type::Index], "", "which row each sample has"),
        In::new("rows", &[Type::Float], "D", "features of the samples"),
    ];
    const OUTPUTS: &'static [Out] = &[Out::new("rows", "videos D", "all rows, from before the step")];

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        Ok(vec![Port::whole(Type::Float, [videos(inputs)?, inputs.written("rows")?.shape[0].clone()])])
    }
}

impl RegisterDeclaration for Bank {
    fn state(&self, inputs: &Inputs) -> Vec<Declared> {
        let (Ok(videos), Ok(rows)) = (videos(inputs), inputs.written("rows")) else { return Vec::new() };
        let dim = rows.shape[0].clone();
        let bound = dim.known().map_or(1.0, |d| (3.0 / d as f64).sqrt());
        vec![Declared { name: "rows", shape: vec![videos, dim], ty: Type::Float, init: Init::Uniform(bound), reference: Reference::Same }]
    }
}

impl RegisterKind for Bank {
    fn read(&self, state: &State, io: &mut BatchIo) -> Result<()> {
        io.put("rows", state.get("rows"));
        Ok(())
    }
    fn write(&self, state: &State, io: &BatchIo) -> Result<()> {
        let (rows, index, new) = (state.get("rows"), io.tensor("index")?, io.tensor("rows")?.to_kind(Dtype::Float));
        let mixed = rows.index_select(0, &index) * self.momentum + new * (1.0 - self.momentum);
        let length = mixed.square().sum_dim_intlist([1i64].as_slice(), true, None::<Dtype>).sqrt();
        let _ = rows.shallow_clone().index_copy_(0, &index, &(mixed / length));
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
        testing::write(&bank, &state, 2, vec![("index", Tensor::from_slice(&[2i64, 0])), ("rows", new.shallow_clone())]).unwrap();
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
