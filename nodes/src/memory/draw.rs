use crate::limits;
use anyhow::Result;
use dv_graph::kind::{In, Inputs, Kind, Out, PortFault};
use dv_graph::port::{Port, Type};
use dv_train::exec::batch::{BatchIo, BatchKind};
use schemars::JsonSchema;
use serde::Deserialize;

/// Rows of a bank for each sample, drawn uniformly from all with replacement; they may hit its own (IIC, lib/NCE).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Draw {
    /// How many are drawn for each sample.
    #[schemars(range(min = 1, max = limits::DRAWN))]
    count: usize,
}

impl Kind for Draw {
    const NAME: &'static str = "memory/draw";
    const INPUTS: &'static [In] = &[In::new("index", &[Type::Index], "", "the source's index, which knows how many rows there are")];
    const OUTPUTS: &'static [Out] = &[Out::draw("indices", "count", "rows of the bank")];

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        let Some(range) = inputs.get("index").and_then(|p| p.range.clone()) else {
            return Err(PortFault::input("index", "it does not say how many samples there are: take the source's `index`"));
        };
        Ok(vec![Port::index([self.count.into()]).with_range(range)])
    }
}

impl BatchKind for Draw {
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        // a given draw says itself where its rows lie
        let range = if io.optional("indices").is_some() { 0 } else { io.range("index")? };
        io.draw_index("indices", &[self.count as i64], |rng, _| (0..self.count).map(|_| rng.below(range) as i64).collect()).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use tch::Tensor;

    #[test]
    fn all_rows_are_drawn_and_none_beyond() {
        let kind: Draw = testing::kind("count = 200");
        let index = Tensor::from_slice(&[4i64, 0]);
        let drawn = testing::run_ranged(&kind, 2, vec![("index", index)], vec![("index", 5)]).take("indices");
        assert_eq!(drawn.size(), [2, 200]);
        let rows: Vec<i64> = Vec::try_from(drawn.flatten(0, -1)).unwrap();
        assert!((0..5).all(|i| rows.contains(&i)) && rows.iter().all(|i| (0..5).contains(i)));
        assert!(!drawn.get(0).equal(&drawn.get(1)));
    }
}
