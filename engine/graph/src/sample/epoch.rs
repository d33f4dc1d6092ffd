//! Which samples an epoch yields, and in which order.

use crate::draw::{Key, Pass, Sample};
use crate::kind::Source;
use anyhow::{bail, Context, Result};
use dv_datasets::{file, PackedSet};
use std::path::Path;
use std::sync::Arc;

/// The rows of one split of a packed set.
pub struct Rows {
    pub set: Arc<PackedSet>,
    /// Catalogue ids in the split's order, withheld ones taken out.
    pub ids: Vec<usize>,
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
        let Some(all) = set.split(&source.split) else {
            bail!("the set `{}` has no split `{}`; it has {}", source.set, source.split, set.split_names().join(", "));
        };
        if source.hold_out >= all.len() {
            bail!("hold_out = {} leaves nothing of the {} rows of `{}`", source.hold_out, all.len(), source.split);
        }
        let held: std::collections::BTreeSet<usize> = dv_datasets::splits::held_out(all.len(), source.hold_out, 666).into_iter().collect();
        let ids = all.into_iter().enumerate().filter(|(i, _)| !held.contains(i)).map(|(_, id)| id).collect();
        Ok(Rows { set, ids, node: node.to_string() })
    }

    pub fn sample(&self, position: usize) -> Sample {
        Sample { id: self.ids[position] as u64, occurrence: 0 }
    }

    /// A training epoch: shuffled by the seed; the last partial batch is dropped, its samples are listed.
    pub fn training(&self, pass: &Pass, batch: usize) -> (Vec<Batch>, Vec<usize>) {
        let order = Key::order(pass, &self.node).rng().permutation(self.ids.len());
        let whole = order.len() / batch * batch;
        let batches = order[..whole].chunks(batch).enumerate();
        let batches = batches.map(|(step, p)| Batch { pass: pass.clone(), step: step as u64, positions: p.to_vec() }).collect();
        (batches, order[whole..].to_vec())
    }

    /// Every row once, in the split's order.
    pub fn evaluation(&self, pass: &Pass, batch: usize) -> Vec<Batch> {
        let all: Vec<usize> = (0..self.ids.len()).collect();
        all.chunks(batch).enumerate().map(|(step, p)| Batch { pass: pass.clone(), step: step as u64, positions: p.to_vec() }).collect()
    }
}
