use super::{clamped, span, OneClip};
use crate::prelude::*;

/// One clip at a fixed place of the video: for controls, such as still frames (`length = 1`). Positions beyond the last
/// frame repeat it.
#[kind("clip/at", inputs = Frames, outputs = OneClip, source = "standard")]
pub struct At {
    /// Where the clip lies: at the video's first frame, in its middle, or so that it ends with the last frame.
    position: Position,
    /// Frames of the clip.
    #[smoke(8)]
    #[schemars(range(min = 1, max = limits::FRAMES))]
    length: usize,
    /// Distance of neighbouring frames of the clip, in frames of the video.
    #[schemars(range(min = 1, max = limits::FRAMES))]
    stride: usize,
}

/// A place in a video.
#[choice]
enum Position {
    First,
    Middle,
    Last,
}

impl Kind for At {
    fn clip_span(&self) -> Option<usize> {
        Some(span(self.length, self.stride))
    }
}

impl At {
    fn positions(&self, total: usize) -> Vec<usize> {
        let spare = total.saturating_sub(span(self.length, self.stride));
        let start = match self.position {
            Position::First => 0,
            Position::Middle => spare / 2,
            Position::Last => spare,
        };
        clamped(total, start, self.length, self.stride).collect()
    }
}

impl SampleKind for At {
    fn run(&self, inputs: Frames<Host>, _: Nothing<Row>) -> Result<OneClip<Host>> {
        let video = inputs.frames;
        Ok(OneClip { clips: video.clip(&self.positions(video.frames()))?.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn the_three_places() {
        let at = |position: &str, total| {
            let kind: At = testing::kind(&format!("position = '{position}'\nlength = 3\nstride = 2"));
            kind.positions(total)
        };
        assert_eq!(at("first", 11), [0, 2, 4]);
        assert_eq!(at("middle", 11), [3, 5, 7]);
        assert_eq!(at("last", 11), [6, 8, 10]);
        assert_eq!(at("last", 2), [0, 1, 1]);
    }
}
