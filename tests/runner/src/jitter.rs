//! The draws of the published colour jitter, as a case may list them.

use crate::tensor::{Kind, Tensor};
use anyhow::{bail, ensure, Context, Result};
use serde_json::Value as Json;

/// One change of colours: factors of brightness, contrast, saturation and hue, and which comes when. None: nothing changed.
type Change = Option<([f64; 4], [f64; 4])>;

const NOTHING: ([f64; 4], [f64; 4]) = ([1.0, 1.0, 1.0, 0.0], [0.0, 1.0, 2.0, 3.0]);

fn four(json: &Json) -> Option<[f64; 4]> {
    let list: Vec<f64> = json.as_array()?.iter().filter_map(Json::as_f64).collect();
    list.try_into().ok()
}

fn number(json: &Json) -> Option<f64> {
    json.as_f64().or_else(|| json.as_bool().map(|b| f64::from(u8::from(b))))
}

/// One change as a table: `factors` (or one field each), `order`, and either `applied` or the number that was compared with
/// the threshold.
fn change(json: &Json, threshold: f64) -> Option<Change> {
    let field = |names: &[&str]| names.iter().find_map(|n| json.get(n));
    let named = ["brightness", "contrast", "saturation", "hue"];
    let single = |n: &str| json.get(n).or_else(|| json.get(format!("{n}_factor"))).and_then(Json::as_f64);
    let applied = match field(&["applied", "apply"]).and_then(number) {
        Some(applied) => applied != 0.0,
        None => field(&["uniform", "draw", "np_uniform", "threshold_draw"]).and_then(number).is_none_or(|u| u < threshold),
    };
    if !applied {
        return Some(None);
    }
    let factors = field(&["factors", "bcsh"]).and_then(four).or_else(|| {
        let list: Vec<f64> = named.iter().filter_map(|n| single(n)).collect();
        list.try_into().ok()
    })?;
    let order = field(&["order", "shuffle", "permutation", "indices"]).and_then(four).unwrap_or(NOTHING.1);
    Some(Some((factors, order)))
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
    if let Some(one) = change(json, threshold) {
        return Ok(vec![one]);
    }
    match ["draws", "frames", "list"].iter().find_map(|k| json.get(k)) {
        Some(inner) => changes(inner, threshold),
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
    }
}
