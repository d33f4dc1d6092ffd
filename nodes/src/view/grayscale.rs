use crate::prelude::*;

/// Clips in grey: all three channels become 0.2989 R + 0.587 G + 0.114 B. Floats, so that no grey is rounded.
#[kind("view/grayscale", inputs = Pixels, outputs = Floats, draws = Draws, source = "standard; torchvision's weights. DPC, CoCLR: for each frame")]
pub struct Grayscale {
    /// Probability that a clip, or a frame, becomes grey.
    #[schemars(range(min = 0.0, max = 1.0))]
    probability: f64,
    /// What draws for itself: a whole clip, or each of its frames.
    each: Each,
}

/// What draws for itself.
#[choice]
enum Each {
    Clip,
    Frame,
}

#[derive(Ports)]
pub struct Draws<P: Plane> {
    /// `T` 1 where the frame is grey
    #[range("2")]
    applied: P::Index,
}

impl Kind for Grayscale {
    fn draw(&self, mut dice: Draws<Dice>, seen: &Seen<Self>) -> Result<Draws<Row>> {
        let [_, time, _, _] = seen.inputs.clips.clip()?;
        let mut drawn = || i64::from(dice.applied.chance(self.probability));
        Ok(Draws {
            applied: match self.each {
                Each::Clip => vec![drawn(); time],
                Each::Frame => (0..time).map(|_| drawn()).collect(),
            },
        })
    }
}

impl BatchKind for Grayscale {
    fn run(&self, inputs: Pixels<Batch>, cx: &Cx<Self>) -> Result<Floats<Batch>> {
        let [rows, time, _, _] = device_size(&inputs.clips)?;
        let x = unit_floats(&inputs.clips);
        let weights = Tensor::from_slice(&[0.2989f32, 0.587, 0.114]).reshape([1, 3, 1, 1, 1]).to_device(x.device());
        let grey = (&x * weights).sum_dim_intlist([1i64].as_slice(), true, Dtype::Float).expand_as(&x);
        let applied = cx.draws.applied.tensor().reshape([rows, 1, time, 1, 1]).not_equal(0);
        Ok(Floats { clips: grey.where_self(&applied, &x) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn frames_become_grey_where_the_draw_says_so() {
        let kind: Grayscale = testing::kind("probability = 0.5\neach = 'frame'");
        let clips = Tensor::rand([2, 3, 4, 5, 6], tch::kind::FLOAT_CPU);
        let applied = Tensor::from_slice(&[1i64, 0, 0, 1, 0, 0, 1, 0]).reshape([2, 4]);
        let out = testing::run(&kind, 2, vec![("clips", clips.shallow_clone()), ("applied", applied)]).take("clips");
        for (row, frame, grey) in [(0, 0, true), (0, 1, false), (1, 2, true), (1, 3, false)] {
            let (before, after) = (clips.get(row).select(1, frame), out.get(row).select(1, frame));
            if !grey {
                assert_eq!(before, after);
                continue;
            }
            let expected = before.get(0) * 0.2989 + before.get(1) * 0.587 + before.get(2) * 0.114;
            assert!((0..3).all(|c| (after.get(c) - &expected).abs().max().double_value(&[]) < 1e-6));
        }
    }

    #[test]
    fn a_clip_draws_once_or_each_frame_for_itself() {
        let bytes = Tensor::zeros([64, 3, 8, 2, 2], (Dtype::Uint8, Device::Cpu));
        let drawn = |each: &str| {
            let kind: Grayscale = testing::kind(&format!("probability = 0.25\neach = '{each}'"));
            testing::run(&kind, 64, vec![("clips", bytes.shallow_clone())]).take("applied")
        };
        let (clip, frame) = (drawn("clip"), drawn("frame"));
        let whole = |x: &Tensor| x.sum_dim_intlist([1i64].as_slice(), false, Dtype::Int64);
        assert!(Vec::<i64>::try_from(whole(&clip)).unwrap().iter().all(|n| [0, 8].contains(n)));
        let (mean, mixed) = (frame.to_kind(Dtype::Double).mean(Dtype::Double).double_value(&[]), whole(&frame));
        assert!((mean - 0.25).abs() < 0.07, "{mean}");
        assert!(Vec::<i64>::try_from(mixed).unwrap().iter().any(|n| (1..8).contains(n)));
    }
}
