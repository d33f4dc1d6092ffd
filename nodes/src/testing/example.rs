//! Settings and inputs with which a kind can be tried, made from what it declares.

use dv_graph::kind::{Entry, Inputs};
use dv_graph::port::{Axis, Dim, Port};
use dv_graph::ports::{Field, Holds};
use serde_json::Value;
use std::fmt::Write;

/// Settings as TOML and inputs, such that the kind accepts both.
pub struct Example {
    pub settings: String,
    pub inputs: Inputs,
}

/// An example of a kind. `None` where none is found: its test then has to bring one.
pub fn example(entry: &'static Entry) -> Option<Example> {
    let schema = serde_json::to_value((entry.schema)()).ok()?;
    // without item axes, then with one; the sizes of clips may be the reason too
    let attempts = [(0, 64), (4, 64)];
    for (items, side) in attempts {
        let settings = settings(&schema, items > 0);
        let inputs = inputs(entry, items, side);
        let (mut sources, mut faults) = (dv_graph::source::Sources::default(), dv_graph::fault::Faults::default());
        let table = dv_graph::tree::parse("example", &settings, &mut sources, &mut faults);
        let Some(kind) = (entry.build)(&table, dv_graph::source::At::default(), &mut faults) else { continue };
        if entry.ports(kind.as_any(), &inputs).is_ok() {
            return Some(Example { settings, inputs });
        }
    }
    None
}

/// Each required setting at a small value within its bounds.
fn settings(schema: &Value, items: bool) -> String {
    let required: Vec<&str> = schema["required"].as_array().map(|r| r.iter().filter_map(Value::as_str).collect()).unwrap_or_default();
    let mut text = String::new();
    for name in required {
        let _ = writeln!(text, "{name} = {}", value(&schema["properties"][name], schema, items));
    }
    text
}

fn value(schema: &Value, root: &Value, items: bool) -> String {
    if let Some(path) = schema["$ref"].as_str() {
        return value(root.pointer(path.trim_start_matches('#')).unwrap_or(&Value::Null), root, items);
    }
    for list in ["anyOf", "oneOf"] {
        if let Some(first) = schema[list].as_array().and_then(|list| list.first()) {
            return value(first, root, items);
        }
    }
    if let Some(only) = schema["enum"].as_array().and_then(|list| list.first()).or(schema.get("const")) {
        return only.to_string();
    }
    let number = |key: &str| schema[key].as_f64();
    let least = number("minimum").or(number("exclusiveMinimum")).unwrap_or(0.0);
    let most = number("maximum").or(number("exclusiveMaximum")).unwrap_or(f64::INFINITY);
    match schema["type"].as_str() {
        Some("boolean") => "true".into(),
        // nothing withheld, left out or skipped; of what there must be, four
        Some("integer") if least == 0.0 => "0".into(),
        Some("integer") => format!("{}", least.max(4.0).min(most)),
        Some("number") => format!("{:?}", (least + most.min(least + 1.0)) / 2.0),
        Some("string") => "\"x\"".into(),
        Some("array") => {
            // an array of names of item axes
            if schema["items"]["type"] == "string" {
                return if items { "[\"clip\"]".into() } else { "[]".into() };
            }
            let count = schema["minItems"].as_u64().unwrap_or(1).max(1) as usize;
            let item = match schema["items"]["type"].as_str() {
                Some("integer") if schema["items"].get("enum").is_none() => "1".into(),
                _ => value(&schema["items"], root, items),
            };
            format!("[{}]", vec![item; count].join(", "))
        }
        Some("object") => format!("{{ a = {} }}", value(&schema["additionalProperties"], root, items)),
        _ => "0".into(),
    }
}

/// The length behind a name in a declared shape.
fn length(word: &str, side: usize) -> Vec<Dim> {
    let known = |n: usize| vec![Dim::Known(n)];
    match word {
        "..." => known(16),
        "frames" => vec![Dim::Symbol("frames".into())],
        "T" => known(8),
        "H" | "W" => known(side),
        "N" => known(4),
        "classes" => known(5),
        number => known(number.parse().unwrap_or(16)),
    }
}

fn port(field: &Field, side: usize) -> Port {
    // all rows of a queue of series are series
    let words = field.shape.split_whitespace();
    let shape: Vec<Dim> = match field.shape {
        "K ..." => [12, 4, 16].map(Dim::Known).to_vec(),
        _ => words.flat_map(|word| length(word, side)).collect(),
    };
    match field.holds {
        Holds::Video => Port::video(shape),
        Holds::Bytes | Holds::Pixels => Port::bytes(shape),
        Holds::Float | Holds::Any => Port::float(shape),
        Holds::Index => Port::index(shape).with_range(Dim::Known(9)),
        Holds::Scalar => Port::scalar(),
        Holds::Whole => Port::whole(dv_graph::port::Type::Float, shape),
        Holds::Table => Port::table(shape),
    }
}

fn inputs(entry: &Entry, items: usize, side: usize) -> Inputs {
    let one = |(i, field): (usize, &Field)| {
        let mut port = port(field, side);
        if i == 0 && items > 0 {
            port.axes.push(Axis::counted("clip", items));
        }
        (if field.many() { "a".to_owned() } else { field.name.to_owned() }, port)
    };
    let written = entry.writes.iter().map(|field| (field.name.to_owned(), port(field, side)));
    Inputs::new(entry.inputs.iter().enumerate().map(one).collect()).with_written(written.collect())
}
