//! The draws of the published colour jitter, as a case may list them.

use crate::tensor::{Kind, Tensor};
use anyhow::{bail, ensure, Context, Result};
use serde_json::Value as Json;

/// One change of colours: factors of brightness, contrast, saturation and hue, and which comes when. None: nothing changed.
type Change = Option<([f64; 4], [f64; 4])>;

const NAMES: [&str; 4] = ["brightness", "contrast", "saturation", "hue"];

const NOTHING: ([f64; 4], [f64; 4]) = ([1.0, 1.0, 1.0, 0.0], [0.0, 1.0, 2.0, 3.0]);

fn four(json: &Json) -> Option<[f64; 4]> {
    let list: Vec<f64> = json.as_array()?.iter().filter_map(Json::as_f64).collect();
    list.try_into().ok()
}

/// Which change comes when: four places, or their names.
fn order(json: &Json) -> Option<[f64; 4]> {
    let place = |j: &Json| j.as_f64().or_else(|| Some(NAMES.iter().position(|n| Some(*n) == j.as_str())? as f64));
    let list: Vec<f64> = json.as_array()?.iter().map(place).collect::<Option<_>>()?;
    let list: [f64; 4] = list.try_into().ok()?;
    (0..4).all(|p| list.contains(&f64::from(p))).then_some(list)
}

fn factors(json: &Json) -> Option<[f64; 4]> {
    if json.as_array()?.len() != 4 || order(json).is_some() {
        return None;
    }
    four(json)
}

/// Whether a change is made: a truth, or a number that was compared with the threshold.
fn made(json: &Json, threshold: f64) -> Option<bool> {
    json.as_bool().or_else(|| json.as_f64().map(|u| u < threshold))
}

/// One change as a table: the factors (or one field each), the order, and whether it is made.
fn change(json: &Json, threshold: f64) -> Option<Change> {
    let fields = json.as_object()?;
    let single = |n: &&str| json.get(*n).or_else(|| json.get(format!("{n}_factor"))).and_then(Json::as_f64);
    let gate = |(key, value): (&String, &Json)| {
        let other = NAMES.iter().any(|n| key.starts_with(n)) || ["frame", "index", "seed", "consistent"].contains(&key.as_str());
        let told = value.as_u64().filter(|n| key.starts_with("appl") && *n < 2).map(|n| n == 1);
        told.or_else(|| made(value, threshold)).filter(|_| !other)
    };
    let told = fields.iter().find_map(gate);
    if told == Some(false) {
        return Some(None);
    }
    let list: Option<Vec<f64>> = NAMES.iter().map(single).collect();
    let factors = list.and_then(|l| l.try_into().ok()).or_else(|| fields.values().find_map(factors))?;
    Some(Some((factors, fields.values().find_map(order).unwrap_or(NOTHING.1))))
}

/// A list of each kind of draw: all orders, all factors, and what told whether a change is made.
fn streams(json: &Json, threshold: f64) -> Option<Vec<Change>> {
    let lists: Vec<(&String, &Vec<Json>)> = json.as_object()?.iter().filter_map(|(k, v)| Some((k, v.as_array()?))).collect();
    let all = |of: fn(&Json) -> Option<[f64; 4]>, l: &[Json]| l.iter().map(of).collect::<Option<Vec<_>>>().filter(|l| !l.is_empty());
    let orders = lists.iter().find_map(|(_, l)| all(order, l))?;
    let gates = |l: &[Json]| l.iter().map(|j| made(j, threshold)).collect::<Option<Vec<bool>>>();
    let named = |key: &str| key.starts_with("np") || key.starts_with("appl") || key.starts_with("p_");
    let told = lists.iter().find_map(|(k, l)| gates(l).filter(|_| named(k)));
    let told = told.or_else(|| lists.iter().find_map(|(_, l)| gates(l).filter(|g| g.len() != 4 * orders.len())));
    let flat = |l: &[Json]| -> Option<Vec<[f64; 4]>> {
        let numbers: Vec<f64> = l.iter().map(Json::as_f64).collect::<Option<_>>()?;
        (numbers.len() == 4 * orders.len()).then(|| numbers.chunks_exact(4).map(|c| [c[0], c[1], c[2], c[3]]).collect())
    };
    let factors = lists.iter().find_map(|(k, l)| all(factors, l).or_else(|| flat(l).filter(|_| !named(k))))?;
    let told = told.unwrap_or_else(|| vec![true; orders.len()]);
    let (mut next, aligned) = (0, told.len() == orders.len());
    let mut out = Vec::new();
    for (i, made) in told.into_iter().enumerate() {
        let place = if aligned { i } else { next };
        next += usize::from(made);
        out.push(if made { Some((*factors.get(place)?, *orders.get(place)?)) } else { None });
    }
    Some(out)
}

