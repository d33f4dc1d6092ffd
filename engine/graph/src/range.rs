//! The range of a number, as the schema of its setting declares it: `minimum`, `maximum`, `exclusiveMinimum`, `exclusiveMaximum`, a
//! short `enum`, and `x-infinity` where `inf` stands for no limit (JSON has no such number).

use crate::tree::Value;
use serde_json::{Number, Value as Json};
use std::cmp::Ordering;

/// The keyword that allows `inf` beside a finite range.
pub(crate) const INFINITY: &str = "x-infinity";

/// A bound and whether the number itself lies outside.
#[derive(Clone, Copy)]
struct End<'a> {
    number: &'a Number,
    open: bool,
}

impl End<'_> {
    fn allows(self, order: Option<Ordering>, inside: Ordering) -> bool {
        order == Some(inside) || order == Some(Ordering::Equal) && !self.open
    }
}

/// What a number may be.
pub(crate) struct Range<'a> {
    /// Where only some numbers are meant.
    choices: Option<&'a Vec<Json>>,
    least: Option<End<'a>>,
    most: Option<End<'a>>,
    infinity: bool,
}

impl<'a> Range<'a> {
    pub fn of(schema: &'a Json) -> Range<'a> {
        let end = |closed: &str, open: &str| {
            let number = |key: &str| schema.get(key).and_then(Json::as_number);
            let open = number(open).map(|number| End { number, open: true });
            open.or(number(closed).map(|number| End { number, open: false }))
        };
        Range {
            choices: schema.get("enum").and_then(Json::as_array),
            least: end("minimum", "exclusiveMinimum"),
            most: end("maximum", "exclusiveMaximum"),
            infinity: schema.get(INFINITY).and_then(Json::as_bool).unwrap_or(false),
        }
    }

    /// Whether a number lies in the range. NaN lies in none.
    pub fn holds(&self, value: &Value) -> bool {
        if let Some(choices) = self.choices {
            return choices.iter().filter_map(Json::as_number).any(|c| order(value, c) == Some(Ordering::Equal));
        }
        match value {
            Value::Float(f) if !f.is_finite() => self.infinity && *f == f64::INFINITY,
            _ => {
                self.least.is_none_or(|end| end.allows(order(value, end.number), Ordering::Greater))
                    && self.most.is_none_or(|end| end.allows(order(value, end.number), Ordering::Less))
            }
        }
    }

    /// Whether both ends are known, and so how large a number can become.
    pub fn bounded(&self) -> bool {
        self.choices.is_some() || self.least.is_some() && (self.most.is_some() || self.infinity)
    }

    /// The largest absolute value, where both ends are known.
    fn reach(&self) -> Option<f64> {
        let ends = || [self.least, self.most].into_iter().map(|end| end?.number.as_f64());
        match self.choices {
            Some(list) => list.iter().map(|n| n.as_f64().map(f64::abs)).reduce(|a, b| Some(a?.max(b?)))?,
            None => ends().map(|n| n.map(f64::abs)).reduce(|a, b| Some(a?.max(b?)))?,
        }
    }

    /// "from 1 to 4096", "above 0 and at most 1000", "18 or 50"; empty where nothing is declared.
    pub fn words(&self) -> String {
        if let Some(choices) = self.choices {
            let names: Vec<String> = choices.iter().map(Json::to_string).collect();
            return match names.split_last() {
                Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
                _ => names.concat(),
            };
        }
        let from = self.least.is_some_and(|end| !end.open);
        let least = self.least.map(|end| format!("{} {}", if end.open { "above" } else { "from" }, plain(end.number)));
        let most = self.most.map(|end| {
            let to = match (from, end.open) {
                (true, false) => "to",
                (true, true) => "to below",
                (false, false) => "at most",
                (false, true) => "below",
            };
            format!("{to} {}", plain(end.number))
        });
        let ends = [least, most].into_iter().flatten().collect::<Vec<_>>().join(if from { " " } else { " and " });
        if self.infinity {
            ends + " or inf"
        } else {
            ends
        }
    }
}

/// How a value lies to a number; none where it is no number.
fn order(value: &Value, to: &Number) -> Option<Ordering> {
    match (value, to.as_i64()) {
        // not by way of floats, which know integers up to 53 bits
        (Value::Integer(i), Some(to)) => Some(i.cmp(&to)),
        (Value::Integer(i), None) => (*i as f64).partial_cmp(&to.as_f64()?),
        (Value::Float(f), _) => f.partial_cmp(&to.as_f64()?),
        _ => None,
    }
}

/// A bound as a person writes it: 0 and not 0.0.
fn plain(number: &Number) -> String {
    match number.as_i64() {
        Some(n) => n.to_string(),
        None => number.as_f64().map_or_else(|| number.to_string(), |f| f.to_string()),
    }
}

/// Integers stay within this, so that products of two, and sums of these, fit into 64 bits.
const INTEGER: f64 = (1u64 << 31) as f64;

/// Every number of a schema, at any depth, that has no least or no greatest value, or is an integer beyond 2^31: its path and what is wrong.
/// Anything at all may be a number too. The libraries' tests expect none.
pub fn unbounded(schema: &Json) -> Vec<String> {
    let mut found = Vec::new();
    look(schema, "", &mut found);
    found
}

fn look(schema: &Json, path: &str, found: &mut Vec<String>) {
    let Json::Object(map) = schema else {
        if schema == &Json::Bool(true) {
            found.push(format!("{path}: takes anything"));
        }
        return;
    };
    let types = match map.get("type") {
        Some(Json::Array(list)) => list.iter().filter_map(Json::as_str).collect(),
        other => other.and_then(Json::as_str).into_iter().collect::<Vec<_>>(),
    };
    let says = ["type", "const", "enum", "anyOf", "oneOf", "allOf", "$ref", "not"];
    if !says.iter().any(|key| map.contains_key(*key)) {
        found.push(format!("{path}: takes anything"));
    }
    if types.iter().any(|t| ["number", "integer"].contains(t)) && !map.contains_key("const") {
        let range = Range::of(schema);
        if !range.bounded() {
            found.push(format!("{path}: has no least or no greatest value"));
        } else if types.contains(&"integer") && range.reach().is_none_or(|n| n > INTEGER) {
            found.push(format!("{path}: an integer beyond 2^31"));
        }
    }
    for (key, inner) in map {
        match (key.as_str(), inner) {
            ("properties" | "$defs" | "definitions", Json::Object(entries)) => {
                entries.iter().for_each(|(name, entry)| look(entry, &format!("{path}/{name}"), found));
            }
            ("anyOf" | "oneOf" | "allOf" | "prefixItems", Json::Array(list)) => list.iter().for_each(|s| look(s, path, found)),
            ("items", Json::Array(list)) => list.iter().for_each(|s| look(s, &format!("{path}/each"), found)),
            ("items" | "additionalProperties", _) => look(inner, &format!("{path}/each"), found),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn holds(schema: &Json, value: Value) -> bool {
        Range::of(schema).holds(&value)
    }

    #[test]
    fn ends_belong_to_a_range_unless_they_are_exclusive() {
        let (closed, open) = (json!({ "minimum": 1, "maximum": 3 }), json!({ "exclusiveMinimum": 0.0, "exclusiveMaximum": 1.0 }));
        assert!([1, 2, 3].iter().all(|n| holds(&closed, Value::Integer(*n))) && ![0, 4].iter().any(|n| holds(&closed, Value::Integer(*n))));
        assert!(holds(&open, Value::Float(1e-300)) && holds(&open, Value::Float(0.999)));
        for bad in [Value::Float(0.0), Value::Float(1.0), Value::Integer(0), Value::Integer(1)] {
            assert!(!holds(&open, bad));
        }
        // type and range are two matters: a whole number is a float as well
        assert!(holds(&closed, Value::Float(1.0)) && !holds(&closed, Value::Float(0.999)));
    }

    #[test]
    fn what_is_not_finite_lies_in_no_range_but_where_infinity_is_a_value() {
        let (finite, limit) = (json!({ "minimum": 0.0, "maximum": 5.0 }), json!({ "minimum": 0.0, "maximum": 5.0, "x-infinity": true }));
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(!holds(&finite, Value::Float(odd)) && !holds(&json!({}), Value::Float(odd)), "{odd}");
            assert_eq!(holds(&limit, Value::Float(odd)), odd == f64::INFINITY);
        }
        assert!(!holds(&limit, Value::Float(6.0)));
    }

    #[test]
    fn integers_are_compared_exactly() {
        let schema = json!({ "minimum": 0, "maximum": i64::MAX - 1 });
        assert!(holds(&schema, Value::Integer(i64::MAX - 1)) && !holds(&schema, Value::Integer(i64::MAX)));
        assert!(!holds(&schema, Value::Integer(i64::MIN)));
    }

    #[test]
    fn ranges_in_words() {
        let words = |schema: Json| Range::of(&schema).words();
        assert_eq!(words(json!({ "minimum": 1, "maximum": 4096 })), "from 1 to 4096");
        assert_eq!(words(json!({ "minimum": 0.0, "maximum": 0.5 })), "from 0 to 0.5");
        assert_eq!(words(json!({ "minimum": 0.0, "exclusiveMaximum": 1.0 })), "from 0 to below 1");
        assert_eq!(words(json!({ "minimum": 0, "exclusiveMinimum": 0.0, "maximum": 1e6 })), "above 0 and at most 1000000");
        assert_eq!(words(json!({ "exclusiveMinimum": 0.0, "exclusiveMaximum": 1.0 })), "above 0 and below 1");
        assert_eq!(words(json!({ "minimum": 0.0, "maximum": 1e6, "x-infinity": true })), "from 0 to 1000000 or inf");
        assert_eq!(words(json!({ "enum": [1, 5, 10] })), "1, 5 or 10");
        assert_eq!((words(json!({ "minimum": 0 })), words(json!({}))), ("from 0".to_string(), String::new()));
    }

    #[test]
    fn numbers_without_bounds_are_found_at_any_depth() {
        let good = json!({ "type": "number", "minimum": 0, "maximum": 1 });
        let free = json!({ "type": "number", "minimum": 0 });
        let within = |inner: &Json| {
            json!({
                "properties": { "a": { "anyOf": [{ "const": false }, { "type": "array", "items": { "type": "object", "additionalProperties": inner } }] } },
                "$defs": { "B": { "oneOf": [{ "type": "object", "properties": { "b": inner } }] } },
                "type": "object",
                "additionalProperties": false,
            })
        };
        assert_eq!(unbounded(&within(&good)), [""; 0]);
        let found = unbounded(&within(&free));
        assert_eq!(found, ["/a/each/each: has no least or no greatest value", "/B/b: has no least or no greatest value"]);
        assert_eq!(unbounded(&json!({ "type": ["integer", "null"], "minimum": 0, "maximum": u64::MAX })), [": an integer beyond 2^31"]);
        assert_eq!(unbounded(&json!({ "type": "integer", "enum": [18, 50] })), [""; 0]);
        assert_eq!(
            unbounded(&json!({ "properties": { "a": true, "b": {} }, "type": "object" })),
            ["/a: takes anything", "/b: takes anything"]
        );
    }
}
