use super::OneClip;
use crate::prelude::*;

/// One clip from the first frame of a video to its last: frame j of N is frame `j * (frames - 1) / (N - 1)`, rounded; half is rounded up. A
/// shorter video repeats frames. Of a clip of one frame it is the first.
#[kind("clip/spread", inputs = Frames, outputs = OneClip, source = "standard")]
pub struct Spread {
    /// Frames of the clip.
    #[smoke(8)]
    #[schemars(range(min = 1, max = limits::FRAMES))]
    length: usize,
}

impl Kind for Spread {}

impl Spread {
    fn positions(&self, total: usize) -> Vec<usize> {
        let gaps = (self.length - 1).max(1);
        (0..self.length).map(|j| (2 * j * (total - 1) + gaps) / (2 * gaps)).collect()
    }
}

impl SampleKind for Spread {
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
    fn from_the_first_frame_to_the_last() {
        let of = |length: usize, total| testing::kind::<Spread>(&format!("length = {length}")).positions(total);
        assert_eq!(of(4, 10), [0, 3, 6, 9]);
        assert_eq!(of(3, 10), [0, 5, 9]);
        assert_eq!(of(5, 3), [0, 1, 1, 2, 2]);
        assert_eq!(of(1, 7), [0]);
        assert_eq!(of(6, 1), [0; 6]);
    }
}
