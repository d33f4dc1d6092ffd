use crate::pixels::{clip_size, clips_like, device_size, host_size, length, PIXELS};
use anyhow::{ensure, Result};
use dv_graph::host::{Array, SampleIo, SampleKind, Value};
use dv_graph::kind::{In, Inputs, Kind, Out, PortFault};
use dv_graph::port::{Port, Type};
use dv_train::exec::batch::{BatchIo, BatchKind};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind as Dtype, Tensor};

/// Clips cut in N segments of equal length and put together in another order: segment j of the result is segment
/// `order[j]` of the input. DualVar, the shuffled clip of shuffle-rank.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PermuteSegments {}

impl Kind for PermuteSegments {
    const NAME: &'static str = "order/permute_segments";
    const INPUTS: &'static [In] = &[
        In::new("clips", PIXELS, "3 T H W", "clips; T must be a multiple of N"),
        In::new("order", &[Type::Index], "N", "which segment comes where"),
    ];
    const OUTPUTS: &'static [Out] = &[Out::new("clips", "3 T H W", "the clips with their segments in that order")];

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        let size = clip_size(inputs, "clips")?;
        let segments = length(inputs, "order", 0)?;
        if segments == 0 || size[0] % segments != 0 {
            return Err(PortFault::input("clips", format!("{} frames cannot be cut in {segments} equal segments", size[0])));
        }
        Ok(vec![clips_like(inputs, "clips", size)])
    }
}

impl SampleKind for PermuteSegments {
    fn run(&self, io: &mut SampleIo) -> Result<()> {
        let clip = io.bytes("clips")?;
        let Value::Index(order) = io.input("order")? else { anyhow::bail!("`order` must be an index") };
        let [time, _, _] = host_size(clip)?;
        let segments = order.data.len();
        ensure!(segments > 0 && time % segments == 0, "{time} frames cannot be cut in {segments} equal segments");
        let size = clip.data.len() / segments;
        let mut data = Vec::with_capacity(clip.data.len());
        for &from in order.data.iter() {
            ensure!((0..segments as i64).contains(&from), "`order` must lie in 0..{segments}");
            data.extend_from_slice(&clip.data[from as usize * size..][..size]);
        }
        io.put("clips", Value::Bytes(Array::new(clip.shape.clone(), data)));
        Ok(())
    }
}

impl BatchKind for PermuteSegments {
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        let (clips, order) = (io.tensor("clips")?, io.tensor("order")?);
        let [rows, time, height, width] = device_size(&clips)?;
        let segments = order.size()[1];
        ensure!(segments > 0 && time % segments == 0, "{time} frames cannot be cut in {segments} equal segments");
        let own = Tensor::arange(rows, (Dtype::Int64, clips.device())).unsqueeze(1) * segments;
        let from = (order + own).flatten(0, -1);
        // whole segments move: [rows * segments, frames of a segment, H, W, 3]
        let cut = clips.permute([0, 2, 3, 4, 1]).reshape([rows * segments, time / segments, height, width, 3]);
        let moved = cut.index_select(0, &from).reshape([rows, time, height, width, 3]);
        io.put("clips", moved.permute([0, 4, 1, 2, 3]));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn segment_j_is_the_inputs_segment_order_j_on_host_and_device() {
        let kind: PermuteSegments = testing::kind("");
        // frame t holds the value t
        let frames: Vec<u8> = (0..8u8).flat_map(|t| [t; 2 * 2 * 3]).collect();
        let host = Array::new(vec![8, 2, 2, 3], frames);
        let order = [2, 3, 1, 0];
        let expected = [4u8, 5, 6, 7, 2, 3, 0, 1];

        let inputs = [("clips", Value::Bytes(host.clone())), ("order", Value::Index(Array::new(vec![4], order.to_vec())))];
        let out = testing::run_host(&kind, 0, &inputs);
        let Value::Bytes(moved) = &out["clips"] else { panic!() };
        assert_eq!(moved.data.chunks(12).map(|f| f[0]).collect::<Vec<_>>(), expected);

        let clips = testing::clip_tensor(&host);
        let out = testing::run(&kind, 1, vec![("clips", clips), ("order", Tensor::from_slice(&order).unsqueeze(0))]);
        assert_eq!(testing::clip_tensor(moved), *out.tensor("clips"));
    }

    #[test]
    fn frames_that_do_not_divide_are_a_fault() {
        let kind: PermuteSegments = testing::kind("");
        let clips = Port::bytes([3.into(), 10.into(), 4.into(), 4.into()]);
        let inputs = Inputs::new(vec![("clips".into(), clips), ("order".into(), Port::index([4.into()]))]);
        let fault = kind.ports(&inputs).unwrap_err();
        assert!(fault.message.contains("10 frames"), "{}", fault.message);
    }
}
