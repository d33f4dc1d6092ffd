use super::colour::{brightness, contrast, hue, saturation};
use crate::prelude::*;

/// Brightness, contrast, saturation and hue changed by random factors in a random order, the same for all frames of a
/// clip. Pixels are clamped to 0..1 after each of the four, so the order matters; contrast turns about each frame's own
/// mean grey. Grey is 0.2989 R + 0.587 G + 0.114 B. As torchvision does on float tensors.
#[kind("view/color_jitter", inputs = Pixels, outputs = Floats, draws = Draws, source = "standard; torchvision's ColorJitter on floats")]
#[schemars(inline)]
pub struct ColorJitter {
    /// The factor is uniform in `1 - brightness` (at least 0) to `1 + brightness`.
    #[schemars(range(min = 0.0, max = 100.0))]
    brightness: f64,
    /// The factor is uniform in `1 - contrast` (at least 0) to `1 + contrast`.
    #[schemars(range(min = 0.0, max = 100.0))]
    contrast: f64,
    /// The factor is uniform in `1 - saturation` (at least 0) to `1 + saturation`.
    #[schemars(range(min = 0.0, max = 100.0))]
    saturation: f64,
    /// The shift is uniform in `-hue` to `hue`, in turns of the colour circle.
    #[schemars(range(min = 0.0, max = 0.5))]
    hue: f64,
    /// Probability that a clip is changed at all. DualVar's effective one is 0.64: 0.8 twice.
    #[schemars(range(min = 0.0, max = 1.0))]
    probability: f64,
}

#[derive(Ports)]
pub struct Draws<P: Plane> {
    /// `4` of brightness, contrast, saturation, hue
    pub(super) factors: P::Float,
    /// `4` which of the four comes when: 0 brightness, 1 contrast, 2 saturation, 3 hue
    #[range("4")]
    pub(super) order: P::Index,
    /// `1` 1 where the clip is changed
    #[range("2")]
    pub(super) applied: P::Index,
}

/// The four changes, in the order of `factors`.
const CHANGES: [fn(&Tensor, &Tensor) -> Tensor; 4] = [brightness, contrast, saturation, hue];
/// Factors that change nothing.
const NEUTRAL: [f32; 4] = [1.0, 1.0, 1.0, 0.0];

impl ColorJitter {
    /// The draws of one clip, or of one frame.
    pub(super) fn of_one(&self, factors: &mut Rng, order: &mut Rng, applied: &mut Rng) -> Draws<Row> {
        let scales = [self.brightness, self.contrast, self.saturation].map(|s| ((1.0 - s).max(0.0), 1.0 + s));
        let ranges = scales.into_iter().chain([(-self.hue, self.hue)]);
        Draws {
            factors: ranges.map(|(low, high)| factors.uniform(low, high) as f32).collect(),
            order: order.permutation(4).into_iter().map(|i| i as i64).collect(),
            applied: vec![i64::from(applied.chance(self.probability))],
        }
    }
}

impl Kind for ColorJitter {
    fn draw(&self, mut dice: Draws<Dice>, _: &Seen<Self>) -> Result<Draws<Row>> {
        Ok(self.of_one(&mut dice.factors, &mut dice.order, &mut dice.applied))
    }
}

impl BatchKind for ColorJitter {
    fn run(&self, inputs: Pixels<Batch>, cx: &Cx<Self>) -> Result<Floats<Batch>> {
        device_size(&inputs.clips)?;
        Ok(Floats { clips: jittered(&inputs.clips, &cx.draw_rows()?)? })
    }
}

