//! How a stage is driven, as its table states it.

use crate::budget::PATTERNS;
use crate::edges::list;
use crate::experiment::{kind_name, text_list};
use crate::fault::Faults;
use crate::optimiser::{Adam, AdamW, Lars, Optimiser, Sgd};
use crate::schema;
use crate::settings::{self, SettingFaults};
use crate::show::thousands;
use crate::source::At;
use crate::spelling;
use crate::stage::*;
use crate::tree::{Entry, Item, Table, Value};
use crate::weights;

/// `models` are the graph's; `stateful` are these and the stage's registers: what `weights` may name.
pub(crate) fn read_drive(at: At, table: &mut Table, models: &[String], stateful: &[String], faults: &mut Faults) -> Drive {
    let mut drive = Drive::default();
    unknown_keys(table, faults);
    if let Some(entry) = table.take("optimiser") {
        drive.optimiser = read_optimiser(&entry.item, faults);
        if let Some(groups) = table.take("parameters") {
            drive.parameters = read_groups(&groups.item, &entry.item, drive.optimiser.as_ref(), faults);
        }
    } else if let Some(groups) = table.take("parameters") {
        if table.get("minimise").is_none() {
            faults.add("unused-setting", groups.key, "`parameters` belongs to a stage that trains (`minimise`)");
        }
    }
    if let Some(entry) = table.take("schedule") {
        drive.schedule = tagged(&entry.item, "schedule", SCHEDULES, faults);
    }
    if let Some(entry) = table.take("keep") {
        drive.keep = read_keep(&entry, faults);
    }
    if let Some(entry) = table.take("weights") {
        drive.weights = weights::read(&entry.item, stateful, faults);
    }
    if let Some(entry) = table.take("during") {
        drive.during = read_during(&entry, faults);
    }
    // what can be read of them is used: without `minimise` a stage would seem to evaluate
    if let Some(settings) = settings::read::<StageSettings>(table, at, "stage", faults).0 {
        let mut f = SettingFaults::new(table, at, faults);
        if let (Some(batch), Some(world)) = (settings.batch, settings.world) {
            f.require(batch % world == 0, "world", "must divide the batch: its parts are equal");
        }
        let equal_parts = settings.drop_last != Some(false) || settings.world.is_none_or(|world| world < 2);
        f.require(equal_parts, "drop_last", "must be true in a `world` above 1: the parts of a shorter last batch would be unequal");
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

/// Takes out what is no key of a stage, of all that may stand there.
fn unknown_keys(table: &mut Table, faults: &mut Faults) {
    let known = spelling::stage_keys();
    let unknown: Vec<String> = table.keys().filter(|key| !known.iter().any(|k| k == key)).map(String::from).collect();
    for key in unknown {
        if let Some(entry) = table.take(&key) {
            faults
                .add("unknown-setting", entry.key, format!("a stage has no setting `{key}`"))
                .nearest(&key, known.iter().map(String::as_str));
        }
    }
}

fn read_keep(entry: &Entry, faults: &mut Faults) -> Option<Keep> {
    let Some(table) = entry.item.as_table() else {
        faults
            .add("wrong-type", entry.item.at, format!("`keep` takes a table, not {}", entry.item.type_name()))
            .help("keep = { last = 2 }");
        return None;
    };
    let keep: Keep = settings::deserialise(table, entry.key, "keep", faults)?;
    if keep.last.is_none() && keep.best.is_none() && keep.every.is_none() {
        faults
            .add("missing-setting", entry.key, "`keep` needs `last`, `best` or `every`")
            .help("keep = { last = 2 } keeps the newest two checkpoints, keep = { best = \"node.port\" } the best one by that metric");
    }
    if let (Some(_), None) = (keep.goal, &keep.best) {
        faults.add("unused-setting", table.entry("goal").map_or(entry.key, |e| e.key), "`goal` belongs to `best`, which is not set");
    }
    Some(keep)
}

fn read_during(entry: &Entry, faults: &mut Faults) -> Option<During> {
    let Some(table) = entry.item.as_table() else {
        faults
            .add("wrong-type", entry.item.at, format!("`during` takes a table, not {}", entry.item.type_name()))
            .help("during = { stage = \"pretrain\", every = 1 }");
        return None;
    };
    settings::deserialise(table, entry.key, "during", faults)
}

/// Kinds of a table, and how the settings of each are read.
type Kinds<T> = &'static [(&'static str, fn(&Table, At, &mut Faults) -> Option<T>)];

