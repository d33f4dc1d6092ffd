use super::box_filter::{blurred, BoxFilter};
use crate::prelude::*;
use std::collections::BTreeMap;

/// Pillow's `GaussianBlur`, one deviation for all frames of a clip: pixels are cut to bytes (truncated, not rounded) and
/// go through three box filters of fractional width in each direction, rounded to bytes after each; frames go on beyond
/// their edges as their edge pixels. Close to a Gaussian, and bit for bit what the papers' code did. Clips that are not
/// blurred keep their pixels.
#[kind("view/gaussian_blur", inputs = Pixels, outputs = Floats, draws = Draws, source = "standard; Pillow's GaussianBlur (Gwosdek et al. 2011)")]
pub struct GaussianBlur {
    /// Least and greatest deviation, in pixels; uniform between.
    #[schemars(inner(range(min = 0.0, max = SIGMA)))]
    sigma: [f64; 2],
    /// Probability that a clip is blurred.
    #[schemars(range(min = 0.0, max = 1.0))]
    probability: f64,
}

#[derive(Ports)]
pub struct Draws<P: Plane> {
    /// `1` the deviation, in pixels
    sigma: P::Float,
    /// `1` 1 where the clip is blurred
    #[range("2")]
    applied: P::Index,
}

impl Kind for GaussianBlur {
    fn check(&self, faults: &mut SettingFaults) {
        faults.require(self.sigma[0] <= self.sigma[1], "sigma", "must be [least, greatest]");
    }
    fn draw(&self, mut dice: Draws<Dice>, _: &Seen<Self>) -> Result<Draws<Row>> {
        let sigma = dice.sigma.uniform(self.sigma[0], self.sigma[1]) as f32;
        Ok(Draws { sigma: vec![sigma], applied: vec![i64::from(dice.applied.chance(self.probability))] })
    }
}

/// The greatest deviation, in pixels.
const SIGMA: f64 = 100.0;
/// Clips that are blurred together: bounds the memory.
const TOGETHER: usize = 16;

impl BatchKind for GaussianBlur {
    fn run(&self, inputs: Pixels<Batch>, cx: &Cx<Self>) -> Result<Floats<Batch>> {
        let clips = inputs.clips;
        device_size(&clips)?;
        let draws = cx.draw_rows()?;
        ensure!(draws.iter().all(|d| (0.0..=SIGMA).contains(&f64::from(d.sigma[0]))), "`sigma` must be from 0 to {SIGMA}");
        let mut out = unit_floats(&clips);
        let mut by_radius: BTreeMap<i64, Vec<(i64, BoxFilter)>> = BTreeMap::new();
        for (row, draw) in draws.iter().enumerate().filter(|(_, d)| d.applied[0] != 0) {
            let filter = BoxFilter::of(draw.sigma[0]);
            by_radius.entry(filter.radius).or_default().push((row as i64, filter));
        }
        if !by_radius.is_empty() && out.data_ptr() == clips.data_ptr() {
            out = out.copy();
        }
        for rows in by_radius.values().flat_map(|rows| rows.chunks(TOGETHER)) {
            let (index, boxes): (Vec<i64>, Vec<BoxFilter>) = rows.iter().copied().unzip();
            let index = Tensor::from_slice(&index).to_device(clips.device());
            let bytes = truncated(&clips.index_select(0, &index));
            let _ = out.index_copy_(0, &index, &(blurred(&bytes, &boxes).to_kind(Dtype::Float) / 255.0));
        }
        Ok(Floats { clips: out })
    }
}

/// Pixels as 32-bit integers 0..=255.
fn truncated(clips: &Tensor) -> Tensor {
    match clips.kind() {
        Dtype::Uint8 => clips.to_kind(Dtype::Int),
        _ => (clips * 255.0).clamp_(0.0, 255.0).to_kind(Dtype::Int),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parity, testing};

    /// Of Pillow 13.0.0's own bytes for the same frame: `Image.filter(ImageFilter.GaussianBlur(sigma))`.
    const PILLOW: [(f32, u32); 9] = [
        (0.1, 0xc98d_620a),
        (0.5, 0x4933_f6ef),
        (1.0, 0xc14f_2369),
        (2.0, 0xcebc_d55b),
        (4.0, 0xbef3_c046),
        // boxes that are not narrow, and wider than the frame
        (6.0, 0x38c0_7028),
        (15.0, 0x722c_f571),
        (57.3, 0xf5b9_a64f),
        (100.0, 0x239d_98c0),
    ];

    fn crc(clip: &Tensor) -> u32 {
        let bytes = (clip * 255.0).round().to_kind(Dtype::Uint8).reshape([3, 48, 64]).permute([1, 2, 0]).contiguous();
        crc32fast::hash(&Vec::<u8>::try_from(bytes.flatten(0, -1)).unwrap())
    }

    #[test]
    fn bytes_are_pillows_also_with_several_deviations_at_once() {
        let kind: GaussianBlur = testing::kind("sigma = [0.1, 2.0]\nprobability = 0.5");
        let frame = parity::frame(48, 64, 900).permute([2, 0, 1]).reshape([1, 3, 1, 48, 64]);
        let rows = PILLOW.len();
        let clips = frame.repeat([rows as i64, 1, 1, 1, 1]);
        let sigma = Tensor::from_slice(&PILLOW.map(|p| p.0)).reshape([-1, 1]);
        for clips in [clips.shallow_clone(), clips.to_kind(Dtype::Float) / 255.0] {
            let applied = Tensor::ones([rows as i64, 1], (Dtype::Int64, tch::Device::Cpu));
            let out =
                testing::run(&kind, rows, vec![("clips", clips), ("sigma", sigma.shallow_clone()), ("applied", applied)]).take("clips");
            for (row, (sigma, expected)) in PILLOW.iter().enumerate() {
                assert_eq!(crc(&out.get(row as i64)), *expected, "sigma {sigma}");
            }
        }
    }

    #[test]
    fn extremes_stay_within_32_bits() {
        let boxes = [BoxFilter::of(2.0), BoxFilter::of(0.0), BoxFilter::of(30.0), BoxFilter::of(SIGMA as f32)];
        for value in [0, 255] {
            let flat = Tensor::full([1, 3, 1, 9, 9], value, (Dtype::Int, tch::Device::Cpu));
            for filter in boxes {
                assert_eq!(blurred(&flat, &[filter]), flat, "{filter:?}");
            }
        }
    }

    #[test]
    fn floats_are_truncated_where_blurred_and_left_elsewhere() {
        let kind: GaussianBlur = testing::kind("sigma = [0, 0]\nprobability = 1");
        let clips = Tensor::full([2, 3, 1, 4, 4], 0.999, tch::kind::FLOAT_CPU);
        let applied = Tensor::from_slice(&[1i64, 0]).reshape([2, 1]);
        let out = testing::run(&kind, 2, vec![("clips", clips.shallow_clone()), ("applied", applied)]).take("clips");
        assert_eq!(out.get(0), Tensor::full([3, 1, 4, 4], 254.0 / 255.0, tch::kind::FLOAT_CPU));
        assert_eq!(out.get(1), clips.get(1));
    }
}