/// A list of calls in the order in which they were made.
fn called(list: &[Json], threshold: f64) -> Result<Vec<Change>> {
    let mut out: Vec<Change> = Vec::new();
    let mut factors = Vec::new();
    for draw in list {
        let value = draw.get("value").context("a draw has a value")?;
        let call = draw["call"].as_str().unwrap_or_default();
        if call.ends_with("shuffle") {
            let all: Vec<f64> = std::mem::take(&mut factors);
            let factors = all.try_into().ok().context("four factors come before an order")?;
            ensure!(!out.is_empty(), "an order that belongs to nothing");
            *out.last_mut().context("a change")? = Some((factors, four(value).context("an order of four")?));
        } else if call.starts_with("np.") || call.ends_with("random") {
            out.push(if value.as_f64().unwrap_or(1.0) < threshold { Some(NOTHING) } else { None });
        } else {
            factors.push(value.as_f64().context("a factor")?);
        }
    }
    Ok(out)
}

fn changes(json: &Json, threshold: f64) -> Result<Vec<Change>> {
    if let Some(list) = json.as_array() {
        if list.iter().any(|d| d.get("call").is_some()) {
            return called(list, threshold);
        }
        return Ok(list.iter().map(|j| changes(j, threshold)).collect::<Result<Vec<_>>>()?.concat());
    }
    let tables = |j: &&Json| j.as_array().is_some_and(|l| !l.is_empty() && l.iter().all(Json::is_object));
    if let Some(inner) = json.as_object().and_then(|o| o.values().find(tables)) {
        return changes(inner, threshold);
    }
    match streams(json, threshold).or_else(|| change(json, threshold).map(|one| vec![one])) {
        Some(all) => Ok(all),
        None => bail!("no draws of a colour jitter in {json}"),
    }
}

/// `factors` `[N, 4]`, `order` `[N, 4]` or `applied` `[N, 1]` of all changes.
pub fn draws(json: &Json, threshold: f64, what: &str) -> Result<Tensor> {
    let all = changes(json, threshold)?;
    let four = |kind, pick: &dyn Fn(&([f64; 4], [f64; 4])) -> [f64; 4]| {
        Tensor::new(kind, &[all.len(), 4], all.iter().flat_map(|c| pick(&c.unwrap_or(NOTHING))).collect())
    };
    Ok(match what {
        "factors" => four(Kind::Float, &|c| c.0),
        "order" => four(Kind::Index, &|c| c.1),
        "applied" => Tensor::new(Kind::Index, &[all.len(), 1], all.iter().map(|c| f64::from(u8::from(c.is_some()))).collect()),
        other => bail!("colour jitter draws no `{other}`"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tables_and_calls() {
        let table = json!([{ "factors": [1.3, 0.7, 1.5, 0.1], "order": [3, 2, 1, 0] }, { "applied": false }]);
        assert_eq!(draws(&table, 0.8, "applied").unwrap().values, [1.0, 0.0]);
        assert_eq!(draws(&table, 0.8, "order").unwrap().values, [3.0, 2.0, 1.0, 0.0, 0.0, 1.0, 2.0, 3.0]);
        let factor = |v: f64| json!({ "call": "random.uniform", "value": v });
        let calls = json!([
            { "call": "np.random.uniform", "value": 0.9 },
            { "call": "np.random.uniform", "value": 0.5 },
            factor(1.3), factor(0.7), factor(1.5), factor(0.1),
            { "call": "random.shuffle", "value": [1, 0, 3, 2] }
        ]);
        assert_eq!(draws(&calls, 0.8, "applied").unwrap().values, [0.0, 1.0]);
        assert_eq!(draws(&calls, 0.8, "factors").unwrap().values[4..], [1.3, 0.7, 1.5, 0.1]);
        assert!(draws(&json!({ "seed": 3 }), 0.8, "order").is_err());
        let lists = json!({ "np.random.uniform": [0.9, 0.1], "random.uniform": [1.3, 0.7, 1.5, 0.1], "random.shuffle": [[1, 0, 3, 2]] });
        assert_eq!(draws(&lists, 0.8, "applied").unwrap().values, [0.0, 1.0]);
        assert_eq!(draws(&lists, 0.8, "factors").unwrap().values[4..], [1.3, 0.7, 1.5, 0.1]);
        assert_eq!(draws(&lists, 0.8, "order").unwrap().values[4..], [1.0, 0.0, 3.0, 2.0]);
        let whole =
            json!({ "applied": [true, false], "factors": [[1.0, 1.0, 1.0, 0.1], [1, 1, 1, 0]], "orders": [[3, 0, 1, 2], [0, 1, 2, 3]] });
        assert_eq!(draws(&whole, 0.8, "applied").unwrap().values, [1.0, 0.0]);
        assert_eq!(draws(&whole, 0.8, "order").unwrap().values[..4], [3.0, 0.0, 1.0, 2.0]);
        let one = json!({ "p_draw": 0.3, "factors": [1.3, 0.7, 1.5, 0.1], "order": ["hue", "contrast", "brightness", "saturation"] });
        assert_eq!(draws(&one, 0.8, "order").unwrap().values, [3.0, 1.0, 0.0, 2.0]);
    }
}
