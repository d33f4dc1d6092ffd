use super::Order;
use crate::prelude::*;

/// A permutation for each sample, uniform over all: the identity may be drawn.
#[kind("order/permutation", draws = Order, source = "standard")]
pub struct Permutation {
    /// How many items are permuted.
    #[schemars(range(min = 1, max = limits::ITEMS))]
    items: usize,
}

impl Kind for Permutation {
    fn draw(&self, mut dice: Order<Dice>, _: &Seen<Self>) -> Result<Order<Row>> {
        Ok(Order { order: dice.order.permutation(self.items).into_iter().map(|i| i as i64).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn host_and_device_draw_the_same() {
        let kind: Permutation = testing::kind("items = 5");
        let device = testing::draw(&kind, 4, vec![]);
        let device = Vec::<Vec<i64>>::try_from(device.tensor("order")).unwrap();
        for (row, order) in device.iter().enumerate() {
            let host = testing::draw_host(&kind, row as u64);
            assert_eq!(testing::host_index(&host["order"]), *order);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4]);
        }
    }
}