pub(crate) const OPTIMISERS: Kinds<Optimiser> = &[
    ("sgd", |table, at, faults| {
        let sgd: Sgd = settings::deserialise(table, at, "sgd", faults)?;
        let fits = !sgd.nesterov || sgd.momentum > 0.0;
        SettingFaults::new(table, at, faults).require(fits, "momentum", "must be above 0 with `nesterov`");
        Some(Optimiser::Sgd(sgd))
    }),
    ("adam", |table, at, faults| settings::deserialise(table, at, "adam", faults).map(Optimiser::Adam)),
    ("adamw", |table, at, faults| settings::deserialise(table, at, "adamw", faults).map(Optimiser::AdamW)),
    ("lars", |table, at, faults| settings::deserialise(table, at, "lars", faults).map(Optimiser::Lars)),
];

/// Names of an optimiser's settings.
fn settings_of(optimiser: &Optimiser) -> Vec<String> {
    let schema = match optimiser {
        Optimiser::Sgd(_) => schema::of::<Sgd>(),
        Optimiser::Adam(_) => schema::of::<Adam>(),
        Optimiser::AdamW(_) => schema::of::<AdamW>(),
        Optimiser::Lars(_) => schema::of::<Lars>(),
    };
    schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

pub(crate) const SCHEDULES: Kinds<Schedule> = &[
    ("constant", |table, at, faults| settings::deserialise(table, at, "constant", faults).map(Schedule::Constant)),
    ("steps", |table, at, faults| {
        let steps: Steps = settings::deserialise(table, at, "steps", faults)?;
        let rising = steps.at.windows(2).all(|w| w[0] < w[1]);
        SettingFaults::new(table, at, faults).require(rising, "at", "must be epochs in rising order");
        Some(Schedule::Steps(steps))
    }),
    ("cosine", |table, at, faults| settings::deserialise(table, at, "cosine", faults).map(Schedule::Cosine)),
    ("plateau", |table, at, faults| settings::deserialise(table, at, "plateau", faults).map(Schedule::Plateau)),
];

pub(crate) const MOMENTA: Kinds<Momentum> =
    &[("cosine", |table, at, faults| settings::deserialise(table, at, "cosine", faults).map(Momentum::Cosine))];

fn read_optimiser(item: &Item, faults: &mut Faults) -> Option<Optimiser> {
    tagged(item, "optimiser", OPTIMISERS, faults)
}

/// Tables of `match` and settings that replace the optimiser's. `of_stage`: the latter as read, where it has no faults.
fn read_groups(item: &Item, optimiser: &Item, of_stage: Option<&Optimiser>, faults: &mut Faults) -> Vec<ParameterGroup> {
    let Some(groups) = item.as_table() else {
        faults.add(
            "wrong-type",
            item.at,
            "`parameters` takes a table of tables: parameters.encoder = { match = [\"encoder/*\"], lr = 0.0001 }",
        );
        return Vec::new();
    };
    let (mut out, mut all_patterns) = (Vec::new(), 0);
    for (name, entry) in groups.iter() {
        let Some(own) = entry.item.as_table() else {
            faults.add("wrong-type", entry.item.at, format!("`{name}` takes a table, not {}", entry.item.type_name()));
            continue;
        };
        let mut own = own.clone();
        let patterns = match own.take("match") {
            Some(m) => text_list(&m.item, "match", faults),
            None => {
                faults
                    .add("missing-setting", entry.key, format!("the parameter group `{name}` needs `match`"))
                    .help("match = [\"encoder/*\"], or [\":norm\", \":bias\"]");
                continue;
            }
        };
        all_patterns += patterns.len();
        if all_patterns > PATTERNS {
            faults.stop(
                "too-many",
                entry.key,
                format!("the parameter groups of the stage have more than {} patterns", thousands(PATTERNS)),
            );
            break;
        }
        for (pattern, at) in &patterns {
            if let Some((_, role)) = pattern.split_once(':') {
                if !["norm", "bias"].contains(&role) {
                    faults.add("bad-pattern", *at, format!("`{pattern}`: unknown role `{role}`")).nearest(role, ["norm", "bias"]);
                }
            }
        }
        if let Some(kind) = own.entry("kind") {
            faults.add("unknown-setting", kind.key, "a parameter group has the optimiser of its stage: remove `kind`");
            continue;
        }
        // the optimiser's settings, with the group's in their place; faults of the former were told
        let Some(mut whole) = optimiser.as_table().cloned() else { continue };
        let written = || whole.keys().filter(|k| *k != "kind").map(String::from).collect();
        let known: Vec<String> = of_stage.map_or_else(written, settings_of);
        let mut fits = true;
        for (key, setting) in own.iter() {
            if known.iter().any(|k| k == key) {
                whole.insert(key, setting.clone());
            } else {
                fits = false;
                faults
                    .add("unknown-setting", setting.key, format!("the optimiser has no setting `{key}`"))
                    .nearest(key, known.iter().map(String::as_str).chain(["match"]));
            }
        }
        let mut own_faults = Faults::default();
        let whole = Item { value: Value::Table(whole), at: optimiser.at };
        if let Some(optimiser) = read_optimiser(&whole, &mut own_faults).filter(|_| fits && own_faults.is_empty()) {
            out.push(ParameterGroup { name: name.to_string(), patterns: patterns.into_iter().map(|(p, _)| p).collect(), optimiser });
        }
        for fault in own_faults.iter() {
            if own.iter().any(|(_, e)| e.item.at == fault.at || e.key == fault.at) {
                faults.add(fault.code, fault.at, fault.message.clone());
            } else if of_stage.is_some() {
                // a setting of the stage that does not go with one of the group
                faults.add(fault.code, entry.key, format!("the parameter group `{name}`: {}", fault.message));
            }
        }
    }
    out
}

/// A number, or a table with a `kind`.
pub(crate) fn read_momentum(item: &Item, faults: &mut Faults) -> Option<Momentum> {
    let number = match item.value {
        Value::Float(m) => m,
        Value::Integer(m) => m as f64,
        Value::Table(_) => return tagged(item, "momentum", MOMENTA, faults),
        _ => {
            faults.add("wrong-type", item.at, format!("`momentum` takes a number or a table with a `kind`, not {}", item.type_name()));
            return None;
        }
    };
    schema::check_value(&momentum_schema(), "momentum", item, faults).then_some(Momentum::Constant(number))
}

/// Where the element of a list stands; the only one stands for the list.
pub(crate) fn element_at(table: &Table, key: &str, index: usize) -> Option<At> {
    match table.get(key) {
        Some(Item { value: Value::Array(list), .. }) if list.len() > 1 => list.get(index).map(|i| i.at),
        other => other.map(|i| i.at),
    }
}

/// A table with a `kind` of a short list.
fn tagged<T>(item: &Item, what: &str, kinds: Kinds<T>, faults: &mut Faults) -> Option<T> {
    let names = || kinds.iter().map(|(name, _)| *name);
    let Some(table) = item.as_table() else {
        faults
            .add("wrong-type", item.at, format!("`{what}` takes a table with a `kind`, not {}", item.type_name()))
            .help(format!("kinds: {}", list(names())));
        return None;
    };
    let mut table = table.clone();
    let Some(kind) = table.take("kind") else {
        faults.add("missing-setting", item.at, format!("`{what}` needs a `kind`")).help(format!("kinds: {}", list(names())));
        return None;
    };
    let name = kind_name(&kind.item, "kind", faults)?;
    let Some((_, read)) = kinds.iter().find(|(known, _)| *known == name) else {
        faults.add("unknown-kind", kind.item.at, format!("there is no {what} `{name}`")).nearest(name, names());
        return None;
    };
    read(&table, kind.item.at, faults)
}
