use crate::prelude::*;

/// The videos of one split of a packed set, each as frames that can be asked for.
#[kind("source/shards", outputs = Videos, source = "standard")]
pub struct Shards {
    /// Name of the packed set: the folder of that name below the data folder.
    set: String,
    /// Name of the split: `train01`, `test01`.
    split: String,
    /// Rows of the split's list that are withheld for validation; 0: none, all are read.
    #[smoke(3)]
    #[schemars(range(min = 0, max = limits::ROWS))]
    hold_out: usize,
    /// The seed of the draw. Required where `hold_out` is above 0 (DualVar: 666). The withheld rows are the first `hold_out` of numpy's
    /// `RandomState(hold_out_seed).permutation(rows)` over all rows of the list, also those that were rejected while packing; these are left out afterwards.
    #[schemars(range(min = 0, max = u32::MAX))]
    hold_out_seed: Option<u32>,
    /// Which rows are read. Required where `hold_out` is above 0.
    part: Option<HeldPart>,
    /// Height in pixels at which the set was packed.
    #[schemars(range(min = 1, max = limits::PACKED_PIXELS))]
    height: usize,
    /// Width in pixels at which the set was packed.
    #[schemars(range(min = 1, max = limits::PACKED_PIXELS))]
    width: usize,
}

#[derive(Ports)]
pub struct Videos<P: Plane> {
    /// `3 frames height width` the video: 8-bit RGB, as many frames as it has
    frames: P::Video,
    /// class, in 0..classes; sets without classes have none
    #[range("classes")]
    label: Option<P::Index>,
    /// position among the rows that the source reads
    #[range("videos")]
    index: P::Index,
    /// group of the video, in 0..groups by name: clips of one source share one (`gNN` in UCF101's file names, or the column `group` of a CSV); else each video is its own
    #[range("groups")]
    group: P::Index,
}

impl Kind for Shards {
    fn check(&self, faults: &mut SettingFaults) {
        faults.require(!self.set.is_empty(), "set", "must name a set");
        faults.require(!self.split.is_empty(), "split", "must name a split");
        match (self.hold_out, self.hold_out_seed, self.part) {
            (0, None, None) | (1.., Some(_), Some(_)) => {}
            (0, Some(_), _) => faults.add("hold_out_seed", "no rows are withheld (hold_out = 0): remove it"),
            (0, None, Some(_)) => faults.add("part", "no rows are withheld (hold_out = 0): remove it"),
            (_, seed, part) => {
                let needs = match (seed, part) {
                    (None, None) => "`hold_out_seed` (DualVar: 666) and `part` (\"rest\" or \"withheld\")",
                    (None, _) => "`hold_out_seed` (DualVar: 666)",
                    _ => "`part` (\"rest\" or \"withheld\")",
                };
                faults.add("hold_out", format!("above 0 it needs {needs}"));
            }
        }
    }
    fn source(&self) -> Option<Source> {
        let held = || Some(HoldOut { rows: self.hold_out, seed: self.hold_out_seed?, part: self.part? }).filter(|held| held.rows > 0);
        let (set, split) = (self.set.clone(), self.split.clone());
        Some(Source { set, split, held: held(), height: self.height, width: self.width, streams: vec!["rgb".to_string()] })
    }
}

impl SourceKind for Shards {
    fn read(&self, sample: &SourceSample) -> Result<Videos<Host>> {
        Ok(Videos {
            frames: sample.video.clone(),
            label: sample.label.map(|label| Array::scalar(i64::from(label))),
            index: Array::scalar(sample.position as i64),
            group: Array::scalar(sample.group as i64),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn the_port_is_the_packed_size_with_symbols_for_what_the_data_knows() {
        let kind: Shards =
            testing::kind("set = 'u'\nsplit = 'train01'\nhold_out = 3\nhold_out_seed = 666\npart = 'withheld'\nheight = 171\nwidth = 128");
        let ports = testing::shapes(&kind, vec![]).unwrap();
        assert_eq!(ports[0].to_string(), "video [B, 3, frames, 171, 128]");
        assert_eq!(ports[1].range, Some(Dim::Symbol("classes".into())));
        let source = kind.source().unwrap();
        assert_eq!((source.set.as_str(), source.split.as_str()), ("u", "train01"));
        assert_eq!(source.held, Some(HoldOut { rows: 3, seed: 666, part: HeldPart::Withheld }));
    }

    #[test]
    fn what_is_withheld_needs_its_seed_and_which_part_is_read() {
        let faults = |held: &str| testing::faults::<Shards>(&format!("set = 'u'\nsplit = 't'\n{held}\nheight = 8\nwidth = 8"));
        assert!(faults("hold_out = 0").is_empty());
        assert!(faults("hold_out = 2\nhold_out_seed = 0\npart = 'rest'").is_empty());
        for held in ["hold_out = 2", "hold_out = 2\npart = 'rest'", "hold_out = 2\nhold_out_seed = 1", "hold_out = 0\nhold_out_seed = 1"] {
            assert_eq!(faults(held).len(), 1, "{held}");
        }
    }
}
