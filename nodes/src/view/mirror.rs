use super::CLIPS;
use crate::pixels::{clip_size, clips_like, device_size, draw_index, host_size};
use anyhow::Result;
use dv_graph::host::{Array, SampleIo, SampleKind, Value};
use dv_graph::kind::{In, Inputs, Kind, Out, PortFault};
use dv_graph::port::Port;
use dv_train::exec::batch::{BatchIo, BatchKind};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;

/// Left and right exchanged, in all frames of a clip or in none.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// Probability that a clip is mirrored.
    #[schemars(range(min = 0.0, max = 1.0))]
    probability: f64,
}

impl Kind for Mirror {
    const NAME: &'static str = "view/mirror";
    const INPUTS: &'static [In] = &[CLIPS];
    const OUTPUTS: &'static [Out] =
        &[Out::new("clips", "3 T H W", "the clips, of the type that came in"), Out::draw("mirrored", "1", "1 where the clip is mirrored")];

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        let size = clip_size(inputs, "clips")?;
        Ok(vec![clips_like(inputs, "clips", size), Port::index([1.into()]).with_range(2.into())])
    }
}

impl SampleKind for Mirror {
    fn run(&self, io: &mut SampleIo) -> Result<()> {
        let clip = io.bytes("clips")?;
        let [_, _, width] = host_size(clip)?;
        let mirrored = io.draw_index("mirrored", &[1], |rng| vec![i64::from(rng.chance(self.probability))])?;
        let clip = match mirrored[0] {
            0 => clip.clone(),
            _ => {
                let mut data = Vec::with_capacity(clip.data.len());
                for row in clip.data.chunks_exact(width * 3) {
                    row.chunks_exact(3).rev().for_each(|pixel| data.extend_from_slice(pixel));
                }
                Array::new(clip.shape.clone(), data)
            }
        };
        io.put("clips", Value::Bytes(clip));
        Ok(())
    }
}

impl BatchKind for Mirror {
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        let clips = io.tensor("clips")?;
        device_size(&clips)?;
        let mirrored = draw_index(io, "mirrored", &[1], |rng| vec![i64::from(rng.chance(self.probability))])?;
        let flags: Vec<bool> = mirrored.iter().map(|m| m[0] != 0).collect();
        let mask = Tensor::from_slice(&flags).reshape([-1, 1, 1, 1, 1]).to_device(clips.device());
        io.put("clips", clips.flip([4]).where_self(&mask, &clips));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parity::Case, testing};

    #[test]
    fn host_and_device_mirror_as_the_reference_does() {
        let case = Case::open("g_crops");
        let clip = case.input("frame0").unsqueeze(0).permute([3, 0, 1, 2]).unsqueeze(0);
        for (probability, name) in [(0.0, "flip_left"), (1.0, "flip_right")] {
            let kind: Mirror = testing::kind(&format!("probability = {probability:?}"));
            let device = testing::run(&kind, 1, vec![("clips", clip.shallow_clone())]).take("clips");
            case.tensor(name, &device.reshape([3, 48, 64]).permute([1, 2, 0]));
            let host = testing::run_host(&kind, 0, &[("clips", Value::Bytes(testing::clip_array(&clip.get(0))))]);
            assert_eq!(host["clips"], Value::Bytes(testing::clip_array(&device.get(0))));
        }
    }
}
