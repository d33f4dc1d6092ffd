use anyhow::{ensure, Result};
use dv_graph::kind::{Axes, In, Inputs, Kind, Out, PortFault};
use dv_graph::port::{Port, Rate, Type};
use dv_train::exec::batch::{BatchIo, BatchKind};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Device, Kind as Dtype, Tensor};

/// The rows of the whole batch in a drawn order, so that the `world` parts over which batch norm takes its statistics hold other
/// samples than before: MoCo's shuffled batch norm, for keys. `batch/unshuffle` with the same `order` brings rows back.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shuffle {}

impl Kind for Shuffle {
    const NAME: &'static str = "batch/shuffle";
    const INPUTS: &'static [In] = &[In::new("rows", &[Type::Bytes, Type::Float, Type::Index], "...", "a row a sample, with any item axes")];
    const OUTPUTS: &'static [Out] = &[
        Out::new("rows", "...", "the rows in that order: row j is row `order[j]` of the input"),
        Out::draw("order", "", "a permutation of the batch's rows"),
    ];
    const RATE: Rate = Rate::Batch;
    const AXES: Axes = Axes::Keep;

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        let rows = inputs.port("rows");
        if !rows.rows {
            return Err(PortFault::input("rows", format!("{rows} has no row for each sample")));
        }
        Ok(vec![rows.clone(), Port::index([])])
    }
}

/// Whether it holds each of `0..n` once.
fn is_permutation(order: &Tensor, n: i64) -> Result<bool> {
    let mut sorted = Vec::<i64>::try_from(order.to_device(Device::Cpu).flatten(0, -1))?;
    sorted.sort_unstable();
    Ok(sorted.into_iter().eq(0..n))
}

impl BatchKind for Shuffle {
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        let rows = io.tensor("rows")?;
        let n = rows.size()[0];
        let order = match io.optional("order") {
            Some(given) => {
                ensure!(is_permutation(&given, n)?, "`order` must hold each of 0..{n} once");
                given.to_kind(Dtype::Int64).reshape([n])
            }
            None => {
                let drawn: Vec<i64> = io.batch_rng("order").permutation(n as usize).into_iter().map(|i| i as i64).collect();
                Tensor::from_slice(&drawn).to_device(rows.device())
            }
        };
        io.put("rows", rows.index_select(0, &order));
        io.put("order", order);
        Ok(())
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
        assert!(is_permutation(&order, 6).unwrap());
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
