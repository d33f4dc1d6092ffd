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
