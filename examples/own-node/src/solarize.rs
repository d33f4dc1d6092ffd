use anyhow::Result;
use dv_graph::kind::{In, Inputs, Kind, Out, PortFault};
use dv_graph::port::Port;
use dv_nodes::pixels::{clip_size, unit_floats, PIXELS};
use dv_train::exec::batch::{BatchIo, BatchKind};
use schemars::JsonSchema;
use serde::Deserialize;

/// Bright pixels are inverted: `x` becomes `1 - x` where it is above `threshold` (BYOL, appendix B).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Solarize {
    /// Where 1 is white.
    #[schemars(range(min = 0.0, max = 1.0))]
    threshold: f64,
}

impl Kind for Solarize {
    const NAME: &'static str = "own/solarize";
    const INPUTS: &'static [In] = &[In::new("clips", PIXELS, "3 T H W", "clips, before they are normalised")];
    const OUTPUTS: &'static [Out] = &[Out::new("clips", "3 T H W", "the clips, as floats from 0 to 1")];

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        let [time, height, width] = clip_size(inputs, "clips")?;
        Ok(vec![Port::float([3, time, height, width].map(Into::into))])
    }
}

impl BatchKind for Solarize {
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        let clips = unit_floats(&io.tensor("clips")?);
        io.put("clips", (1f64 - &clips).where_self(&clips.gt(self.threshold), &clips));
        Ok(())
    }
}
