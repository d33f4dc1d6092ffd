//! Pieces that no graph computes: functions of dv's libraries.

use crate::tensor::{Kind, Tensor};
use anyhow::{bail, ensure, Context, Result};
use dv_datasets::{resize_rgb, Filter};
use dv_graph::schedule::Plateaued;
use dv_graph::stage::{Plateau, Schedule, Steps};
use serde_json::Value as Json;
use std::collections::BTreeMap;

use crate::expression::Value;

pub type Arguments = BTreeMap<String, Value>;

fn json<'a>(with: &'a Arguments, name: &str) -> Result<&'a Json> {
    match with.get(name) {
        Some(Value::Json(j)) => Ok(j),
        _ => bail!("the argument `{name}` is missing"),
    }
}

fn whole(with: &Arguments, name: &str) -> Result<u64> {
    json(with, name)?.as_u64().with_context(|| format!("`{name}` is a whole number"))
}

/// A function by its name in the map: its results by name.
pub fn run(name: &str, with: &Arguments) -> Result<BTreeMap<String, Tensor>> {
    let (output, tensor) = match name {
        "resize" => ("frame", resize(with)?),
        "schedule" => ("lr", schedule(with)?),
        "none" => return Ok(BTreeMap::new()),
        "place" => ("place", place(with)?),
        "held_out" => {
            let seed = u32::try_from(whole(with, "seed")?)?;
            let rows = dv_datasets::held_out(whole(with, "rows")? as usize, whole(with, "count")? as usize, seed);
            ("rows", Tensor::new(Kind::Index, &[rows.len()], rows.into_iter().map(|r| r as f64).collect()))
        }
        other => bail!("there is no function `{other}`"),
    };
    Ok(BTreeMap::from([(output.to_string(), tensor)]))
}

/// Which of several branches each draw in 0..1 takes.
fn place(with: &Arguments) -> Result<Tensor> {
    let draws: Vec<f64> = serde_json::from_value(json(with, "draws")?.clone())?;
    let weights: Vec<Vec<f64>> = serde_json::from_value(json(with, "weights")?.clone())?;
    ensure!(draws.len() == weights.len(), "{} draws, {} lists of weights", draws.len(), weights.len());
    let places = draws.iter().zip(&weights).map(|(draw, weights)| dv_graph::draw::place(*draw, weights) as f64).collect();
    Ok(Tensor::new(Kind::Index, &[draws.len()], places))
}

/// What packing does to a frame `[H, W, 3]`.
fn resize(with: &Arguments) -> Result<Tensor> {
    let Some(Value::Tensor(frame)) = with.get("frame") else { bail!("the argument `frame` is missing") };
    let size: Vec<usize> = serde_json::from_value(json(with, "size")?.clone()).context("`size` is [height, width]")?;
    let (height, width) = (*size.first().context("a height")?, *size.get(1).context("a width")?);
    ensure!(frame.shape.len() == 3, "a frame is [H, W, 3]");
    let bytes: Vec<u8> = frame.values.iter().map(|v| *v as u8).collect();
    let mut out = vec![0; height * width * 3];
    let filter = Filter::parse(json(with, "filter")?.as_str().unwrap_or_default())?;
    resize_rgb(&bytes, (frame.shape[0], frame.shape[1]), None, &mut out, (height, width), filter)?;
    Ok(Tensor::new(Kind::Byte, &[height, width, 3], out.into_iter().map(f64::from).collect()))
}

/// The metric that a plateau follows; its name tells that less is better.
const LOSS: &str = "validation.loss";

/// The learning rates of a published schedule over its epochs: `[published, dv's]`, one column an epoch.
fn schedule(with: &Arguments) -> Result<Tensor> {
    let s = json(with, "schedule")?;
    // what the case says in words only
    let settings = json(with, "settings").unwrap_or(&Json::Null);
    let number = |key: &str| s[key].as_f64().or(settings[key].as_f64()).with_context(|| format!("the schedule has no `{key}`"));
    let scheduler = s["scheduler"].as_str().unwrap_or("MultiStepLR");
    let plateau = scheduler.contains("Plateau");
    ensure!(
        plateau || scheduler.contains("MultiStepLR") || scheduler.contains("adjust_learning_rate"),
        "no schedule of dv is `{scheduler}`"
    );
    let schedule = if plateau {
        let patience = number("patience")? as u64;
        Schedule::Plateau(Plateau {
            on: LOSS.into(),
            factor: number("factor").or_else(|_| number("gamma"))?,
            patience,
            least: number("min_lr").ok(),
            goal: None,
        })
    } else {
        let at: Vec<u64> = serde_json::from_value(s["milestones"].clone()).context("milestones are epochs")?;
        Schedule::Steps(Steps { at, factor: number("gamma")? })
    };
    // what a plateau follows: a value for each epoch, or one for all of them
    let numbers = |json: &Json| match json {
        Json::Array(list) => list.iter().map(Json::as_f64).collect::<Option<Vec<f64>>>(),
        one => one.as_f64().map(|v| vec![v]),
    };
    let given = json(with, "loss").ok().and_then(numbers);
    let losses = given.or_else(|| ["val_losses", "val_loss", "losses", "loss", "metrics", "values"].iter().find_map(|k| numbers(&s[*k])));
    ensure!(!plateau || losses.as_ref().is_some_and(|l| !l.is_empty()), "the plateau has nothing to follow");
    let losses = losses.unwrap_or_default();
    let mut follower = Plateaued::new(&schedule);
    let first = s["first_epoch"].as_u64().unwrap_or(0);
    let epochs = number("epochs")? as u64;
    let changes = s["lr_changes"].as_array().context("no lr_changes")?;
    let (mut published, mut own, mut now) = (Vec::new(), Vec::new(), f64::NAN);
    for epoch in first..first + epochs {
        let change = changes.iter().find(|c| c["from"].as_u64() == Some(epoch));
        now = change.and_then(|c| c["lr"].as_f64()).unwrap_or(now);
        published.push(now);
        own.push(follower.rate(number("lr")?) * schedule.factor(epoch - first, 0, 1));
        if let Some(value) = losses.get((epoch - first) as usize).or(losses.last()) {
            follower.epoch(&[(LOSS.to_string(), *value)]);
        }
    }
    Ok(Tensor::new(Kind::Float, &[2, epochs as usize], [published, own].concat()))
}
