//! Random numbers keyed by what they are for. Two runs that share a key share the draw, whatever else differs:
//! that is what pairs the arms of an ablation and makes the batches the same for any number of threads.

use std::sync::Arc;

/// Numbers from BLAKE3's extendable output over the key: the same on every machine, for ever.
pub struct Rng {
    reader: blake3::OutputReader,
    buffer: [u8; 64],
    used: usize,
}

/// What a draw is for. Build with the constructors: each kind of draw has its own domain.
#[derive(Clone)]
pub struct Key(blake3::Hasher);

impl Key {
    fn new(domain: &str, seed: u64) -> Key {
        let mut hasher = blake3::Hasher::new();
        hasher.update(domain.as_bytes()).update(&[0]).update(&seed.to_le_bytes());
        Key(hasher)
    }
    fn text(mut self, text: &str) -> Key {
        self.0.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        self
    }
    fn number(mut self, n: u64) -> Key {
        self.0.update(&n.to_le_bytes());
        self
    }
    /// A draw of a sample node: for one sample, one occurrence of it in the epoch, one item of an item axis (0 without). `draw` is
    /// the output that shows it: two draws of a node are independent, and one more does not shift the others.
    pub fn sample(pass: &Pass, sample: &Sample, item: usize, node: &str, draw: &str) -> Key {
        Key::new("sample", pass.seed)
            .text(&pass.stage)
            .number(pass.epoch)
            .text(&sample.path)
            .number(sample.occurrence)
            .number(item as u64)
            .text(node)
            .text(draw)
    }
    /// A draw of a node that sees the whole batch.
    pub fn batch(pass: &Pass, step: u64, node: &str, draw: &str) -> Key {
        Key::new("batch", pass.seed).text(&pass.stage).number(pass.epoch).number(step).text(node).text(draw)
    }
    /// The order of an epoch.
    pub fn order(pass: &Pass, node: &str) -> Key {
        Key::new("order", pass.seed).text(&pass.stage).number(pass.epoch).text(node)
    }
    /// Initial values of a parameter or register.
    pub fn initial(seed: u64, parameter: &str) -> Key {
        Key::new("initial", seed).text(parameter)
    }
    pub fn rng(&self) -> Rng {
        Rng { reader: self.0.finalize_xof(), buffer: [0; 64], used: 64 }
    }
}

/// One pass over the data: which seed, stage and epoch its draws belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    pub seed: u64,
    pub stage: String,
    pub epoch: u64,
}

/// A sample of an epoch. It is known by its path: a set that holds one video less gives the others the same draws.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Path of the video within its set.
    pub path: Arc<str>,
    /// Videos of one source share a group; most are a group of their own.
    pub group: Arc<str>,
    /// How often the video comes before in this epoch.
    pub occurrence: u64,
}

impl Sample {
    /// A sample that is a group of its own.
    pub fn new(path: &str) -> Sample {
        let path: Arc<str> = path.into();
        Sample { group: Arc::clone(&path), path, occurrence: 0 }
    }
    /// Samples that stand for no video: `0`, `1`, ...
    pub fn numbered(count: usize) -> Vec<Sample> {
        (0..count).map(|i| Sample::new(&i.to_string())).collect()
    }
}

/// The same video at the same place: what its group is called makes no other sample of it.
impl PartialEq for Sample {
    fn eq(&self, other: &Sample) -> bool {
        self.path == other.path && self.occurrence == other.occurrence
    }
}
impl Eq for Sample {}
impl std::hash::Hash for Sample {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.path.hash(state);
        self.occurrence.hash(state);
    }
}

