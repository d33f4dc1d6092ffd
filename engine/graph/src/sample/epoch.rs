//! Which samples an epoch yields, and in which order.

use crate::draw::{Key, Pass, Sample};
use crate::kind::{Part, Source};
use anyhow::{bail, Context, Result};
use dv_datasets::splits::held_out;
use dv_datasets::{file, PackedSet};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

/// The rows that a source reads of one split of a packed set, in the split's order.
pub struct Rows {
    pub set: Arc<PackedSet>,
    /// Place of each row's video in the set.
    pub videos: Vec<usize>,
    /// What each row is known by.
    pub samples: Vec<Sample>,
    /// Place of each row's group among the groups of these rows, by name.
    pub groups: Vec<usize>,
    pub group_count: usize,
    /// Rows of the split's list that belong here and that the set does not have: rejected while packing, or without a file.
    pub missing: Vec<String>,
    /// Path of the source node: part of the order's key.
    pub node: String,
}

/// One batch of an epoch: positions among the rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    pub pass: Pass,
    /// Step within the epoch, from 0.
    pub step: u64,
    pub positions: Vec<usize>,
}

/// How to mend a set that is not there.
pub fn how_to_make(set: &str) -> String {
    match set {
        "motion" => "make it: cargo xtask quickstart, or dv generate motion and dv pack folder".into(),
        "ucf101" => "make it: dv pack ucf101 --videos UCF-101 --splits ucfTrainTestlist --out DATA/ucf101".into(),
        "ucf101_iic" => "make it: dv pack ucf101_iic --videos UCF-101 --splits ucfTrainTestlist --out DATA/ucf101_iic".into(),
        _ => format!("make it: dv pack folder --videos DIR --size HxW --filter bicubic --out DATA/{set}"),
    }
}

impl Rows {
    /// Opens DATA/set and checks that it is what the source asks for.
    pub fn open(data: &Path, source: &Source, node: &str) -> Result<Rows> {
        Rows::of(Rows::open_set(data, &source.set)?, source, node)
    }

    /// Opens DATA/set.
    pub fn open_set(data: &Path, set: &str) -> Result<Arc<PackedSet>> {
        let dir = file::below(data, set)?;
        if !dir.exists() {
            bail!("there is no packed set `{set}` at {}; {}", dir.display(), how_to_make(set));
        }
        PackedSet::open(&dir).map(Arc::new).with_context(|| format!("the packed set {}", dir.display()))
    }

    /// Checks an open set against what the source asks for.
    pub fn of(set: Arc<PackedSet>, source: &Source, node: &str) -> Result<Rows> {
        let (h, w) = (set.height as usize, set.width as usize);
        if (h, w) != (source.height, source.width) {
            bail!(
                "the set `{}` is packed {h} high and {w} wide; the graph asks for {} high and {} wide: pack it at that size",
                source.set,
                source.height,
                source.width
            );
        }
        for stream in &source.streams {
            if !set.streams.contains(stream) {
                bail!("the set `{}` has no stream `{stream}`, which the graph asks for", source.set);
            }
        }
        let Some(split) = set.split_rows(&source.split)? else {
            bail!("the set `{}` has no split `{}`; it has {}", source.set, source.split, set.split_names().join(", "));
        };
        // the draw is over the list: a video that was rejected changes nothing for the others
        let reads: Box<dyn Fn(usize) -> bool> = match &source.held {
            None => Box::new(|_| true),
            Some(held) => {
                if held.rows >= split.rows {
                    bail!("hold_out = {} leaves nothing of the {} rows of `{}`", held.rows, split.rows, source.split);
                }
                let withheld: BTreeSet<usize> = held_out(split.rows, held.rows, held.seed).into_iter().collect();
                let part = held.part;
                Box::new(move |row| withheld.contains(&row) == (part == Part::Withheld))
            }
        };
        let videos: Vec<usize> = split.videos.iter().filter(|(row, _)| reads(*row)).map(|(_, video)| *video).collect();
        let missing = split.missing.into_iter().filter(|(row, _)| reads(*row)).map(|(_, path)| path).collect();
        if videos.is_empty() {
            bail!("the split `{}` of the set `{}` has no video that was packed", source.split, source.set);
        }
        let mut seen: HashMap<usize, u64> = HashMap::new();
        let mut sample = |video: &usize| -> Result<Sample> {
            let occurrence = seen.entry(*video).or_default();
            *occurrence += 1;
            Ok(Sample { path: set.path(*video)?.into(), group: set.group(*video)?.into(), occurrence: *occurrence - 1 })
        };
        let samples: Vec<Sample> = videos.iter().map(&mut sample).collect::<Result<_>>()?;
        let names: BTreeSet<&str> = samples.iter().map(|s| &*s.group).collect();
        let places: HashMap<&str, usize> = names.iter().enumerate().map(|(place, name)| (*name, place)).collect();
        let groups = samples.iter().map(|s| places[&*s.group]).collect();
        let group_count = places.len();
        Ok(Rows { set, videos, samples, groups, group_count, missing, node: node.to_string() })
    }

    pub fn len(&self) -> usize {
        self.videos.len()
    }
    pub fn is_empty(&self) -> bool {
        self.videos.is_empty()
    }
    pub fn sample(&self, position: usize) -> &Sample {
        &self.samples[position]
    }

    /// A training epoch: shuffled by the seed. The last partial batch is dropped, its rows are listed; or it is kept as a shorter one.
    pub fn training(&self, pass: &Pass, batch: usize, drop_last: bool) -> (Vec<Batch>, Vec<usize>) {
        let order = Key::order(pass, &self.node).rng().permutation(self.len());
        let whole = if drop_last { order.len() / batch * batch } else { order.len() };
        let batches = order[..whole].chunks(batch).enumerate();
        let batches = batches.map(|(step, p)| Batch { pass: pass.clone(), step: step as u64, positions: p.to_vec() }).collect();
        (batches, order[whole..].to_vec())
    }

    /// Every row once, in the split's order.
    pub fn evaluation(&self, pass: &Pass, batch: usize) -> Vec<Batch> {
        let all: Vec<usize> = (0..self.len()).collect();
        all.chunks(batch).enumerate().map(|(step, p)| Batch { pass: pass.clone(), step: step as u64, positions: p.to_vec() }).collect()
    }
}
