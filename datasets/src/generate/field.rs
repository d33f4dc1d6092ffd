//! The texture: one for all videos, periodic in the plane, and the same again an octave deeper.

use super::math::{exp2, turn, Draw};
use super::motion::{Window, WIDTH};

/// Points of the table along a period.
const GRID: usize = 256;
/// Waves of which the texture is the sum, and the band of their frequencies in cycles a period.
const WAVES: usize = 48;
const BAND: std::ops::Range<i32> = 8..16;
/// How much of a channel is its own, against what all three share.
const OWN: f64 = 0.8;
/// Octaves that are seen at once, each fading in and out as the zoom goes by.
const OCTAVES: usize = 3;
const MEAN: f64 = 128.0;
const DEVIATION: f64 = 44.0;

/// A periodic table of three channels of mean 0 and deviation 1.
pub struct Field {
    /// Row by row, one row and one column more than the period, so that neighbours are never out of range.
    table: Vec<[f32; 3]>,
}

struct Wave {
    frequency: [i32; 2],
    shared: (f64, f64),
    own: [(f64, f64); 3],
}

impl Field {
    /// Sums the waves over the table.
    pub fn new() -> Self {
        // The texture is part of the recipe: its seed is fixed.
        let mut draw = Draw::new(0, "texture");
        let waves: Vec<Wave> = (0..WAVES).map(|_| Wave::draw(&mut draw)).collect();
        // Frequencies are whole, so that every phase falls on one of GRID steps of a turn.
        let turns: Vec<(f64, f64)> = (0..GRID).map(|i| turn(i as f64 / GRID as f64)).collect();
        let mut values = vec![[0.0; 3]; GRID * GRID];
        for wave in &waves {
            let [fx, fy] = wave.frequency;
            let parts = wave.parts();
            for (i, value) in values.iter_mut().enumerate() {
                let phase = (i % GRID) as i32 * fx + (i / GRID) as i32 * fy;
                let (cos, sin) = turns[phase.rem_euclid(GRID as i32) as usize];
                for (value, (along, across)) in value.iter_mut().zip(parts) {
                    *value += along * cos - across * sin;
                }
            }
        }
        let mut scale = [0.0; 3];
        for (channel, scale) in scale.iter_mut().enumerate() {
            let power: f64 = values.iter().map(|value| value[channel] * value[channel]).sum();
            *scale = ((GRID * GRID) as f64 / power).sqrt();
        }
        let at = |x: usize, y: usize| {
            let value = values[(y % GRID) * GRID + x % GRID];
            std::array::from_fn(|channel| (value[channel] * scale[channel]) as f32)
        };
        let table = (0..=GRID).flat_map(|y| (0..=GRID).map(move |x| (x, y))).map(|(x, y)| at(x, y)).collect();
        Self { table }
    }

    /// Appends what the window sees: `height` x `width` pixels of RGB. The window is as wide as the longer side.
    pub fn render(&self, window: &Window, height: usize, width: usize, out: &mut Vec<u8>) {
        let pixel = WIDTH * GRID as f64 / height.max(width) as f64;
        let (cos, sin) = turn(window.angle);
        let first = window.zoom.floor() + 1.0;
        let octaves: [Octave; OCTAVES] = std::array::from_fn(|i| {
            // Whole octaves of the texture; those between 0 and OCTAVES deeper than the window's zoom are seen.
            let level = first + i as f64;
            let scale = pixel * exp2(level - window.zoom);
            let (_, fade) = turn((level - window.zoom) / (2 * OCTAVES) as f64);
            let depth = 2f64.powi(level as i32);
            Octave {
                origin: window.place.map(|place| (place * depth).rem_euclid(1.0) * GRID as f64),
                right: [scale * cos, scale * sin],
                down: [-scale * sin, scale * cos],
                weight: (DEVIATION * fade * fade) as f32,
            }
        });
        let middle = |side: usize| (side as f64 - 1.0) / 2.0;
        for y in 0..height {
            for x in 0..width {
                let (x, y) = (x as f64 - middle(width), y as f64 - middle(height));
                let mut pixel = [MEAN as f32 + 0.5; 3];
                for octave in &octaves {
                    let u = octave.origin[0] + octave.right[0] * x + octave.down[0] * y;
                    let v = octave.origin[1] + octave.right[1] * x + octave.down[1] * y;
                    self.add(u, v, octave.weight, &mut pixel);
                }
                out.extend(pixel.map(|value| value as u8)); // saturates
            }
        }
    }

    /// Adds the texture at (u, v) of the table, between its points.
    fn add(&self, u: f64, v: f64, weight: f32, pixel: &mut [f32; 3]) {
        let (left, top) = (u.floor(), v.floor());
        let (across, down) = ((u - left) as f32, (v - top) as f32);
        let wrap = |whole: f64| whole as i64 as usize % GRID; // GRID divides 2^64: right below zero as well
        let at = wrap(top) * (GRID + 1) + wrap(left);
        let (above, below) = (&self.table[at..at + 2], &self.table[at + GRID + 1..at + GRID + 3]);
        for (channel, pixel) in pixel.iter_mut().enumerate() {
            let upper = above[0][channel] + (above[1][channel] - above[0][channel]) * across;
            let lower = below[0][channel] + (below[1][channel] - below[0][channel]) * across;
            *pixel += weight * (upper + (lower - upper) * down);
        }
    }
}

/// One octave of the texture, as the window lies in its table.
struct Octave {
    origin: [f64; 2],
    right: [f64; 2],
    down: [f64; 2],
    weight: f32,
}

impl Wave {
    fn draw(draw: &mut Draw) -> Self {
        let span = 2 * BAND.end as u64 - 1;
        let mut component = || (draw.bits() % span) as i32 - (BAND.end - 1);
        let frequency = loop {
            let [x, y] = [component(), component()];
            if (BAND.start.pow(2)..BAND.end.pow(2)).contains(&(x * x + y * y)) {
                break [x, y];
            }
        };
        let mut wave = || (draw.normal(), draw.unit());
        Self { frequency, shared: wave(), own: [wave(), wave(), wave()] }
    }

    /// For each channel the factors of cosine and negative sine of the wave's phase.
    fn parts(&self) -> [(f64, f64); 3] {
        self.own.map(|(amount, phase)| {
            let (shared, own) = (turn(self.shared.1), turn(phase));
            let amount = OWN * amount;
            (self.shared.0 * shared.0 + amount * own.0, self.shared.0 * shared.1 + amount * own.1)
        })
    }
}
