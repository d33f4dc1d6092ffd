//! The draws of the published colour jitter, as its case lists them: a gate for each clip or frame, and for each gate that is passed
//! four draws `[low, high, factor]` (brightness, contrast, saturation, hue) and the order in which the four come.

use crate::tensor::{Kind, Tensor};
use anyhow::{bail, ensure, Context, Result};
use serde_json::Value as Json;

/// Factors of brightness, contrast, saturation and hue, and which comes when.
type Change = ([f64; 4], [f64; 4]);

/// What stands where nothing is changed.
const NOTHING: Change = ([1.0, 1.0, 1.0, 0.0], [0.0, 1.0, 2.0, 3.0]);

/// One entry a gate; `None` where it was not passed.
fn changes(json: &Json, threshold: f64) -> Result<Vec<Option<Change>>> {
    let list = |key: &str| -> Result<Vec<Vec<f64>>> {
        serde_json::from_value(json[key].clone()).with_context(|| format!("no draws `{key}` of a colour jitter"))
    };
    let gates: Vec<f64> = serde_json::from_value(json["gate_draws"].clone()).context("no draws `gate_draws` of a colour jitter")?;
    let factors: Vec<f64> =
        list("factor_draws")?.iter().map(|draw| draw.get(2).copied().context("a draw has three numbers")).collect::<Result<_>>()?;
    let orders = list("orders")?;
    let passed = gates.iter().filter(|g| **g < threshold).count();
    ensure!(factors.len() == 4 * passed && orders.len() == passed, "{passed} changes, {} factors, {} orders", factors.len(), orders.len());
    let mut drawn = factors.chunks_exact(4).zip(&orders);
    let mut change = |gate: &f64| -> Result<Option<Change>> {
        if *gate >= threshold {
            return Ok(None);
        }
        let (factors, order) = drawn.next().context("a change that was counted")?;
        let order: [f64; 4] = order.as_slice().try_into().context("an order has four places")?;
        Ok(Some(([factors[0], factors[1], factors[2], factors[3]], order)))
    };
    gates.iter().map(&mut change).collect()
}

/// `factors` `[N, 4]`, `order` `[N, 4]` or `applied` `[N, 1]` of all gates.
pub fn draws(json: &Json, threshold: f64, what: &str) -> Result<Tensor> {
    let all = changes(json, threshold)?;
    let four = |kind, pick: &dyn Fn(&Change) -> [f64; 4]| {
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
    fn a_gate_that_is_passed_has_factors_and_an_order() {
        let draw = |v: f64| json!([0.2, 1.8, v]);
        let run =
            json!({ "gate_draws": [0.9, 0.3], "factor_draws": [draw(1.4), draw(0.6), draw(1.2), draw(-0.1)], "orders": [[2, 0, 3, 1]] });
        assert_eq!(draws(&run, 0.8, "applied").unwrap().values, [0.0, 1.0]);
        assert_eq!(draws(&run, 0.8, "factors").unwrap().values, [1.0, 1.0, 1.0, 0.0, 1.4, 0.6, 1.2, -0.1]);
        assert_eq!(draws(&run, 0.8, "order").unwrap().values[4..], [2.0, 0.0, 3.0, 1.0]);
        assert!(draws(&run, 0.95, "order").is_err());
        assert!(draws(&json!({ "seed": 3 }), 0.8, "order").is_err());
    }
}
