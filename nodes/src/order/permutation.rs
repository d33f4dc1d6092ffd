use crate::limits;
use anyhow::Result;
use dv_graph::draw::Rng;
use dv_graph::host::{SampleIo, SampleKind};
use dv_graph::kind::{In, Inputs, Kind, Out, PortFault};
use dv_graph::port::Port;
use dv_train::exec::batch::{BatchIo, BatchKind};
use schemars::JsonSchema;
use serde::Deserialize;

/// A permutation for each sample, uniform over all: the identity may be drawn.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Permutation {
    /// How many items are permuted.
    #[schemars(range(min = 1, max = limits::ITEMS))]
    items: usize,
}

impl Permutation {
    fn draw(&self, rng: &mut Rng) -> Vec<i64> {
        rng.permutation(self.items).into_iter().map(|i| i as i64).collect()
    }
}

impl Kind for Permutation {
    const NAME: &'static str = "order/permutation";
    const INPUTS: &'static [In] = &[];
    const OUTPUTS: &'static [Out] = &[Out::draw("order", "N", "each of 0..items once")];

    fn ports(&self, _: &Inputs) -> Result<Vec<Port>, PortFault> {
        Ok(vec![Port::index([self.items.into()]).with_range(self.items.into())])
    }
}

impl SampleKind for Permutation {
    fn run(&self, io: &mut SampleIo) -> Result<()> {
        io.draw_index("order", &[self.items], |rng| self.draw(rng)).map(drop)
    }
}

impl BatchKind for Permutation {
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        io.draw_index("order", &[self.items as i64], |rng, _| self.draw(rng)).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn host_and_device_draw_the_same() {
        let kind: Permutation = testing::kind("items = 5");
        let device = testing::run(&kind, 4, vec![]);
        let device = Vec::<Vec<i64>>::try_from(device.tensor("order")).unwrap();
        for (row, order) in device.iter().enumerate() {
            let host = testing::run_host(&kind, row as u64, &[]);
            assert_eq!(testing::host_index(&host["order"]), *order);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4]);
        }
    }
}
