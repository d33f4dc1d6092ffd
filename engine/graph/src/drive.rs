//! How a stage is driven, as its table states it.

use crate::budget::PATTERNS;
use crate::experiment::{kind_name, text_list};
use crate::fault::Faults;
use crate::settings;
use crate::show::thousands;
use crate::source::At;
use crate::stage::*;
use crate::tree::{Item, Table, Value};

/// `models` are the graph's; `stateful` are these and the stage's registers: what `weights` may name.
pub(crate) fn read_drive(at: At, table: &mut Table, models: &[String], stateful: &[String], faults: &mut Faults) -> Drive {
    let mut drive = Drive::default();
    if let Some(entry) = table.take("optimiser") {
        drive.optimiser = read_optimiser(&entry.item, faults);
        if let Some(groups) = table.take("parameters") {
            drive.parameters = read_groups(&groups.item, &entry.item, faults);
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
        match entry.item.as_table() {
            Some(t) => {
                drive.keep = settings::deserialise(t, entry.key, "keep", faults);
                if let Some(keep) = &drive.keep {
                    settings::SettingFaults::new(t, entry.key, faults).require(keep.last != Some(0), "last", "must be at least 1");
                    if keep.last.is_none() && keep.best.is_none() {
                        faults.add(
                            "missing-setting",
                            entry.key,
                            "`keep` says how many of the newest (`last`), or by which metric one more (`best`)",
                        );
                    }
                    if let (Some(_), None) = (keep.goal, &keep.best) {
                        faults.add("unused-setting", t.entry("goal").map_or(entry.key, |e| e.key), "`goal` belongs to `best`");
                    }
                }
            }
            None => {
                faults.add("wrong-type", entry.item.at, "`keep` is a table: { last = 2 }");
            }
        }
    }
    if let Some(entry) = table.take("weights") {
        drive.weights = read_weights(&entry.item, stateful, faults);
    }
    if let Some(entry) = table.take("during") {
        match entry.item.as_table() {
            Some(t) => {
                drive.during = settings::deserialise(t, entry.key, "during", faults);
                if let Some(during) = &drive.during {
                    settings::SettingFaults::new(t, entry.key, faults).require(during.every > 0, "every", "must be at least 1");
                }
            }
            None => {
                faults.add("wrong-type", entry.item.at, "`during` is a table: { stage = \"pretrain\", every = 1 }");
            }
        }
    }
    // what can be read of them is used: without `minimise` a stage would seem to evaluate
    if let Some(settings) = settings::read::<StageSettings>(table, at, "stage", faults).0 {
        let mut f = settings::SettingFaults::new(table, at, faults);
        f.require(settings.epochs != Some(0), "epochs", "must be at least 1");
        f.require(settings.batch != Some(0), "batch", "must be at least 1");
        f.require(settings.world != Some(0), "world", "must be at least 1");
        if let (Some(batch), Some(world)) = (settings.batch, settings.world) {
            f.require(world == 0 || batch % world == 0, "world", "the batch must be a multiple of the world: its parts are equal");
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

/// How a table with a `kind` is read, its `kind` taken out.
type Read<T> = fn(&Table, At, &mut Faults) -> Option<T>;

/// The kinds that a graph may name, each with its own way to be read.
pub(crate) const OPTIMISERS: &[(&str, Read<Optimiser>)] = &[("sgd", sgd)];
pub(crate) const SCHEDULES: &[(&str, Read<Schedule>)] =
    &[("constant", constant), ("steps", steps), ("cosine", cosine), ("plateau", plateau)];
pub(crate) const MOMENTA: &[(&str, Read<Momentum>)] = &[("cosine", cosine_momentum)];

fn sgd(table: &Table, at: At, faults: &mut Faults) -> Option<Optimiser> {
    let sgd: Sgd = settings::deserialise(table, at, "sgd", faults)?;
    let mut f = settings::SettingFaults::new(table, at, faults);
    f.require(sgd.lr > 0.0 && sgd.lr.is_finite(), "lr", "must be above 0");
    f.require((0.0..1.0).contains(&sgd.momentum), "momentum", "must be from 0 to below 1");
    f.require(sgd.weight_decay >= 0.0 && sgd.weight_decay.is_finite(), "weight_decay", "must be at least 0");
    Some(Optimiser::Sgd(sgd))
}

fn constant(table: &Table, at: At, faults: &mut Faults) -> Option<Schedule> {
    settings::deserialise(table, at, "constant", faults).map(Schedule::Constant)
}

fn steps(table: &Table, at: At, faults: &mut Faults) -> Option<Schedule> {
    let steps: Steps = settings::deserialise(table, at, "steps", faults)?;
    let mut f = settings::SettingFaults::new(table, at, faults);
    f.require(steps.at.windows(2).all(|w| w[0] < w[1]), "at", "must be epochs in rising order");
    f.require(steps.factor > 0.0 && steps.factor.is_finite(), "factor", "must be above 0");
    Some(Schedule::Steps(steps))
}

fn cosine(table: &Table, at: At, faults: &mut Faults) -> Option<Schedule> {
    let cosine: Cosine = settings::deserialise(table, at, "cosine", faults)?;
    let mut f = settings::SettingFaults::new(table, at, faults);
    f.require((0.0..1.0).contains(&cosine.warm_up), "warm_up", "must be from 0 to below 1");
    Some(Schedule::Cosine(cosine))
}

fn plateau(table: &Table, at: At, faults: &mut Faults) -> Option<Schedule> {
    let plateau: Plateau = settings::deserialise(table, at, "plateau", faults)?;
    let mut f = settings::SettingFaults::new(table, at, faults);
    f.require(plateau.factor > 0.0 && plateau.factor < 1.0, "factor", "must be above 0 and below 1");
    f.require(plateau.least.is_none_or(|l| l >= 0.0 && l.is_finite()), "least", "must be at least 0");
    Some(Schedule::Plateau(plateau))
}

fn cosine_momentum(table: &Table, at: At, faults: &mut Faults) -> Option<Momentum> {
    let cosine: CosineMomentum = settings::deserialise(table, at, "cosine", faults)?;
    let mut f = settings::SettingFaults::new(table, at, faults);
    f.require((0.0..=1.0).contains(&cosine.from), "from", "must be from 0 to 1");
    f.require((0.0..=1.0).contains(&cosine.to), "to", "must be from 0 to 1");
    Some(Momentum::Cosine(cosine))
}

fn read_optimiser(item: &Item, faults: &mut Faults) -> Option<Optimiser> {
    tagged(item, "optimiser", OPTIMISERS, faults)
}

/// Tables of `match` and settings that replace the optimiser's.
fn read_groups(item: &Item, optimiser: &Item, faults: &mut Faults) -> Vec<ParameterGroup> {
    let Some(groups) = item.as_table() else {
        faults.add(
            "wrong-type",
            item.at,
            "`parameters` is a table of tables: parameters.encoder = { match = [\"encoder/*\"], lr = 0.0001 }",
        );
        return Vec::new();
    };
    let (mut out, mut all_patterns) = (Vec::new(), 0);
    for (name, entry) in groups.iter() {
        let Some(own) = entry.item.as_table() else {
            faults.add("wrong-type", entry.item.at, format!("`{name}` is a table, not {}", entry.item.type_name()));
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
                    faults.add("bad-pattern", *at, format!("`{pattern}`: there is no role `{role}`")).nearest(role, ["norm", "bias"]);
                }
            }
        }
        if let Some(kind) = own.entry("kind") {
            faults.add("unknown-setting", kind.key, "a parameter group has the optimiser of its stage: take `kind` out");
            continue;
        }
        // the optimiser's settings, with the group's in their place; faults of the former were told
        let Some(mut whole) = optimiser.as_table().cloned() else { continue };
        let known: Vec<String> = whole.keys().filter(|k| *k != "kind").map(String::from).collect();
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
        for fault in own_faults.iter().filter(|f| own.iter().any(|(_, e)| e.item.at == f.at || e.key == f.at)) {
            faults.add(fault.code, fault.at, fault.message.clone());
        }
    }
    out
}

/// A number, or a table with a `kind`.
pub(crate) fn read_momentum(item: &Item, faults: &mut Faults) -> Option<Momentum> {
    let fits = |m: f64| (0.0..=1.0).contains(&m);
    let number = match item.value {
        Value::Float(m) => Some(m),
        Value::Integer(m) => Some(m as f64),
        _ => None,
    };
    match number {
        Some(m) if fits(m) => Some(Momentum::Constant(m)),
        Some(_) => {
            faults.add("out-of-range", item.at, "`momentum` is from 0 to 1");
            None
        }
        None if item.as_table().is_none() => {
            faults.add("wrong-type", item.at, format!("`momentum` is a number or a table with a `kind`, not {}", item.type_name()));
            None
        }
        None => tagged(item, "momentum", MOMENTA, faults),
    }
}

/// Where the element of a list stands; the only one stands for the list.
pub(crate) fn element_at(table: &Table, key: &str, index: usize) -> Option<At> {
    match table.get(key) {
        Some(Item { value: Value::Array(list), .. }) if list.len() > 1 => list.get(index).map(|i| i.at),
        other => other.map(|i| i.at),
    }
}

/// A table with a `kind` of a short list.
fn tagged<T>(item: &Item, what: &str, kinds: &[(&str, Read<T>)], faults: &mut Faults) -> Option<T> {
    let names = || kinds.iter().map(|(kind, _)| *kind);
    let Some(table) = item.as_table() else {
        faults.add("wrong-type", item.at, format!("`{what}` is a table with a `kind`"));
        return None;
    };
    let mut table = table.clone();
    let Some(kind) = table.take("kind") else {
        faults.add("missing-setting", item.at, format!("`{what}` needs a `kind`: {}", names().collect::<Vec<_>>().join(", ")));
        return None;
    };
    let name = kind_name(&kind.item, "kind", faults)?.to_string();
    match kinds.iter().find(|(kind, _)| *kind == name) {
        Some((_, read)) => read(&table, kind.item.at, faults),
        None => {
            faults.add("unknown-kind", kind.item.at, format!("there is no {what} `{name}`")).nearest(&name, names());
            None
        }
    }
}

fn read_weights(item: &Item, models: &[String], faults: &mut Faults) -> Vec<(String, Origin)> {
    let Some(table) = item.as_table() else {
        return vec![("*".to_string(), read_origin(item, faults))];
    };
    let mut out = Vec::new();
    let of_an_origin = |key: &str| ["stage", "file"].contains(&key) && !models.iter().any(|m| m == key);
    if let Some((key, entry)) = table.iter().find(|(key, _)| of_an_origin(key)) {
        faults
            .add("unknown-model", entry.key, format!("`weights` names models and registers, and there is none called `{key}`"))
            .help(format!("for all of them: weights = {{ \"*\" = {{ {key} = ... }} }}"));
        return vec![("*".to_string(), Origin::Initial)];
    }
    for (model, entry) in table.iter() {
        if model != "*" && !models.iter().any(|m| m == model) {
            faults
                .add("unknown-model", entry.key, format!("there is no model or register `{model}`"))
                .nearest(model, models.iter().map(String::as_str));
            // the one that was meant is not told as without an origin
            out.push(("*".to_string(), Origin::Initial));
        }
        out.push((model.to_string(), read_origin(&entry.item, faults)));
    }
    out
}

/// `"initial"`, a stage's name, or `{ stage, epoch }`. One at fault counts as given, lest it be told as missing too.
fn read_origin(item: &Item, faults: &mut Faults) -> Origin {
    match &item.value {
        Value::String(s) if s == "initial" => {}
        Value::String(s) => return Origin::Stage { stage: s.clone(), at: Checkpoint::Last },
        Value::Table(t) if t.get("file").is_some() => {
            let mut rest = t.clone();
            let file = rest.take("file").and_then(|e| kind_name(&e.item, "file", faults).map(String::from));
            let names = rest.take("names").map(|e| text_list(&e.item, "names", faults).into_iter().map(|(n, _)| n).collect());
            for (key, entry) in rest.iter() {
                faults.add("unknown-setting", entry.key, format!("weights from a file have no `{key}`")).nearest(key, ["file", "names"]);
            }
            if let Some(file) = file {
                return Origin::File { file: file.into(), names };
            }
        }
        Value::Table(t) => {
            #[derive(serde::Deserialize, schemars::JsonSchema)]
            #[serde(deny_unknown_fields)]
            struct FromStage {
                /// A stage that trains.
                stage: String,
                /// Completed epochs.
                epoch: Option<u64>,
                /// `best`: the checkpoint that the stage's `keep.best` chose.
                keep: Option<Kept>,
            }
            #[derive(Clone, Copy, serde::Deserialize, schemars::JsonSchema)]
            #[serde(rename_all = "snake_case")]
            enum Kept {
                Best,
            }
            if let Some(from) = settings::deserialise::<FromStage>(t, item.at, "weights", faults) {
                let at = match (from.epoch, from.keep) {
                    (Some(_), Some(_)) => {
                        faults.add("out-of-range", item.at, "weights come from an `epoch` or from what was kept (`keep`), not both");
                        Checkpoint::Last
                    }
                    (Some(epoch), None) => Checkpoint::Epoch(epoch),
                    (None, Some(Kept::Best)) => Checkpoint::Best,
                    (None, None) => Checkpoint::Last,
                };
                return Origin::Stage { stage: from.stage, at };
            }
        }
        _ => {
            faults.add(
                "wrong-type",
                item.at,
                "weights come from \"initial\", a stage's name, { stage = \"...\", epoch = N }, or { file = \"...\" }",
            );
        }
    }
    Origin::Initial
}
