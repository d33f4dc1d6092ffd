use crate::prelude::*;

/// The items of an item axis in another order: item j of the result is item `order[j]` of the input. It takes clips, or,
/// for less to move, their features (VCOP).
#[kind("order/permute_items", inputs = In, outputs = Out, axes = Keep, source = "VCOP (Xu et al. 2019), section 3.1")]
pub struct PermuteItems {}

#[derive(Ports)]
pub struct In<P: Plane> {
    /// `...` what has one item axis, of N items
    items: P::Any,
    /// `N` which item comes where
    order: P::Index,
}

#[derive(Ports)]
pub struct Out<P: Plane> {
    /// `axis.. ...` the items in that order, numbered from 0 on the same axis
    items: P::Any,
}

impl Kind for PermuteItems {
    fn ports(&self, In { items, order }: In<Shapes>) -> Result<Out<Shapes>, PortFault> {
        let count = length(&order, "order", 0)?;
        if !order.axes.is_empty() {
            return Err(PortFault::port("order", "one order a sample was expected, without item axes"));
        }
        match &items.axes[..] {
            [axis] if axis.len() == count => Ok(Out { items: Port { axes: vec![Axis::counted(&axis.name, count)], ..items } }),
            [axis] => Err(PortFault::port("order", format!("an order of {count}, but the axis `{}` has {} items", axis.name, axis.len()))),
            _ => Err(PortFault::port("items", format!("one item axis was expected; this is {items}"))),
        }
    }
}

impl BatchKind for PermuteItems {
    fn run(&self, In { items, order }: In<Batch>, _: &Cx<Self>) -> Result<Out<Batch>> {
        let size = items.size();
        ensure!(size.len() > 1 && size[..2] == order.size()[..], "items {size:?} and order {:?} do not match", order.size());
        let own = Tensor::arange(size[0], (Dtype::Int64, items.device())).unsqueeze(1) * size[1];
        let moved = items.flatten(0, 1).index_select(0, &(order + own).flatten(0, -1));
        Ok(Out { items: moved.reshape(&size[..]) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn item_j_is_the_inputs_item_order_j() {
        let items = Tensor::from_slice(&[10i64, 11, 12, 20, 21, 22]).reshape([2, 3, 1]);
        let order = Tensor::from_slice(&[2i64, 0, 1, 0, 2, 1]).reshape([2, 3]);
        let out = testing::run(&testing::kind::<PermuteItems>(""), 2, vec![("items", items), ("order", order)]);
        assert_eq!(Vec::<i64>::try_from(out.tensor("items").flatten(0, -1)).unwrap(), [12, 10, 11, 20, 22, 21]);
    }

    #[test]
    fn one_item_axis_as_long_as_the_order_is_needed() {
        let kind: PermuteItems = testing::kind("");
        let ports = |items: Port| testing::shapes(&kind, vec![("items", items), ("order", Port::index([3.into()]))]);
        let feature = || Port::float([8.into()]);
        assert_eq!(ports(feature().with_axis(Axis::counted("clip", 3))).unwrap()[0].to_string(), "float [B, clip 3, 8]");
        assert!(ports(feature().with_axis(Axis::counted("clip", 4))).unwrap_err().message.contains("4 items"));
        assert!(ports(feature()).is_err());
    }
}
