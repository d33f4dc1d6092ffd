use super::{frame, OneClip};
use crate::prelude::*;

/// A clip at a drawn pace: its stride is one of a list, and the place in the list is its class. It starts at any frame, and goes on with the
/// first behind the last.
#[kind("clip/pace", inputs = Frames, outputs = OneClip, draws = Draws, source = "Pace prediction (Wang et al. 2020), section 3.1")]
pub struct Pace {
    /// Frames of the clip.
    #[smoke(8)]
    #[schemars(range(min = 1, max = limits::FRAMES))]
    length: usize,
    /// The strides that there are, in frames of the video: `[1, 2, 3, 4]` in the paper.
    #[schemars(length(min = 1, max = 64), inner(range(min = 1, max = limits::FRAMES)))]
    strides: Vec<usize>,
}

#[derive(Ports)]
pub struct Draws<P: Plane> {
    /// class of the pace: the place of its stride in the list
    pace: P::Index,
    /// `1` the clip's first frame, in frames of the video
    #[range("frames")]
    start: P::Index,
}

impl Kind for Pace {
    fn drawn(&self, inputs: Frames<Shapes>) -> Result<Draws<Shapes>, PortFault> {
        let pace = Port::index([]).with_range(self.strides.len().into());
        Ok(Draws { pace, ..derived(self, inputs)? })
    }
    fn draw(&self, mut dice: Draws<Dice>, seen: &Seen<Self>) -> Result<Draws<Row>> {
        let (pace, start) = (dice.pace.below(self.strides.len()), dice.start.below(seen.inputs.frames.shape[1]));
        Ok(Draws { pace: vec![pace as i64], start: vec![start as i64] })
    }
}

impl SampleKind for Pace {
    fn run(&self, inputs: Frames<Host>, draws: Draws<Row>) -> Result<OneClip<Host>> {
        let (video, total) = (&inputs.frames, inputs.frames.frames());
        let (start, pace) = (frame(draws.start[0], total, "start")?, draws.pace[0]);
        let stride = usize::try_from(pace).ok().and_then(|pace| self.strides.get(pace));
        let stride = stride.ok_or_else(|| anyhow!("`pace` {pace} is none of the {} strides", self.strides.len()))?;
        let positions: Vec<usize> = (0..self.length).map(|j| (start + j * stride) % total).collect();
        Ok(OneClip { clips: video.clip(&positions)?.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clip::tests::video;
    use crate::testing;
    use dv_graph::host::Value;

    #[test]
    fn the_stride_is_that_of_the_class_and_the_end_goes_on_at_the_start() {
        let kind: Pace = testing::kind("length = 4\nstrides = [1, 3]");
        let video = video(8);
        let index = |n: i64, shape: Vec<usize>| Value::Index(Array::new(shape, vec![n]));
        for (pace, start, expected) in [(0, 2, [2, 3, 4, 5]), (1, 2, [2, 5, 0, 3]), (0, 7, [7, 0, 1, 2])] {
            let inputs = [("frames", Value::Video(video.clone())), ("pace", index(pace, vec![])), ("start", index(start, vec![1]))];
            let out = testing::run_host(&kind, 0, &inputs);
            let wanted = video.clip(&expected).unwrap().pixels().unwrap();
            assert_eq!(testing::host_pixels(&out["clips"]), wanted, "pace {pace} from {start}");
        }
        let mut seen = [[0; 8]; 2];
        for sample in 0..400 {
            let out = testing::run_host(&kind, sample, &[("frames", Value::Video(video.clone()))]);
            let of = |name: &str| testing::host_index(&out[name])[0] as usize;
            seen[of("pace")][of("start")] += 1;
        }
        assert!(seen.iter().flatten().all(|n| (8..60).contains(n)), "{seen:?}");
    }
}