impl Rng {
    pub fn u64(&mut self) -> u64 {
        if self.used == self.buffer.len() {
            self.reader.fill(&mut self.buffer);
            self.used = 0;
        }
        let mut word = [0; 8];
        word.copy_from_slice(&self.buffer[self.used..self.used + 8]);
        self.used += 8;
        u64::from_le_bytes(word)
    }
    /// Uniform in `[0, 1)`, 53 bits.
    pub fn unit(&mut self) -> f64 {
        (self.u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }
    /// Uniform in `[low, high)`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }
    /// Uniform in `0..n`, without bias. `n` must not be 0.
    pub fn below(&mut self, n: usize) -> usize {
        let n = n as u64;
        assert!(n > 0, "a draw from nothing");
        // Lemire's multiply-shift with rejection
        let threshold = n.wrapping_neg() % n;
        loop {
            let wide = u128::from(self.u64()) * u128::from(n);
            if wide as u64 >= threshold {
                return (wide >> 64) as usize;
            }
        }
    }
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }
    /// Normal with mean 0 and deviation 1 (Box and Muller, one of the pair).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
    /// A uniform permutation of `0..n` (Fisher and Yates).
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i + 1));
        }
        order
    }
    /// An index drawn with the given weights.
    pub fn weighted(&mut self, weights: &[f64]) -> usize {
        let total: f64 = weights.iter().sum();
        place(self.unit() * total, weights)
    }
}

/// The index in whose stretch of the cumulative weights a draw falls; a draw equal to a cumulative weight takes the next one.
pub fn place(draw: f64, weights: &[f64]) -> usize {
    let mut sum = 0.0;
    for (i, w) in weights.iter().enumerate() {
        sum += w;
        if draw < sum {
            return i;
        }
    }
    // rounding: the last with a weight
    weights.iter().rposition(|w| *w > 0.0).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass() -> Pass {
        Pass { seed: 7, stage: "pretrain".into(), epoch: 3 }
    }

    #[test]
    fn a_key_fixes_its_draws_and_every_part_of_it_counts() {
        let s = Sample::new("a/5.avi");
        let first = |k: Key| k.rng().u64();
        let base = first(Key::sample(&pass(), &s, 0, "crop", "offset"));
        assert_eq!(base, first(Key::sample(&pass(), &s, 0, "crop", "offset")));
        // a group may be named later, and changes no draw
        assert_eq!(base, first(Key::sample(&pass(), &Sample { group: "a".into(), ..s.clone() }, 0, "crop", "offset")));
        let other = [
            Key::sample(&Pass { seed: 8, ..pass() }, &s, 0, "crop", "offset"),
            Key::sample(&Pass { stage: "x".into(), ..pass() }, &s, 0, "crop", "offset"),
            Key::sample(&Pass { epoch: 4, ..pass() }, &s, 0, "crop", "offset"),
            Key::sample(&pass(), &Sample::new("a/6.avi"), 0, "crop", "offset"),
            Key::sample(&pass(), &Sample { occurrence: 1, ..s.clone() }, 0, "crop", "offset"),
            Key::sample(&pass(), &s, 1, "crop", "offset"),
            Key::sample(&pass(), &s, 0, "blur", "offset"),
            Key::sample(&pass(), &s, 0, "crop", "size"),
            Key::batch(&pass(), 5, "crop", "offset"),
            Key::order(&pass(), "crop"),
        ];
        for key in other {
            assert_ne!(base, first(key));
        }
    }

    #[test]
    fn distributions_have_their_moments() {
        let mut rng = Key::initial(0, "w").rng();
        let n = 20_000;
        let units: Vec<f64> = (0..n).map(|_| rng.unit()).collect();
        assert!(units.iter().all(|u| (0.0..1.0).contains(u)));
        assert!((units.iter().sum::<f64>() / n as f64 - 0.5).abs() < 0.01);
        let normals: Vec<f64> = (0..n).map(|_| rng.normal()).collect();
        let mean = normals.iter().sum::<f64>() / n as f64;
        let var = normals.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
        assert!(mean.abs() < 0.03 && (var - 1.0).abs() < 0.05, "{mean} {var}");
        let mut counts = [0; 5];
        for _ in 0..n {
            counts[rng.below(5)] += 1;
        }
        assert!(counts.iter().all(|c| (3700..4300).contains(c)), "{counts:?}");
        let picks = (0..n).filter(|_| rng.weighted(&[0.2, 0.8]) == 0).count();
        assert!((3700..4300).contains(&picks), "{picks}");
    }

    #[test]
    fn a_permutation_holds_each_once() {
        let mut p = Key::initial(1, "p").rng().permutation(50);
        p.sort_unstable();
        assert_eq!(p, (0..50).collect::<Vec<_>>());
    }
}
