use crate::pixels::length;
use anyhow::{ensure, Result};
use dv_graph::kind::{Axes, In, Inputs, Kind, Out, PortFault};
use dv_graph::port::{Axis, Port, Type};
use dv_train::exec::batch::{BatchIo, BatchKind};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind as Dtype, Tensor};

/// The items of an item axis in another order: item j of the result is item `order[j]` of the input. It takes clips, or,
/// for less to move, their features (VCOP).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PermuteItems {}

impl Kind for PermuteItems {
    const NAME: &'static str = "order/permute_items";
    const INPUTS: &'static [In] = &[
        In::new("items", &[Type::Bytes, Type::Float, Type::Index], "...", "what has one item axis, of N items"),
        In::new("order", &[Type::Index], "N", "which item comes where"),
    ];
    const OUTPUTS: &'static [Out] = &[Out::new("items", "axis.. ...", "the items in that order, numbered from 0 on the same axis")];
    const AXES: Axes = Axes::Keep;

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        let items = inputs.port("items");
        let order = length(inputs, "order", 0)?;
        if !inputs.axes("order").is_empty() {
            return Err(PortFault::input("order", "one order a sample was expected, without item axes"));
        }
        match &items.axes[..] {
            [axis] if axis.len() == order => Ok(vec![Port { axes: vec![Axis::counted(&axis.name, order)], ..items.clone() }]),
            [axis] => Err(PortFault::input("order", format!("an order of {order}, but the axis `{}` has {} items", axis.name, axis.len()))),
            _ => Err(PortFault::input("items", format!("one item axis was expected; this is {items}"))),
        }
    }
}

impl BatchKind for PermuteItems {
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        let (items, order) = (io.tensor("items")?, io.tensor("order")?);
        let size = items.size();
        ensure!(size.len() > 1 && size[..2] == order.size()[..], "items {size:?} and order {:?} do not match", order.size());
        let own = Tensor::arange(size[0], (Dtype::Int64, items.device())).unsqueeze(1) * size[1];
        let moved = items.flatten(0, 1).index_select(0, &(order + own).flatten(0, -1));
        io.put("items", moved.reshape(&size[..]));
        Ok(())
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
        let ports = |items: Port| kind.ports(&Inputs::new(vec![("items".into(), items), ("order".into(), Port::index([3.into()]))]));
        let feature = || Port::float([8.into()]);
        assert_eq!(ports(feature().with_axis(Axis::counted("clip", 3))).unwrap()[0].to_string(), "float [B, clip 3, 8]");
        assert!(ports(feature().with_axis(Axis::counted("clip", 4))).unwrap_err().message.contains("4 items"));
        assert!(ports(feature()).is_err());
    }
}