/// Each row `[3, T, H, W]` with its changes.
pub(super) fn jittered(clips: &Tensor, draws: &[Draws<Row>]) -> Result<Tensor> {
    ensure!(draws.iter().flat_map(|d| &d.order).all(|o| (0..4).contains(o)), "`order` must lie in 0..4");
    let mut x = unit_floats(clips).contiguous();
    if x.data_ptr() == clips.data_ptr() {
        x = x.copy();
    }
    let due = |turn: usize, change: usize| -> Vec<usize> {
        let is_due = |d: &Draws<Row>| d.applied[0] != 0 && d.order[turn] == change as i64 && d.factors[change] != NEUTRAL[change];
        (0..draws.len()).filter(|row| is_due(&draws[*row])).collect()
    };
    // at each turn the clips that have the same change to make, together
    for turn in 0..CHANGES.len() {
        for (change, apply) in CHANGES.iter().enumerate() {
            let rows = due(turn, change);
            if rows.is_empty() {
                continue;
            }
            let index: Vec<i64> = rows.iter().map(|r| *r as i64).collect();
            let factor: Vec<f32> = rows.iter().map(|r| draws[*r].factors[change]).collect();
            let index = Tensor::from_slice(&index).to_device(x.device());
            let factor = Tensor::from_slice(&factor).reshape([-1, 1, 1, 1, 1]).to_device(x.device());
            let changed = apply(&x.index_select(0, &index), &factor);
            let _ = x.index_copy_(0, &index, &changed);
        }
    }
    Ok(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parity::Case, testing};

    fn frame(case: &Case) -> Tensor {
        case.input("frame").permute([2, 0, 1]).reshape([1, 3, 1, 48, 64])
    }

    #[test]
    fn each_change_equals_the_reference() {
        let case = Case::open("g_color");
        let x = unit_floats(&frame(&case));
        case.tensor("to_tensor", &x.reshape([3, 48, 64]));
        let tests = [
            ("brightness_1.7", 0, 1.7),
            ("brightness_0.25", 0, 0.25),
            ("contrast_1.6", 1, 1.6),
            ("contrast_0.3", 1, 0.3),
            ("saturation_1.8", 2, 1.8),
            ("saturation_0.0", 2, 0.0),
            ("hue_0.2", 3, 0.2),
            ("hue_-0.15", 3, -0.15),
        ];
        for (name, change, factor) in tests {
            let y = CHANGES[change as usize](&x, &Tensor::from_slice(&[factor as f32]).reshape([1, 1, 1, 1, 1]));
            case.tensor(name, &y.reshape([3, 48, 64]));
        }
    }

    #[test]
    fn rows_with_other_orders_are_handled_together() {
        let case = Case::open("g_color");
        let kind: ColorJitter = testing::kind("brightness = 0.8\ncontrast = 0.8\nsaturation = 0.8\nhue = 0.2\nprobability = 0.5");
        let clips = frame(&case).repeat([3, 1, 2, 1, 1]);
        let factors = Tensor::from_slice(&[1.3f32, 0.7, 1.5, 0.1]).repeat([3, 1]);
        let order = Tensor::from_slice(&[0i64, 1, 2, 3, 3, 2, 1, 0, 0, 1, 2, 3]).reshape([3, 4]);
        let applied = Tensor::from_slice(&[1i64, 1, 0]).reshape([3, 1]);
        let out =
            testing::run(&kind, 3, vec![("clips", clips), ("factors", factors), ("order", order), ("applied", applied)]).take("clips");
        for (row, name) in ["all_bcsh", "all_hscb", "to_tensor"].into_iter().enumerate() {
            for time in 0..2 {
                case.tensor(name, &out.get(row as i64).select(1, time));
            }
        }
    }

    #[test]
    fn an_input_of_floats_is_left_as_it_was() {
        let kind: ColorJitter = testing::kind("brightness = 0.8\ncontrast = 0.8\nsaturation = 0.8\nhue = 0.2\nprobability = 1");
        let clips = Tensor::rand([2, 3, 2, 4, 4], tch::kind::FLOAT_CPU);
        let before = clips.copy();
        let out = testing::run(&kind, 2, vec![("clips", clips.shallow_clone())]).take("clips");
        assert_eq!(clips, before);
        assert_ne!(out, before);
    }

    #[test]
    fn draws_lie_in_their_ranges() {
        let kind: ColorJitter = testing::kind("brightness = 1.5\ncontrast = 0.8\nsaturation = 0\nhue = 0.2\nprobability = 0.64");
        let clips = Tensor::zeros([500, 3, 1, 1, 1], tch::kind::FLOAT_CPU);
        let out = testing::run(&kind, 500, vec![("clips", clips)]);
        let factors = out.tensor("factors");
        let ranges = [(0.0, 2.5), (0.2, 1.8), (1.0, 1.0), (-0.2, 0.2)];
        for (i, (low, high)) in ranges.into_iter().enumerate() {
            let column = factors.select(1, i as i64);
            assert!(column.min().double_value(&[]) >= low - 1e-6 && column.max().double_value(&[]) <= high + 1e-6);
        }
        let share = out.tensor("applied").to_kind(tch::Kind::Float).mean(tch::Kind::Float).double_value(&[]);
        assert!((0.57..0.71).contains(&share), "{share}");
    }
}
