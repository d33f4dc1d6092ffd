use super::{pool, MAP};
use anyhow::Result;
use dv_graph::kind::{In, Inputs, Kind, Out, PortFault};
use dv_graph::port::Port;
use dv_train::exec::batch::{BatchIo, BatchKind};
use dv_train::state::weights::Weights;
use schemars::JsonSchema;
use serde::Deserialize;

/// The mean of a map over time, height and width.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GlobalPool {}

impl Kind for GlobalPool {
    const NAME: &'static str = "head/global_pool";
    const INPUTS: &'static [In] = &[MAP];
    const OUTPUTS: &'static [Out] = &[Out::new("features", "C", "one value for each channel")];

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        Ok(vec![Port::float(inputs.port("map").shape.first().cloned())])
    }
}

impl BatchKind for GlobalPool {
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        let features = pool(&Weights::full(&io.tensor("map")?));
        io.put("features", features);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use tch::Tensor;

    #[test]
    fn each_channel_has_its_mean() {
        let map = Tensor::arange(2 * 3 * 4, tch::kind::FLOAT_CPU).reshape([1, 3, 2, 2, 2]);
        let out = testing::run(&testing::kind::<GlobalPool>(""), 1, vec![("map", map)]);
        assert_eq!(Vec::<f32>::try_from(out.tensor("features").squeeze()).unwrap(), [3.5, 11.5, 19.5]);
    }
}
