use anyhow::{ensure, Result};
use dv_graph::kind::{In, Inputs, Kind, Out, PortFault};
use dv_graph::port::{Port, Type};
use dv_train::exec::batch::{BatchIo, BatchKind};
use schemars::JsonSchema;
use serde::Deserialize;

/// Undoes a permutation of items: item j of the input was item `order[j]` before, and goes back there.
/// DualVar, the calibration of the shuffled series.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Restore {}

impl Kind for Restore {
    const NAME: &'static str = "order/restore";
    const INPUTS: &'static [In] = &[
        In::new("items", &[Type::Float], "N D", "permuted items"),
        In::new("order", &[Type::Index], "N", "the permutation that they went through"),
    ];
    const OUTPUTS: &'static [Out] = &[Out::new("items", "N D", "the items at their first places")];

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        Ok(vec![Port::float(inputs.port("items").shape.clone())])
    }
}

impl BatchKind for Restore {
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        let (items, order) = (io.tensor("items")?, io.tensor("order")?);
        ensure!(items.size()[..2] == order.size()[..], "items {:?} and order {:?} do not match", items.size(), order.size());
        let to = order.unsqueeze(-1).expand_as(&items);
        io.put("items", items.zeros_like().scatter(1, &to, &items));
        Ok(())
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
