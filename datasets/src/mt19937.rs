//! The Mersenne Twister of numpy's `RandomState`: published splits and test inputs are drawn from it.

const N: usize = 624;
const M: usize = 397;

/// MT19937 seeded as `numpy.random.RandomState(seed)` is for an integer seed. numpy has frozen this stream.
pub struct Mt19937 {
    state: [u32; N],
    next: usize,
}

impl Mt19937 {
    pub fn new(seed: u32) -> Self {
        let mut state = [0u32; N];
        state[0] = seed;
        for i in 1..N {
            let last = state[i - 1];
            state[i] = (last ^ (last >> 30)).wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
        Mt19937 { state, next: N }
    }

    /// The next 32 bits of the stream.
    pub fn next_u32(&mut self) -> u32 {
        if self.next == N {
            self.refill();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// Uniform in `0..=max` by masking and rejection, as numpy's legacy `shuffle` and `randint` draw.
    pub fn up_to(&mut self, max: u32) -> u32 {
        if max == 0 {
            return 0;
        }
        let mask = u32::MAX >> max.leading_zeros();
        loop {
            let value = self.next_u32() & mask;
            if value <= max {
                return value;
            }
        }
    }

    /// `RandomState.permutation(n)`: Fisher-Yates from the end.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, self.up_to(i as u32) as usize);
        }
        order
    }

    fn refill(&mut self) {
        for i in 0..N {
            let y = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % N] & 0x7fff_ffff);
            let odd = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + M) % N] ^ (y >> 1) ^ odd;
        }
        self.next = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numpy_values() {
        // numpy.random.RandomState(S).randint(0, 2**32, N, dtype="uint32")
        let mut rng = Mt19937::new(5489);
        assert_eq!([rng.next_u32(), rng.next_u32(), rng.next_u32()], [3499211612, 581869302, 3890346734]);
        for _ in 3..9999 {
            rng.next_u32();
        }
        // The C++ standard's check value for mt19937: its 10000th number.
        assert_eq!(rng.next_u32(), 4123659995);
        assert_eq!(Mt19937::new(1).up_to(0), 0);
    }
}
