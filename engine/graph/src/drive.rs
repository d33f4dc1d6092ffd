//! How a stage is driven, as its table states it.

use crate::experiment::kind_name;
use crate::fault::Faults;
use crate::settings;
use crate::source::At;
use crate::stage::*;
use crate::tree::{Item, Table, Value};

pub(crate) fn read_drive(at: At, table: &mut Table, models: &[String], faults: &mut Faults) -> Drive {
    for (key, what) in [("during", "stages that run while another trains (during)"), ("parameters", "parameter groups (parameters)")] {
        if let Some(entry) = table.take(key) {
            faults.not_yet(entry.key, what);
        }
    }
    let mut drive = Drive::default();
    if let Some(entry) = table.take("optimiser") {
        drive.optimiser = tagged(&entry.item, "optimiser", OPTIMISERS, faults, |_, table, at, faults| {
            let sgd: Sgd = settings::deserialise(table, at, "sgd", faults)?;
            let mut f = settings::SettingFaults::new(table, at, faults);
            f.require(sgd.lr > 0.0 && sgd.lr.is_finite(), "lr", "above 0");
            f.require((0.0..1.0).contains(&sgd.momentum), "momentum", "from 0 to below 1");
            f.require(sgd.weight_decay >= 0.0 && sgd.weight_decay.is_finite(), "weight_decay", "from 0");
            Some(Optimiser::Sgd(sgd))
        });
    }
    if let Some(entry) = table.take("schedule") {
        drive.schedule = tagged(&entry.item, "schedule", SCHEDULES, faults, |kind, table, at, faults| match kind {
            "constant" => settings::deserialise(table, at, kind, faults).map(Schedule::Constant),
            "steps" => {
                let steps: Steps = settings::deserialise(table, at, kind, faults)?;
                let mut f = settings::SettingFaults::new(table, at, faults);
                f.require(steps.at.windows(2).all(|w| w[0] < w[1]), "at", "epochs in rising order");
                f.require(steps.factor > 0.0 && steps.factor.is_finite(), "factor", "above 0");
                Some(Schedule::Steps(steps))
            }
            _ => {
                let cosine: Cosine = settings::deserialise(table, at, kind, faults)?;
                settings::SettingFaults::new(table, at, faults).require(
                    (0.0..1.0).contains(&cosine.warm_up),
                    "warm_up",
                    "from 0 to below 1",
                );
                Some(Schedule::Cosine(cosine))
            }
        });
    }
    if let Some(entry) = table.take("keep") {
        match entry.item.as_table() {
            Some(t) if t.get("best").is_some() => faults.not_yet(entry.key, "keeping the best checkpoint (keep.best)"),
            Some(t) => {
                drive.keep = settings::deserialise(t, entry.key, "keep", faults);
                if let Some(keep) = &drive.keep {
                    settings::SettingFaults::new(t, entry.key, faults).require(keep.last > 0, "last", "from 1");
                }
            }
            None => {
                faults.add("wrong-type", entry.item.at, "`keep` is a table: { last = 2 }");
            }
        }
    }
    if let Some(entry) = table.take("weights") {
        drive.weights = read_weights(&entry.item, models, faults);
    }
    // what can be read of them is used: without `minimise` a stage would seem to evaluate
    if let Some(settings) = settings::read::<StageSettings>(table, at, "stage", faults).0 {
        let mut f = settings::SettingFaults::new(table, at, faults);
        f.require(settings.epochs != Some(0), "epochs", "from 1");
        f.require(settings.batch != Some(0), "batch", "from 1");
        f.require(settings.world != Some(0), "world", "from 1");
        if let (Some(batch), Some(world)) = (settings.batch, settings.world) {
            f.require(world == 0 || batch % world == 0, "world", "the batch must be a multiple of the world: its parts are equal");
        }
        if settings.batch_norm == Some(BatchNorm::PerRank) && settings.world.unwrap_or(1) > 1 {
            faults.not_yet(table.get("batch_norm").map_or(at, |i| i.at), "batch norm for each part of the world (per_rank)");
        }
        for (i, name) in settings.frozen.iter().enumerate() {
            if !models.contains(name) {
                let at = element_at(table, "frozen", i).unwrap_or(at);
                faults.add("unknown-model", at, format!("there is no model `{name}`")).nearest(name, models.iter().map(String::as_str));
            }
        }
        drive.settings = settings;
    }
    drive
}

/// Where the element of a list stands; the only one stands for the list.
pub(crate) fn element_at(table: &Table, key: &str, index: usize) -> Option<At> {
    match table.get(key) {
        Some(Item { value: Value::Array(list), .. }) if list.len() > 1 => list.get(index).map(|i| i.at),
        other => other.map(|i| i.at),
    }
}

/// A table with a `kind` of a short list.
fn tagged<T>(
    item: &Item,
    what: &str,
    kinds: &[&str],
    faults: &mut Faults,
    read: impl FnOnce(&str, &Table, At, &mut Faults) -> Option<T>,
) -> Option<T> {
    let Some(table) = item.as_table() else {
        faults.add("wrong-type", item.at, format!("`{what}` is a table with a `kind`"));
        return None;
    };
    let mut table = table.clone();
    let Some(kind) = table.take("kind") else {
        faults.add("missing-setting", item.at, format!("`{what}` needs a `kind`: {}", kinds.join(", ")));
        return None;
    };
    let name = kind_name(&kind.item, "kind", faults)?.to_string();
    if !kinds.contains(&name.as_str()) {
        faults.add("unknown-kind", kind.item.at, format!("there is no {what} `{name}`")).nearest(&name, kinds.iter().copied());
        return None;
    }
    read(&name, &table, kind.item.at, faults)
}

fn read_weights(item: &Item, models: &[String], faults: &mut Faults) -> Vec<(String, Origin)> {
    let Some(table) = item.as_table() else {
        return vec![("*".to_string(), read_origin(item, faults))];
    };
    let mut out = Vec::new();
    for (model, entry) in table.iter() {
        if model != "*" && !models.iter().any(|m| m == model) {
            faults
                .add("unknown-model", entry.key, format!("there is no model `{model}`"))
                .nearest(model, models.iter().map(String::as_str));
        }
        out.push((model.to_string(), read_origin(&entry.item, faults)));
    }
    out
}

/// `"initial"`, a stage's name, or `{ stage, epoch }`. One at fault counts as given, lest it be told as missing too.
fn read_origin(item: &Item, faults: &mut Faults) -> Origin {
    match &item.value {
        Value::String(s) if s == "initial" => {}
        Value::String(s) => return Origin::Stage { stage: s.clone(), epoch: None },
        Value::Table(t) if t.get("file").is_some() => faults.not_yet(item.at, "weights from a file"),
        Value::Table(t) if t.get("keep").is_some() => faults.not_yet(item.at, "weights of the best checkpoint"),
        Value::Table(t) => {
            #[derive(serde::Deserialize, schemars::JsonSchema)]
            #[serde(deny_unknown_fields)]
            struct FromStage {
                /// A stage that trains.
                stage: String,
                /// Completed epochs.
                epoch: Option<u64>,
            }
            if let Some(from) = settings::deserialise::<FromStage>(t, item.at, "weights", faults) {
                return Origin::Stage { stage: from.stage, epoch: from.epoch };
            }
        }
        _ => {
            faults.add("wrong-type", item.at, "weights come from \"initial\", a stage's name, or { stage = \"...\", epoch = N }");
        }
    }
    Origin::Initial
}
