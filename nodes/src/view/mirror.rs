use crate::prelude::*;

/// Left and right exchanged, in all frames of a clip or in none.
#[kind("view/mirror", inputs = Pixels, outputs = Same, draws = Draws, source = "standard")]
pub struct Mirror {
    /// Probability that a clip is mirrored.
    #[schemars(range(min = 0.0, max = 1.0))]
    probability: f64,
}

#[derive(Ports)]
pub struct Draws<P: Plane> {
    /// `1` 1 where the clip is mirrored
    #[range("2")]
    mirrored: P::Index,
}

impl Kind for Mirror {
    fn draw(&self, mut dice: Draws<Dice>, _: &Seen<Self>) -> Result<Draws<Row>> {
        Ok(Draws { mirrored: vec![i64::from(dice.mirrored.chance(self.probability))] })
    }
}

impl ViewKind for Mirror {
    fn transform(&self, draws: Draws<Row>, _: [usize; 3]) -> Result<Transform> {
        Ok(Transform::mirror(draws.mirrored[0] != 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parity::Case, testing};

    #[test]
    fn host_and_device_mirror_as_the_reference_does() {
        let case = Case::open("g_crops");
        let clip = case.input("frame0").unsqueeze(0).permute([3, 0, 1, 2]).unsqueeze(0);
        for (probability, name) in [(0.0, "flip_left"), (1.0, "flip_right")] {
            let kind: Mirror = testing::kind(&format!("probability = {probability:?}"));
            let device = testing::run(&kind, 1, vec![("clips", clip.shallow_clone())]).take("clips");
            case.tensor(name, &device.reshape([3, 48, 64]).permute([1, 2, 0]));
            let host = testing::run_host(&kind, 0, &[("clips", testing::host_clip(testing::clip_array(&clip.get(0))))]);
            assert_eq!(host["clips"], testing::host_clip(testing::clip_array(&device.get(0))));
        }
    }
}
