use super::{has_rows, Rows};
use crate::prelude::*;

/// The rows of the whole batch in a drawn order, so that the `world` parts over which batch norm takes its statistics hold other
/// samples than before: MoCo's shuffled batch norm, for keys. `batch/unshuffle` with the same `order` brings rows back.
#[kind("batch/shuffle", inputs = Rows, outputs = Shuffled, draws = Order, rate = Batch, axes = Keep, source = "MoCo (He et al. 2020), section 3.3")]
pub struct Shuffle {}

#[derive(Ports)]
pub struct Shuffled<P: Plane> {
    /// `...` the rows in that order: row j is row `order[j]` of the input
    rows: P::Any,
}

#[derive(Ports)]
pub struct Order<P: Plane> {
    /// a permutation of the batch's rows
    order: P::Index,
}

impl Kind for Shuffle {
    fn ports(&self, inputs: Rows<Shapes>) -> Result<Shuffled<Shapes>, PortFault> {
        has_rows(&inputs.rows)?;
        Ok(Shuffled { rows: inputs.rows })
    }
    fn draw(&self, mut dice: Order<Dice>, seen: &Seen<Self>) -> Result<Order<Row>> {
        Ok(Order { order: dice.order.permutation(seen.inputs.rows.shape[0]).into_iter().map(|i| i as i64).collect() })
    }
}

impl BatchKind for Shuffle {
    fn run(&self, inputs: Rows<Batch>, cx: &Cx<Self>) -> Result<Shuffled<Batch>> {
        let n = inputs.rows.size()[0];
        let mut sorted = cx.draws.order.index()?.to_vec();
        sorted.sort_unstable();
        ensure!(sorted.into_iter().eq(0..n), "`order` must hold each of 0..{n} once");
        Ok(Shuffled { rows: inputs.rows.index_select(0, &cx.draws.order.tensor().reshape([n])) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::unshuffle::Unshuffle;
    use crate::testing;
    use dv_train::exec::batch::Value;

    #[test]
    fn unshuffle_brings_every_row_back_with_its_gradient() {
        let rows = Tensor::arange(24, tch::kind::FLOAT_CPU).reshape([6, 2, 2]).set_requires_grad(true);
        let mut out = testing::run_world(&testing::kind::<Shuffle>(""), 6, 2, vec![("rows", rows.shallow_clone())]);
        let (mixed, order) = (out.take("rows"), out.take("order"));
        let mut sorted = Vec::<i64>::try_from(&order).unwrap();
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 1, 2, 3, 4, 5]);
        assert_ne!(mixed, rows);
        assert_eq!(mixed, rows.index_select(0, &order));
        let back = testing::run_world(&testing::kind::<Unshuffle>(""), 6, 2, vec![("rows", mixed), ("order", order)]).take("rows");
        assert_eq!(back, rows);
        (&back * back.detach()).sum(Dtype::Float).backward();
        assert_eq!(rows.grad(), rows.detach());
    }

    #[test]
    fn an_order_can_be_given_if_it_is_one() {
        let run = |order: &[i64]| {
            let inputs = vec![("rows", Tensor::from_slice(&[5i64, 6, 7])), ("order", Tensor::from_slice(order))];
            let inputs = inputs.into_iter().map(|(n, t)| (n, Value::Tensor(t))).collect();
            testing::run_values(&testing::kind::<Shuffle>(""), 3, 1, inputs)
        };
        assert_eq!(Vec::<i64>::try_from(run(&[2, 0, 1]).unwrap().tensor("rows")).unwrap(), [7, 5, 6]);
        assert!(run(&[2, 2, 1]).is_err());
    }
}
