use super::CLIPS;
use crate::pixels::{clip_size, clips_like, device_size, draw_index, host_size, stack_rows};
use anyhow::{ensure, Result};
use dv_graph::host::{Array, SampleIo, SampleKind, Value};
use dv_graph::kind::{In, Inputs, Kind, Out, PortFault};
use dv_graph::port::Port;
use dv_train::exec::batch::{BatchIo, BatchKind};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;

/// One frame of a clip, drawn uniformly, at every place of it: what stands there without any motion. IIC's intra-negative by
/// frame repeating.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RepeatFrame {}

fn check(frame: i64, time: usize) -> Result<usize> {
    ensure!((0..time as i64).contains(&frame), "`frame` must lie in 0..{time}, the clip's frames");
    Ok(frame as usize)
}

impl Kind for RepeatFrame {
    const NAME: &'static str = "view/repeat_frame";
    const INPUTS: &'static [In] = &[CLIPS];
    const OUTPUTS: &'static [Out] = &[
        Out::new("clips", "3 T H W", "clips of one frame each, of the type that came in"),
        Out::draw("frame", "1", "which frame of the clip is repeated"),
    ];

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        let size = clip_size(inputs, "clips")?;
        Ok(vec![clips_like(inputs, "clips", size), Port::index([1.into()]).with_range(size[0].into())])
    }
}

impl SampleKind for RepeatFrame {
    fn run(&self, io: &mut SampleIo) -> Result<()> {
        let clip = io.bytes("clips")?;
        let [time, height, width] = host_size(clip)?;
        let frame = io.draw_index("frame", &[1], |rng| vec![rng.below(time) as i64])?;
        let size = height * width * 3;
        let from = check(frame[0], time)? * size;
        io.put("clips", Value::Bytes(Array::new(clip.shape.clone(), clip.data[from..from + size].repeat(time))));
        Ok(())
    }
}

impl BatchKind for RepeatFrame {
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        let clips = io.tensor("clips")?;
        let [rows, time, height, width] = device_size(&clips)?;
        ensure!(time > 0, "a clip of no frames");
        let frames = draw_index(io, "frame", &[1], |rng| vec![rng.below(time as usize) as i64])?;
        let one = |row: i64| {
            let frame = check(frames[row as usize][0], time as usize)? as i64;
            Ok(clips.get(row).narrow(1, frame, 1).expand([3, time, height, width], false))
        };
        let repeated = (0..rows).map(one).collect::<Result<Vec<Tensor>>>()?;
        io.put("clips", stack_rows(&repeated));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parity::Case, testing};

    #[test]
    fn the_drawn_frame_stands_everywhere_as_in_the_reference() {
        let case = Case::open("d_gen_neg");
        let draws: Vec<[i64; 3]> = serde_json::from_value(case.json["params"]["repeat_draws"].clone()).unwrap();
        let frames: Vec<i64> = draws.iter().map(|[_, _, frame]| *frame).collect();
        let frame = Tensor::from_slice(&frames).reshape([-1, 1]);
        let out = testing::run(&testing::kind::<RepeatFrame>(""), 4, vec![("clips", case.input("x")), ("frame", frame)]);
        case.tensor("repeat", out.tensor("clips"));
    }

    #[test]
    fn host_and_device_draw_and_repeat_the_same() {
        let kind: RepeatFrame = testing::kind("");
        let clips = Tensor::randint(256, [6, 3, 5, 2, 3], (tch::Kind::Uint8, tch::Device::Cpu));
        let device = testing::run(&kind, 6, vec![("clips", clips.shallow_clone())]);
        for row in 0..6 {
            let host = testing::run_host(&kind, row as u64, &[("clips", Value::Bytes(testing::clip_array(&clips.get(row))))]);
            assert_eq!(host["clips"], Value::Bytes(testing::clip_array(&device.tensor("clips").get(row))));
            assert_eq!(testing::host_index(&host["frame"]), [device.tensor("frame").int64_value(&[row, 0])]);
        }
    }
}
