use super::{clamped, span, SeveralClips};
use crate::prelude::*;

/// Clips spread evenly over the video, from its first frames to its last. With `h = length * stride / 2` their centres
/// are evenly spaced from `h` to `frames - h`; positions beyond the last frame repeat it, and a short video gives the same
/// clip each time. DualVar's ten-clip list.
#[kind("clip/uniform", inputs = Frames, outputs = SeveralClips, source = "DualVar (Zhang et al. 2021), its code")]
pub struct Uniform {
    /// Clips of each video: the length of the item axis `clip`.
    #[smoke(2)]
    #[schemars(range(min = 1, max = limits::CLIPS))]
    clips: usize,
    /// Frames of a clip.
    #[smoke(8)]
    #[schemars(range(min = 1, max = limits::FRAMES))]
    length: usize,
    /// Distance of neighbouring frames of a clip, in frames of the video.
    #[schemars(range(min = 1, max = limits::FRAMES))]
    stride: usize,
}

impl Kind for Uniform {
    fn clip_span(&self) -> Option<usize> {
        Some(span(self.length, self.stride))
    }
}

impl Uniform {
    fn starts(&self, total: usize) -> Vec<usize> {
        let half = self.length * self.stride / 2;
        let first = half.min(total) as f64;
        let last = first.max(total as f64 - half as f64);
        let step = if self.clips > 1 { (last - first) / (self.clips - 1) as f64 } else { 0.0 };
        let centre = |i: usize| if i > 0 && i + 1 == self.clips { last } else { i as f64 * step + first };
        (0..self.clips).map(|i| (centre(i) - half as f64).max(0.0) as usize).collect()
    }
    fn positions(&self, total: usize) -> Vec<usize> {
        self.starts(total).into_iter().flat_map(|start| clamped(total, start, self.length, self.stride)).collect()
    }
}

impl SampleKind for Uniform {
    fn run(&self, inputs: Frames<Host>, _: Nothing<Row>) -> Result<SeveralClips<Host>> {
        let video = inputs.frames;
        Ok(SeveralClips { clips: video.clips(&self.positions(video.frames()), self.length)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parity, testing};

    #[test]
    fn frames_are_those_of_the_published_ten_clips() {
        let case = parity::Case::open("f_sampler_dualvar_10clip");
        for row in case.json["params"]["table"].as_array().unwrap() {
            let number = |key: &str| row[key].as_u64().unwrap() as usize;
            let (length, stride) = (number("num_frames"), number("ds"));
            let kind: Uniform = testing::kind(&format!("clips = 10\nlength = {length}\nstride = {stride}"));
            let clips: Vec<Vec<usize>> = serde_json::from_value(row["clips"].clone()).unwrap();
            assert_eq!(kind.positions(number("total")), clips.concat(), "{} frames", number("total"));
        }
    }

    #[test]
    fn one_clip_starts_with_the_video() {
        let kind: Uniform = testing::kind("clips = 1\nlength = 16\nstride = 4");
        assert_eq!(kind.starts(300), [0]);
    }
}
