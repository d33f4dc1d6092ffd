//! The kit's seeded weights and inputs, as its `gen.py` makes them with numpy's legacy `RandomState`.

use anyhow::{bail, Result};
use dv_datasets::Mt19937;

/// numpy's `RandomState`.
pub struct Stream {
    twister: Mt19937,
    gauss: Option<f64>,
}

impl Stream {
    pub fn new(seed: u32) -> Stream {
        Stream { twister: Mt19937::new(seed), gauss: None }
    }
    fn unit(&mut self) -> f64 {
        let (a, b) = (self.twister.next_u32() >> 5, self.twister.next_u32() >> 6);
        (f64::from(a) * 67_108_864.0 + f64::from(b)) / 9_007_199_254_740_992.0
    }
    fn units(&mut self, n: usize) -> Vec<f64> {
        (0..n).map(|_| self.unit()).collect()
    }
    fn normal(&mut self) -> f64 {
        if let Some(second) = self.gauss.take() {
            return second;
        }
        loop {
            let (x, y) = (2.0 * self.unit() - 1.0, 2.0 * self.unit() - 1.0);
            let square = x * x + y * y;
            if square < 1.0 && square != 0.0 {
                let factor = (-2.0 * square.ln() / square).sqrt();
                self.gauss = Some(factor * x);
                return factor * y;
            }
        }
    }
    fn normals(&mut self, n: usize) -> Vec<f64> {
        (0..n).map(|_| self.normal()).collect()
    }
    /// `randint(0, high)`
    fn below(&mut self, high: u32) -> u32 {
        self.twister.up_to(high - 1)
    }
}

fn count(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// A parameter or a float buffer; `normed`: its layer has running statistics. The seed is the name's crc32.
pub fn weight(name: &str, shape: &[usize], normed: bool) -> Result<Vec<f32>> {
    let mut stream = Stream::new(crc32fast::hash(name.as_bytes()));
    let leaf = name.rsplit('.').next().unwrap_or(name);
    let scale = if shape.len() > 1 { (2.0 / count(&shape[1..]) as f64).sqrt() } else { f64::NAN };
    let rule: &dyn Fn(f64) -> f64 = match leaf {
        "running_mean" => &|z| 0.1 * z,
        "running_var" => &|z| 1.0 + 0.2 * z.abs(),
        "weight" if normed => &|z| 1.0 + 0.1 * z,
        "bias" if normed => &|z| 0.1 * z,
        "weight" if shape.len() > 1 => &|z| z * scale,
        "bias" => &|z| 0.05 * z,
        _ => bail!("no rule for the weight {name} {shape:?}"),
    };
    Ok((0..count(shape)).map(|_| rule(stream.normal()) as f32).collect())
}

/// Uniform in 0..1.
pub fn uniform(shape: &[usize], seed: u32) -> Vec<f32> {
    Stream::new(seed).units(count(shape)).into_iter().map(|x| x as f32).collect()
}

/// Clips `[..., C, T, H, W]`: three parts of blocks of 4 frames x 8 x 8 pixels, one of noise.
pub fn video(shape: &[usize], seed: u32) -> Vec<f32> {
    let mut stream = Stream::new(seed);
    let split = shape.len() - 3;
    let (n, [t, h, w]) = (count(&shape[..split]), [shape[split], shape[split + 1], shape[split + 2]]);
    let (lt, lh, lw) = (t.div_ceil(4), h.div_ceil(8), w.div_ceil(8));
    let low = stream.units(n * lt * lh * lw);
    let noise = stream.units(n * t * h * w);
    let block = |i: usize| {
        let (n, t, y, x) = (i / (t * h * w), i / (h * w) % t, i / w % h, i % w);
        low[((n * lt + t / 4) * lh + y / 8) * lw + x / 8]
    };
    noise.iter().enumerate().map(|(i, noise)| (0.75 * block(i) + 0.25 * noise) as f32).collect()
}

pub fn normal(shape: &[usize], seed: u32, scale: f64) -> Vec<f32> {
    Stream::new(seed).normals(count(shape)).into_iter().map(|z| (scale * z) as f32).collect()
}

/// Normal numbers over their L2 norm along an axis.
pub fn unit(shape: &[usize], seed: u32, axis: usize) -> Vec<f32> {
    let z = Stream::new(seed).normals(count(shape));
    let (length, inner) = (shape[axis], count(&shape[axis + 1..]));
    let norm = |i: usize| {
        let first = i / (inner * length) * inner * length + i % inner;
        (0..length).map(|k| z[first + k * inner] * z[first + k * inner]).sum::<f64>().sqrt()
    };
    z.iter().enumerate().map(|(i, x)| (x / norm(i)) as f32).collect()
}

/// A memory bank of `[rows, dim]` at its start: uniform, not of unit length.
pub fn memory(shape: &[usize], seed: u32) -> Vec<f32> {
    let s = 1.0 / (shape[1] as f64 / 3.0).sqrt();
    Stream::new(seed).units(count(shape)).into_iter().map(|x| (x * 2.0 * s - s) as f32).collect()
}

/// A frame `[H, W, 3]` of bytes: blocks of 16 pixels and noise.
pub fn frame(h: usize, w: usize, seed: u32) -> Vec<u8> {
    let mut stream = Stream::new(seed);
    let (lh, lw) = (h.div_ceil(16), w.div_ceil(16));
    let low: Vec<u32> = (0..lh * lw * 3).map(|_| stream.below(193)).collect();
    let block = |i: usize| low[((i / (w * 3) / 16) * lw + i / 3 % w / 16) * 3 + i % 3];
    (0..h * w * 3).map(|i| (block(i) + stream.below(63)) as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crc(values: &[f32]) -> String {
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        format!("{:08x}", crc32fast::hash(&bytes))
    }

    /// The kit's `selftest.json`.
    #[test]
    fn generators_give_the_kits_bytes() {
        let of = |name: &str, shape: &[usize], normed| crc(&weight(name, shape, normed).unwrap());
        assert_eq!(of("conv1.temporal_spatial_conv.weight", &[64, 3, 3, 7, 7], false), "e58f0f3f");
        assert_eq!(of("bn1.weight", &[64], true), "bbdfaa97");
        assert_eq!(of("bn1.bias", &[64], true), "a8fb18e6");
        assert_eq!(of("bn1.running_mean", &[64], true), "122044a5");
        assert_eq!(of("bn1.running_var", &[64], true), "1610317f");
        assert!(weight("queue", &[4], false).is_err());
    }

    #[test]
    fn unit_vectors_lie_along_their_axis() {
        let shape = [2, 3, 4];
        for axis in 0..3 {
            let z = unit(&shape, 7, axis);
            let inner = count(&shape[axis + 1..]);
            let sum: f32 = (0..shape[axis]).map(|k| z[k * inner] * z[k * inner]).sum();
            assert!((sum - 1.0).abs() < 1e-6);
        }
    }
}
