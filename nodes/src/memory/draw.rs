use crate::prelude::*;

/// Rows of a bank for each sample, drawn uniformly from all with replacement; they may hit its own (IIC, lib/NCE).
#[kind("memory/draw", inputs = In, draws = Indices, source = "CMC (Tian et al. 2020), section 3.4; IIC's code")]
pub struct Draw {
    /// How many are drawn for each sample.
    #[smoke(12)]
    #[schemars(range(min = 1, max = limits::DRAWN))]
    count: usize,
}

#[derive(Ports)]
pub struct In<P: Plane> {
    /// the source's index, which knows how many rows there are
    index: P::Index,
}

#[derive(Ports)]
pub struct Indices<P: Plane> {
    /// `count` rows of the bank
    indices: P::Index,
}

impl Kind for Draw {
    fn drawn(&self, inputs: In<Shapes>) -> Result<Indices<Shapes>, PortFault> {
        let unknown = || PortFault::port("index", "it does not say how many samples there are: take the source's `index`");
        Ok(Indices { indices: Port::index([self.count.into()]).with_range(inputs.index.range.ok_or_else(unknown)?) })
    }
    fn draw(&self, mut dice: Indices<Dice>, seen: &Seen<Self>) -> Result<Indices<Row>> {
        let unknown = || anyhow!("the number of values of the index at `index` is known only with the data (--data)");
        let range = seen.inputs.index.range.ok_or_else(unknown)?;
        Ok(Indices { indices: (0..self.count).map(|_| dice.indices.below(range) as i64).collect() })
    }
}

impl BatchKind for Draw {
    fn run(&self, _: In<Batch>, _: &Cx<Self>) -> Result<Nothing<Batch>> {
        Ok(Nothing::default())
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
