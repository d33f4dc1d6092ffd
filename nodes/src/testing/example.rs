//! Settings and inputs with which a kind can be tried, made from what it declares.

use dv_graph::fault::Faults;
use dv_graph::kind::{Entry, Inputs};
use dv_graph::port::{Axis, Dim, Port};
use dv_graph::ports::{Field, Holds};
use dv_graph::source::{At, Sources};
use dv_graph::tree;
use serde_json::Value;

/// Height and width of clips and maps: unlike, so that no rule can take one for the other.
const SIZE: [usize; 2] = [64, 80];

/// Settings as TOML and inputs, such that the kind accepts both.
pub struct Example {
    pub settings: String,
    pub inputs: Inputs,
}

/// An example of a kind. `None` where none is found: its test then has to bring one.
pub fn example(entry: &'static Entry) -> Option<Example> {
    examples(entry).into_iter().next()
}

/// The example, and one more for each other choice of a setting that is a choice of a few.
pub fn examples(entry: &'static Entry) -> Vec<Example> {
    let Ok(schema) = serde_json::to_value((entry.schema)()) else { return Vec::new() };
    // without item axes, then with one
    for items in [0, 4] {
        let first = settings(&schema, items > 0);
        let Some(example) = accepted(entry, &first, items) else { continue };
        let mut list = vec![example];
        for (i, (name, value)) in first.iter().enumerate() {
            for other in choices(&schema["properties"][name], &schema).into_iter().filter(|other| other != value) {
                let mut changed = first.clone();
                changed[i].1 = other;
                list.extend(accepted(entry, &changed, items));
            }
        }
        return list;
    }
    Vec::new()
}

/// The example with these settings, if the kind accepts it.
fn accepted(entry: &'static Entry, settings: &[(&str, String)], items: usize) -> Option<Example> {
    let lines = settings.iter().map(|(name, value)| format!("{name} = {value}\n"));
    let example = Example { settings: lines.collect(), inputs: inputs(entry, items) };
    let (mut sources, mut faults) = (Sources::default(), Faults::default());
    let table = tree::parse("example", &example.settings, &mut sources, &mut faults);
    let kind = (entry.build)(&table, At::default(), &mut faults)?;
    entry.ports(kind.as_any(), &example.inputs).ok().map(|_| example)
}

/// Each required setting at a small value within its bounds.
fn settings(schema: &Value, items: bool) -> Vec<(&str, String)> {
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    required.map(|name| (name, value(&schema["properties"][name], schema, items))).collect()
}

fn resolved<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(path) => root.pointer(path.trim_start_matches('#')).unwrap_or(&Value::Null),
        None => schema,
    }
}

/// The values of a setting that has only a few; none of another.
fn choices(schema: &Value, root: &Value) -> Vec<String> {
    let schema = resolved(schema, root);
    if schema["type"] == "boolean" {
        return vec!["true".into(), "false".into()];
    }
    let listed = |key: &str| schema[key].as_array().into_iter().flatten();
    let constants = listed("anyOf").chain(listed("oneOf")).filter_map(|one| one.get("const"));
    listed("enum").chain(constants).map(Value::to_string).collect()
}

fn value(schema: &Value, root: &Value, items: bool) -> String {
    let schema = resolved(schema, root);
    if let Some(only) = schema.get("const") {
        return only.to_string();
    }
    if let Some(first) = choices(schema, root).into_iter().next() {
        return first;
    }
    for list in ["anyOf", "oneOf"] {
        if let Some(first) = schema[list].as_array().and_then(|list| list.first()) {
            return value(first, root, items);
        }
    }
    let number = |key: &str| schema[key].as_f64();
    let least = number("minimum").or(number("exclusiveMinimum")).unwrap_or(0.0);
    let most = number("maximum").or(number("exclusiveMaximum")).unwrap_or(f64::INFINITY);
    match schema["type"].as_str() {
        // nothing withheld, left out or skipped; of what there must be, four
        Some("integer") if least == 0.0 => "0".into(),
        Some("integer") => format!("{}", least.max(4.0).min(most)),
        Some("number") => {
            // in the middle of the least unit that is not negative
            let least = if most > 0.0 { least.max(0.0) } else { least };
            format!("{:?}", (least + most.min(least + 1.0)) / 2.0)
        }
        Some("string") => "\"x\"".into(),
        Some("array") => {
            let item = &schema["items"];
            // an array of names of item axes
            if item["type"] == "string" {
                return if items { "[\"clip\"]".into() } else { "[]".into() };
            }
            let count = schema["minItems"].as_u64().unwrap_or(1).max(1);
            let bound = |key: &str, default| item[key].as_u64().unwrap_or(default);
            // of whole numbers each above the one before: the least and the greatest of something, or a length along each axis
            let one = |i: u64| match item["type"] == "integer" && item.get("enum").is_none() {
                true => (8 * (i + 1)).max(bound("minimum", 0)).min(bound("maximum", u64::MAX)).to_string(),
                false => value(item, root, items),
            };
            format!("[{}]", (0..count).map(one).collect::<Vec<_>>().join(", "))
        }
        Some("object") => format!("{{ a = {} }}", value(&schema["additionalProperties"], root, items)),
        _ => "0".into(),
    }
}

/// The length behind a name in a declared shape.
fn length(word: &str) -> Vec<Dim> {
    let known = |n: usize| vec![Dim::Known(n)];
    match word {
        "..." => known(16),
        "frames" => vec![Dim::Symbol("frames".into())],
        "T" => known(8),
        "H" => known(SIZE[0]),
        "W" => known(SIZE[1]),
        "N" => known(4),
        "classes" => known(5),
        number => known(number.parse().unwrap_or(16)),
    }
}

fn port(field: &Field) -> Port {
    // all rows of a queue of series are series
    let words = field.shape.split_whitespace();
    let shape: Vec<Dim> = match field.shape {
        "K ..." => [12, 4, 16].map(Dim::Known).to_vec(),
        _ => words.flat_map(length).collect(),
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

fn inputs(entry: &Entry, items: usize) -> Inputs {
    let one = |(i, field): (usize, &Field)| {
        let mut port = port(field);
        if i == 0 && items > 0 {
            port.axes.push(Axis::counted("clip", items));
        }
        (if field.many() { "a".to_owned() } else { field.name.to_owned() }, port)
    };
    let written = entry.writes.iter().map(|field| (field.name.to_owned(), port(field)));
    Inputs::new(entry.inputs.iter().enumerate().map(one).collect()).with_written(written.collect())
}
