//! What there is to know of a set at a glance.

use std::collections::HashSet;

use anyhow::Result;

use crate::overlap::{self, Shared};
use crate::{PackedSet, Rejected};

/// Why a row of a list has no video where there is no file; what else is missing did not decode.
pub(crate) const NO_FILE: &str = "there is no such file";

pub(super) struct Facts<'a> {
    /// Of all videos together.
    pub frames: u64,
    /// Each class and how many videos it has.
    pub classes: Vec<(&'a str, usize)>,
    /// Videos without a class.
    pub unlabelled: Vec<String>,
    pub splits: Vec<Split<'a>>,
    pub lengths: Spread,
    /// `None`: of no video the rate is known.
    pub rates: Option<Spread>,
    /// Videos without a nominal rate.
    pub unrated: usize,
    /// Files that were there and are not in the set.
    pub rejected: Vec<Rejected>,
    /// Video, and what was wrong with it.
    pub notes: Vec<(String, String)>,
    /// What a training and a test split share.
    pub overlaps: Vec<(String, String, Shared)>,
    /// Videos that are the same file under two classes.
    pub two_classes: Vec<[String; 2]>,
}

pub(super) struct Split<'a> {
    pub name: &'a str,
    pub videos: usize,
    pub rows: usize,
    /// Row and path of what is not in the set.
    pub missing: Vec<(usize, String)>,
    /// Of these, paths without a file.
    pub no_file: Vec<String>,
}

/// Least, middle and greatest of some numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub minimum: f64,
    pub median: f64,
    pub maximum: f64,
}

impl Spread {
    fn of(mut numbers: Vec<f64>) -> Option<Spread> {
        numbers.sort_by(f64::total_cmp);
        let (minimum, maximum) = (*numbers.first()?, *numbers.last()?);
        let (low, high) = (numbers[(numbers.len() - 1) / 2], numbers[numbers.len() / 2]);
        Some(Spread { minimum, median: (low + high) / 2.0, maximum })
    }
}

impl<'a> Facts<'a> {
    pub fn of(set: &'a PackedSet) -> Result<Facts<'a>> {
        let mut classes: Vec<(&str, usize)> = set.classes.iter().map(|class| (class.as_str(), 0)).collect();
        let mut unlabelled = Vec::new();
        let (mut lengths, mut rates, mut notes) = (Vec::new(), Vec::new(), Vec::new());
        let mut frames = 0;
        for video in set.videos() {
            let video = video?;
            match video.class {
                Some(class) => classes[class as usize].1 += 1,
                None => unlabelled.push(video.path.clone()),
            }
            frames += u64::from(video.frames);
            lengths.push(f64::from(video.frames));
            rates.extend(video.fps);
            notes.extend(video.note.map(|note| (video.path, note)));
        }
        let unrated = lengths.len() - rates.len();
        let rejected: Vec<Rejected> = set.rejected()?.into_iter().filter(|r| !r.reason.starts_with(NO_FILE)).collect();
        let there: HashSet<&str> = rejected.iter().map(|r| r.path.as_str()).collect();
        let mut splits = Vec::new();
        for name in set.split_names() {
            let Some(rows) = set.split_rows(name)? else { continue };
            let no_file = rows.missing.iter().filter(|(_, path)| !there.contains(path.as_str())).map(|(_, path)| path.clone()).collect();
            splits.push(Split { name, videos: rows.videos.len(), rows: rows.rows, missing: rows.missing, no_file });
        }
        drop(there);
        Ok(Facts {
            frames,
            splits,
            classes,
            unlabelled,
            lengths: Spread::of(lengths).unwrap_or(Spread { minimum: 0.0, median: 0.0, maximum: 0.0 }),
            rates: Spread::of(rates),
            unrated,
            rejected,
            notes,
            overlaps: overlap::of_splits(set)?,
            two_classes: overlap::two_classes(set)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_two() {
        let of = |numbers: &[f64]| Spread::of(numbers.to_vec()).map(|s| (s.minimum, s.median, s.maximum));
        assert_eq!(of(&[3.0, 1.0, 2.0]), Some((1.0, 2.0, 3.0)));
        assert_eq!(of(&[30.0, 25.0]), Some((25.0, 27.5, 30.0)));
        assert_eq!(of(&[7.0]), Some((7.0, 7.0, 7.0)));
        assert_eq!(of(&[]), None);
    }
}
