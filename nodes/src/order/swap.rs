use super::Order;
use crate::prelude::*;

/// A permutation for each sample that exchanges two items, any two, and leaves the others: never the identity. With
/// `order/permute_segments` and 4 items it is IIC's intra-negative by temporal shuffling.
#[kind("order/swap", draws = Order, source = "IIC (Tao et al. 2020), section 3.3, and its code")]
pub struct Swap {
    /// How many items there are.
    #[schemars(range(min = 2, max = limits::ITEMS))]
    items: usize,
}

impl Kind for Swap {
    fn draw(&self, mut dice: Order<Dice>, _: &Seen<Self>) -> Result<Order<Row>> {
        let mut order: Vec<i64> = (0..self.items as i64).collect();
        let first = dice.order.below(self.items);
        let second = (first + 1 + dice.order.below(self.items - 1)) % self.items;
        order.swap(first, second);
        Ok(Order { order })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::permute_segments::PermuteSegments;
    use crate::{parity::Case, testing};
    use std::collections::HashSet;
    use tch::Tensor;

    #[test]
    fn every_pair_is_drawn_alike_on_host_and_device() {
        let kind: Swap = testing::kind("items = 4");
        let device = Vec::<Vec<i64>>::try_from(testing::draw(&kind, 200, vec![]).tensor("order")).unwrap();
        for (row, order) in device.iter().enumerate() {
            assert_eq!(testing::host_index(&testing::draw_host(&kind, row as u64)["order"]), *order);
            assert_eq!(order.iter().enumerate().filter(|(i, o)| *i as i64 != **o).count(), 2);
        }
        assert_eq!(device.iter().collect::<HashSet<_>>().len(), 6);
        assert_eq!(testing::faults::<Swap>("items = 1").len(), 1);
    }

    #[test]
    fn segments_of_intra_negatives_are_the_references() {
        let case = Case::open("d_gen_neg");
        let draws: Vec<[usize; 3]> = serde_json::from_value(case.json["params"]["shuffle_draws"].clone()).unwrap();
        let order = |pair: &[[usize; 3]]| {
            let mut order = [0i64, 1, 2, 3];
            order.swap(pair[0][2], (pair[0][2] + pair[1][2] + 1) % 4);
            order
        };
        let orders: Vec<[i64; 4]> = draws.chunks(2).map(order).collect();
        let inputs = vec![("clips", case.input("x")), ("order", Tensor::from_slice2(&orders))];
        let out = testing::run(&testing::kind::<PermuteSegments>(""), 4, inputs);
        case.tensor("shuffle", out.tensor("clips"));
    }
}
