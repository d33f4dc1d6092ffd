//! Random numbers keyed by what they are for. Two runs that share a key share the draw, whatever else differs:
//! that is what pairs the arms of an ablation and makes the batches the same for any number of threads.

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
    /// Draws of a sample node: one sample, one occurrence of it in the epoch, one item of an item axis (0 without).
    pub fn sample(pass: &Pass, sample: Sample, item: usize, node: &str) -> Key {
        Key::new("sample", pass.seed)
            .text(&pass.stage)
            .number(pass.epoch)
            .number(sample.id)
            .number(sample.occurrence)
            .number(item as u64)
            .text(node)
    }
    /// Draws of a node that sees the whole batch.
    pub fn batch(pass: &Pass, step: u64, node: &str) -> Key {
        Key::new("batch", pass.seed).text(&pass.stage).number(pass.epoch).number(step).text(node)
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

/// A sample of an epoch: its id in the packed set's catalogue, and how often it came before in this epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    pub id: u64,
    pub occurrence: u64,
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
        let s = Sample { id: 5, occurrence: 0 };
        let first = |k: Key| k.rng().u64();
        let base = first(Key::sample(&pass(), s, 0, "crop"));
        assert_eq!(base, first(Key::sample(&pass(), s, 0, "crop")));
        let other = [
            Key::sample(&Pass { seed: 8, ..pass() }, s, 0, "crop"),
            Key::sample(&Pass { stage: "x".into(), ..pass() }, s, 0, "crop"),
            Key::sample(&Pass { epoch: 4, ..pass() }, s, 0, "crop"),
            Key::sample(&pass(), Sample { id: 6, ..s }, 0, "crop"),
            Key::sample(&pass(), Sample { occurrence: 1, ..s }, 0, "crop"),
            Key::sample(&pass(), s, 1, "crop"),
            Key::sample(&pass(), s, 0, "blur"),
            Key::batch(&pass(), 5, "crop"),
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
