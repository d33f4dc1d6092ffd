use crate::prelude::*;

/// Clips cut in N segments of equal length and put together in another order: segment j of the result is segment
/// `order[j]` of the input. DualVar, the shuffled clip of shuffle-rank.
#[kind("order/permute_segments", inputs = In, outputs = Same, source = "DualVar (Zhang et al. 2021), section 3.3")]
pub struct PermuteSegments {}

#[derive(Ports)]
pub struct In<P: Plane> {
    /// `3 T H W` clips; T must be a multiple of N
    clips: P::Pixels,
    /// `N` which segment comes where
    order: P::Index,
}

impl Kind for PermuteSegments {
    fn ports(&self, inputs: In<Shapes>) -> Result<Same<Shapes>, PortFault> {
        let (time, segments) = (length(&inputs.clips, "clips", 1)?, length(&inputs.order, "order", 0)?);
        cut(time, segments).map_err(|e| PortFault::port("clips", e.to_string()))?;
        Ok(Same { clips: inputs.clips })
    }
}

/// Frames of a segment.
fn cut(time: usize, segments: usize) -> Result<usize> {
    ensure!(segments > 0 && time.is_multiple_of(segments), "{time} frames cannot be cut in {segments} equal segments");
    Ok(time / segments)
}

impl SampleKind for PermuteSegments {
    fn run(&self, inputs: In<Host>, _: Nothing<Row>) -> Result<Same<Host>> {
        let (clip, order) = (inputs.clips.single()?, &inputs.order.data);
        let length = cut(clip.size()[0], order.len())?;
        let inside = order.iter().all(|from| (0..order.len() as i64).contains(from));
        ensure!(inside, "`order` must lie in 0..{}", order.len());
        let frames = order.iter().flat_map(|from| (0..length).map(move |j| *from as usize * length + j));
        Ok(Same { clips: clip.transformed(&Transform::frames(frames.collect()))?.into() })
    }
}

impl BatchKind for PermuteSegments {
    fn run(&self, In { clips, order }: In<Batch>, _: &Cx<Self>) -> Result<Same<Batch>> {
        let [rows, time, height, width] = device_size(&clips)?;
        let segments = order.size()[1];
        let length = cut(time as usize, segments as usize)? as i64;
        let own = Tensor::arange(rows, (Dtype::Int64, clips.device())).unsqueeze(1) * segments;
        let from = (order + own).flatten(0, -1);
        // whole segments move: [rows * segments, frames of a segment, H, W, 3]
        let cut = clips.permute([0, 2, 3, 4, 1]).reshape([rows * segments, length, height, width, 3]);
        let moved = cut.index_select(0, &from).reshape([rows, time, height, width, 3]);
        Ok(Same { clips: moved.permute([0, 4, 1, 2, 3]) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use dv_graph::host::Value;

    #[test]
    fn segment_j_is_the_inputs_segment_order_j_on_host_and_device() {
        let kind: PermuteSegments = testing::kind("");
        // frame t holds the value t
        let frames: Vec<u8> = (0..8u8).flat_map(|t| [t; 2 * 2 * 3]).collect();
        let host = Array::new(vec![8, 2, 2, 3], frames);
        let order = [2, 3, 1, 0];
        let expected = [4u8, 5, 6, 7, 2, 3, 0, 1];

        let inputs = [("clips", testing::host_clip(host.clone())), ("order", Value::Index(Array::new(vec![4], order.to_vec())))];
        let out = testing::run_host(&kind, 0, &inputs);
        let moved = testing::host_pixels(&out["clips"]);
        assert_eq!(moved.data.chunks(12).map(|f| f[0]).collect::<Vec<_>>(), expected);

        let clips = testing::clip_tensor(&host);
        let out = testing::run(&kind, 1, vec![("clips", clips), ("order", Tensor::from_slice(&order).unsqueeze(0))]);
        assert_eq!(testing::clip_tensor(&moved), *out.tensor("clips"));
    }

    #[test]
    fn frames_that_do_not_divide_are_a_fault() {
        let kind: PermuteSegments = testing::kind("");
        let clips = Port::bytes([3.into(), 10.into(), 4.into(), 4.into()]);
        let fault = testing::shapes(&kind, vec![("clips", clips), ("order", Port::index([4.into()]))]).unwrap_err();
        assert!(fault.message.contains("10 frames"), "{}", fault.message);
    }
}
