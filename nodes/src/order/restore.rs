use crate::prelude::*;

/// Undoes a permutation of items: item j of the input was item `order[j]` before, and goes back there.
/// DualVar, the calibration of the shuffled series.
#[kind("order/restore", inputs = In, outputs = Out, source = "DualVar (Zhang et al. 2021), section 3.3")]
pub struct Restore {}

#[derive(Ports)]
pub struct In<P: Plane> {
    /// `N D` permuted items
    items: P::Float,
    /// `N` the permutation that they went through
    order: P::Index,
}

#[derive(Ports)]
pub struct Out<P: Plane> {
    /// `N D` the items at their first places
    items: P::Float,
}

impl Kind for Restore {}

impl BatchKind for Restore {
    fn run(&self, In { items, order }: In<Batch>, _: &Cx<Self>) -> Result<Out<Batch>> {
        ensure!(items.size()[..2] == order.size()[..], "items {:?} and order {:?} do not match", items.size(), order.size());
        Ok(Out { items: items.zeros_like().scatter(1, &order.unsqueeze(-1).expand_as(&items), &items) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use tch::Tensor;

    #[test]
    fn each_item_goes_back_and_so_does_its_gradient() {
        let kind: Restore = testing::kind("");
        let items = Tensor::from_slice(&[10f32, 11., 12., 13.]).reshape([1, 4, 1]).set_requires_grad(true);
        let order = Tensor::from_slice(&[2i64, 0, 3, 1]).reshape([1, 4]);
        let out = testing::run(&kind, 1, vec![("items", items.shallow_clone()), ("order", order)]);
        assert_eq!(Vec::<f32>::try_from(out.tensor("items").flatten(0, -1)).unwrap(), [11., 13., 10., 12.]);
        (out.tensor("items") * Tensor::from_slice(&[1f32, 2., 3., 4.]).reshape([1, 4, 1])).sum(tch::Kind::Float).backward();
        assert_eq!(Vec::<f32>::try_from(items.grad().flatten(0, -1)).unwrap(), [3., 1., 4., 2.]);
    }
}
