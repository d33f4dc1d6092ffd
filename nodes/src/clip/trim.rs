use crate::prelude::*;

/// A video without its first or last frames. IIC's code never reads a video's last frame (`last = 1`).
#[kind("clip/trim", inputs = Frames, outputs = Part, source = "IIC (Tao et al. 2020), its code")]
pub struct Trim {
    /// Frames left out at the start.
    #[schemars(range(min = 0, max = limits::VIDEO_FRAMES))]
    first: usize,
    /// Frames left out at the end.
    #[schemars(range(min = 0, max = limits::VIDEO_FRAMES))]
    last: usize,
}

#[derive(Ports)]
pub struct Part<P: Plane> {
    /// `3 frames H W` the video without them
    frames: P::Video,
}

impl Kind for Trim {
    fn frames_left(&self, frames: usize) -> Option<usize> {
        Some(frames.saturating_sub(self.first + self.last))
    }
}

impl SampleKind for Trim {
    fn run(&self, inputs: Frames<Host>, _: Nothing<Row>) -> Result<Part<Host>> {
        let (found, left_out) = (inputs.frames.frames(), self.first + self.last);
        ensure!(left_out < found, "a video of {found} frames has none left without {left_out}");
        Ok(Part { frames: inputs.frames.part(self.first, found - left_out)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clip::tests::video;
    use crate::clip::uniform::Uniform;
    use crate::{parity::Case, testing};
    use dv_graph::host::Value;

    fn trimmed(settings: &str, total: usize) -> Value {
        testing::run_host(&testing::kind::<Trim>(settings), 0, &[("frames", Value::Video(video(total)))]).remove("frames").unwrap()
    }

    /// The number of each frame that a node of the family takes.
    fn numbers(value: &Value) -> Vec<u8> {
        let clips = testing::host_pixels(value);
        let frame: usize = clips.shape[clips.shape.len() - 3..].iter().product();
        clips.data.iter().step_by(frame).copied().collect()
    }

    #[test]
    fn what_is_left_is_numbered_anew() {
        let Value::Video(video) = trimmed("first = 2\nlast = 3", 9) else { panic!() };
        assert_eq!(video.frames(), 4);
        assert_eq!(numbers(&Value::Clips(video.clip(&[0, 3]).unwrap().into())), [2, 5]);
        assert!(video.clip(&[4]).is_err());
    }

    #[test]
    fn ten_clips_of_a_trimmed_video_are_those_of_iic() {
        let case = Case::open("f_sampler_iic_test");
        let uniform: Uniform = testing::kind("clips = 10\nlength = 16\nstride = 1");
        for row in case.json["params"]["table"].as_array().unwrap() {
            let files = row["files"].as_u64().unwrap() as usize;
            let starts: Vec<usize> = serde_json::from_value(row["starts"].clone()).unwrap();
            let out = testing::run_host(&uniform, 0, &[("frames", trimmed("first = 0\nlast = 1", files))]);
            let expected: Vec<u8> = starts.iter().flat_map(|start| (0..16).map(move |j| (start + j) as u8)).collect();
            assert_eq!(numbers(&out["clips"]), expected, "{files} files");
        }
    }
}
