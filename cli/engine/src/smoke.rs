//! `--smoke`: any graph in seconds. Sizes and counts shrink in the resolved graph, as kinds declare it (`#[smoke(...)]`); the sets
//! that it reads are generated.

use anyhow::{bail, Context, Result};
use dv_datasets::file;
use dv_datasets::generate::{smoke_set, SmokeSpec};
use dv_graph::data::class_counts;
use dv_graph::kind::Library;
use dv_graph::plan::Plan;
use dv_graph::tree::{Table, Value};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::Path;

const BATCH: i64 = 3;
const STEPS: usize = 2;
/// Rows of what holds at least a batch.
const ROWS: i64 = 12;
/// Of a set whose labels no logits meet.
const CLASSES: usize = 12;

/// Frames of a smoke set, decoded: no seconds are enough for more.
const MOST_BYTES: f64 = 20e9;

/// What the settings of a stage are at most.
const OF_STAGES: [&str; 2] = ["epochs", "epoch"];

/// Shrinks the resolved graph: stages to one epoch, settings as their kinds declare it. What changes the meaning of a number is said.
pub fn shrink(tree: &mut Table, library: &Library, said: &mut Vec<String>) {
    let Some(Value::Table(stages)) = tree.0.get_mut("stages").map(|e| &mut e.item.value) else { return };
    for (name, entry) in stages.0.iter_mut() {
        let Value::Table(stage) = &mut entry.item.value else { continue };
        let world = match stage.get("world").map(|i| &i.value) {
            Some(Value::Integer(n)) => *n,
            _ => 1,
        };
        // one sample a part of the world, or three
        let batch = if world > 1 { world.saturating_mul(BATCH.saturating_add(world - 1).div_euclid(world).max(1)) } else { BATCH };
        if let Some(e) = stage.0.get_mut("batch") {
            e.item.value = Value::Integer(batch);
        }
        walk(stage, name, batch, library, said);
    }
    for key in ["models", "groups"] {
        if let Some(Value::Table(t)) = tree.0.get_mut(key).map(|e| &mut e.item.value) {
            walk(t, key, BATCH, library, said);
        }
    }
}

fn walk(table: &mut Table, place: &str, batch: i64, library: &Library, said: &mut Vec<String>) {
    let entry = match table.get("kind").map(|i| &i.value) {
        Some(Value::String(kind)) => library.get(kind),
        _ => None,
    };
    let schema = entry.map(|entry| (entry.schema)());
    for (key, entry) in table.0.iter_mut() {
        let most = match schema.as_ref().and_then(|schema| schema.pointer(&format!("/properties/{key}/x-smoke"))) {
            Some(Json::String(_)) => Some(batch.max(ROWS)),
            Some(most) => most.as_i64(),
            None => OF_STAGES.contains(&key.as_str()).then_some(1),
        };
        match (&mut entry.item.value, most) {
            (Value::Integer(n), Some(most)) => *n = (*n).min(most),
            (Value::Array(list), Some(most)) => {
                let before = list.len();
                list.retain(|i| matches!(i.value, Value::Integer(n) if n <= most));
                if list.len() < before {
                    said.push(format!("smoke: {place}: values of `{key}` above the gallery's size are dropped"));
                }
            }
            (Value::Table(t), _) => walk(t, &format!("{place}.{key}"), batch, library, said),
            _ => {}
        }
    }
}

/// Generates the sets that the plans read: once for each name.
pub fn sets(plans: &[&Plan], data: &Path) -> Result<()> {
    let counts: BTreeMap<String, usize> = plans.iter().flat_map(|p| class_counts(p)).collect();
    let mut specs: BTreeMap<String, SmokeSpec> = BTreeMap::new();
    for stage in plans.iter().flat_map(|p| &p.stages) {
        let Some(source) = stage.source() else { continue };
        let batch = stage.drive.settings.batch.unwrap_or(1);
        let spec = specs.entry(source.set.clone()).or_insert_with(|| SmokeSpec {
            height: u32::try_from(source.height).unwrap_or(u32::MAX),
            width: u32::try_from(source.width).unwrap_or(u32::MAX),
            splits: Vec::new(),
            classes: counts.get(&source.set).copied().unwrap_or(CLASSES),
            videos_per_split: 0,
            frames: 40,
        });
        if !spec.splits.contains(&source.split) {
            spec.splits.push(source.split.clone());
        }
        let held = source.held.as_ref().map_or(0, |held| held.rows);
        spec.videos_per_split = spec.videos_per_split.max(batch.saturating_mul(STEPS).saturating_add(held));
    }
    for (name, spec) in specs {
        let place = file::below(data, &name)?;
        let pixels = spec.height as f64 * spec.width as f64 * 3.0;
        let bytes = pixels * spec.splits.len() as f64 * spec.videos_per_split as f64 * spec.frames as f64;
        if bytes > MOST_BYTES {
            bail!("the smoke set `{name}` would have {:.0} GB of frames: run it with a smaller `world`", bytes / 1e9);
        }
        smoke_set(&place, &spec).with_context(|| format!("the smoke set `{name}`"))?;
    }
    Ok(())
}
