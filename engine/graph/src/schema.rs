//! What a schema asks of a value, in plain words, and every place where a value is something else.

use crate::fault::{unmeant, Faults};
use crate::range::Range;
use crate::source::At;
use crate::tree::{Item, Table, Value};
use serde_json::Value as Json;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// The schema of a type of settings. It is made once for all of a graph's nodes.
pub(crate) fn of<T: schemars::JsonSchema>() -> Rc<Json> {
    thread_local! {
        static MADE: RefCell<HashMap<&'static str, Rc<Json>>> = RefCell::default();
    }
    let make = || serde_json::to_value(schemars::SchemaGenerator::default().into_root_schema_for::<T>()).unwrap_or_default();
    MADE.with_borrow_mut(|made| Rc::clone(made.entry(std::any::type_name::<T>()).or_insert_with(|| Rc::new(make()))))
}

/// Reports every setting of a table that is unknown, missing, of another type or out of range; returns the keys at fault.
pub(crate) fn check_table(schema: &Json, table: &Table, at: At, what: &str, faults: &mut Faults) -> Vec<String> {
    Look { root: schema }.settings(schema, table, at, what, faults)
}

/// The same for one value.
pub(crate) fn check_value(schema: &Json, name: &str, item: &Item, faults: &mut Faults) -> bool {
    let before = faults.told();
    Look { root: schema }.value(schema, name, item, false, faults);
    faults.told() == before
}

/// What a value may be, in words: "an integer from 1 to 4096".
pub(crate) fn words(root: &Json, schema: &Json) -> String {
    Look { root }.words(schema, false)
}

#[derive(Clone, Copy)]
struct Look<'a> {
    /// Where references lead.
    root: &'a Json,
}

impl<'a> Look<'a> {
    fn settings(self, schema: &'a Json, table: &Table, at: At, what: &str, faults: &mut Faults) -> Vec<String> {
        let properties = schema.get("properties").and_then(Json::as_object);
        let known: Vec<&str> = properties.into_iter().flatten().map(|(k, _)| k.as_str()).collect();
        let mut bad = Vec::new();
        for (key, entry) in table.iter() {
            let before = faults.told();
            match properties.and_then(|p| p.get(key)) {
                Some(schema) => self.value(schema, key, &entry.item, false, faults),
                None => faults.add("unknown-setting", entry.key, no_setting(what, key)).nearest(key, known.iter().copied()),
            }
            if faults.told() > before {
                bad.push(key.to_string());
            }
        }
        let required = schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
        let missing = required.filter(|k| table.get(k).is_none()).collect();
        let unknown: Vec<&str> = table.keys().filter(|k| !known.contains(k)).collect();
        for key in unmeant(missing, &unknown) {
            let fault = faults.add("missing-setting", at, format!("`{what}` needs `{key}`"));
            if let Some(setting) = properties.and_then(|p| p.get(key)) {
                let doc = setting.get("description").and_then(Json::as_str).unwrap_or("").replace('\n', " ");
                fault.help(format!("{key}: {}. {doc}", self.words(setting, false)).trim_end().to_string());
            }
        }
        bad
    }

    /// `each`: the value is an element of what `name` names.
    fn value(self, schema: &'a Json, name: &str, item: &Item, each: bool, faults: &mut Faults) {
        let options = self.options(schema);
        let fitting: Vec<&Json> = options.iter().copied().filter(|o| self.fits_one(o, item)).collect();
        // what has the right type may still hold numbers out of range
        let meant = || fitting.iter().chain(&options).copied();
        let texts: Vec<&str> = options.iter().filter_map(|o| choices(o)).flatten().collect();
        let closed = !texts.is_empty() && options.iter().all(|o| choices(o).is_some());
        match &item.value {
            Value::Integer(_) | Value::Float(_) if !fitting.is_empty() => return out_of_range(&fitting, name, item, each, faults),
            Value::String(text) if closed && fitting.is_empty() => {
                let message = format!("`{name}` is {}, not \"{text}\"", self.words(schema, false));
                let fault = faults.add("unknown-choice", item.at, message);
                if let Some(near) = crate::fault::nearest(text, &texts) {
                    fault.help(format!("did you mean \"{near}\"?"));
                }
                return;
            }
            // inside of what can be looked into, the part at fault is reported
            Value::Array(list) => {
                if let Some(items) = meant().find(|o| is(o, "array") && right_length(o, list.len())).and_then(|o| o.get("items")) {
                    return list.iter().for_each(|i| self.value(items, name, i, true, faults));
                }
            }
            Value::Table(t) => {
                if let Some(table) = meant().find(|o| is(o, "object")) {
                    if table.get("properties").is_some() {
                        self.settings(table, t, item.at, name, faults);
                        return;
                    }
                    if let Some(values) = table.get("additionalProperties").filter(|v| v.is_object()) {
                        return t.iter().for_each(|(key, e)| self.value(values, &format!("{name}.{key}"), &e.item, false, faults));
                    }
                }
            }
            _ => {}
        }
        if !fitting.is_empty() {
            return;
        }
        let words = self.words(schema, each);
        faults.add("wrong-type", item.at, format!("`{name}` takes {words}, not {}", given(item)));
    }

    fn followed(self, schema: &'a Json) -> &'a Json {
        let target = schema.get("$ref").and_then(Json::as_str).and_then(|r| self.root.pointer(r.trim_start_matches('#')));
        target.map_or(schema, |t| self.followed(t))
    }

    /// The forms that a value may have; that it may be left out is no form.
    fn options(self, schema: &'a Json) -> Vec<&'a Json> {
        let schema = self.followed(schema);
        match schema.get("anyOf").or(schema.get("oneOf")).and_then(Json::as_array) {
            Some(list) => list.iter().flat_map(|o| self.options(o)).filter(|o| !is(o, "null")).collect(),
            None => vec![schema],
        }
    }

    /// Whether a value has the right type, whatever its range.
    fn fits(self, schema: &'a Json, item: &Item) -> bool {
        self.options(schema).iter().any(|o| self.fits_one(o, item))
    }

    fn fits_one(self, schema: &'a Json, item: &Item) -> bool {
        if let Some(value) = schema.get("const") {
            return plain(item).is_some_and(|p| p == *value);
        }
        if let (Some(list), None) = (schema.get("enum").and_then(Json::as_array), number(schema)) {
            return plain(item).is_some_and(|p| list.contains(&p));
        }
        match &item.value {
            Value::String(_) => is(schema, "string"),
            Value::Boolean(_) => is(schema, "boolean"),
            Value::Float(_) => is(schema, "number"),
            Value::Integer(_) => is(schema, "number") || is(schema, "integer"),
            Value::Array(list) => {
                is(schema, "array")
                    && right_length(schema, list.len())
                    && schema.get("items").is_none_or(|s| list.iter().all(|i| self.fits(s, i)))
            }
            Value::Table(t) => {
                let properties = schema.get("properties").and_then(Json::as_object);
                let required = schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
                let more = schema.get("additionalProperties");
                is(schema, "object")
                    && required.into_iter().all(|k| t.get(k).is_some())
                    && t.iter().all(|(k, e)| match (properties.and_then(|p| p.get(k)), more) {
                        (Some(s), _) => self.fits(s, &e.item),
                        (None, Some(Json::Bool(false))) => false,
                        (None, Some(s)) if s.is_object() => self.fits(s, &e.item),
                        _ => true,
                    })
            }
        }
    }

    /// What a value may be: "an integer from 1 to 4096"; of several, "integers from 1 to 4096".
    fn words(self, schema: &'a Json, several: bool) -> String {
        let forms = self.options(schema).into_iter().map(|o| self.form(o, several));
        let options: Vec<String> = forms.flat_map(|f| f.split(" or ").map(String::from).collect::<Vec<_>>()).collect();
        match options.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => options.concat(),
        }
    }

    fn form(self, schema: &'a Json, several: bool) -> String {
        let of = |one: &str, many: &str| if several { many.to_string() } else { one.to_string() };
        if let Some(value) = schema.get("const") {
            return value.to_string();
        }
        if let Some(list) = schema.get("enum").and_then(Json::as_array) {
            let list = || list.iter().map(Json::to_string).collect::<Vec<_>>();
            return match number(schema) {
                Some(_) if several => format!("numbers among {}", list().join(", ")),
                _ => list().join(" or "),
            };
        }
        if let Some(number) = number(schema) {
            let name = match number {
                "integer" => of("an integer", "integers"),
                _ => of("a float", "floats"),
            };
            return format!("{name} {}", Range::of(schema).words()).trim_end().to_string();
        }
        if is(schema, "array") {
            let each = schema.get("items").map_or("values".to_string(), |s| self.words(s, true));
            return of("an array", "arrays") + &format!(" of {}{each}", count(schema));
        }
        if is(schema, "object") {
            let values = schema.get("additionalProperties").filter(|v| v.is_object());
            return of("a table", "tables") + &values.map_or(String::new(), |s| format!(" of {}", self.words(s, true)));
        }
        match schema.get("type").and_then(Json::as_str).or_else(|| ["string", "boolean"].into_iter().find(|t| is(schema, t))) {
            Some("string") => of("a string", "strings"),
            Some("boolean") => "true or false".into(),
            _ => of("a value", "values"),
        }
    }
}

fn no_setting(what: &str, key: &str) -> String {
    format!("`{what}` has no setting `{key}`")
}

fn is(schema: &Json, name: &str) -> bool {
    match schema.get("type") {
        Some(Json::String(t)) => t == name,
        Some(Json::Array(list)) => list.iter().any(|t| t == name),
        // anything may stand there
        _ => name != "null" && schema.get("const").or(schema.get("enum")).is_none(),
    }
}

/// The strings that a form is closed to.
fn choices(schema: &Json) -> Option<Vec<&str>> {
    match schema.get("enum").and_then(Json::as_array) {
        Some(list) => list.iter().map(Json::as_str).collect(),
        None => Some(vec![schema.get("const")?.as_str()?]),
    }
}

/// A number that lies in none of the ranges that it may lie in.
fn out_of_range(forms: &[&Json], name: &str, item: &Item, each: bool, faults: &mut Faults) {
    let ranges: Vec<Range> = forms.iter().map(|f| Range::of(f)).collect();
    if ranges.iter().any(|r| r.holds(&item.value)) {
        return;
    }
    let words: Vec<String> = ranges.iter().map(Range::words).filter(|w| !w.is_empty()).collect();
    // without bounds of its own a number is still finite
    let words = if words.is_empty() { "finite".to_string() } else { words.join(" or ") };
    let (has, it) = if each { ("holds", "each") } else { ("is", "it") };
    faults.add("out-of-range", item.at, format!("`{name}` {has} {}: {it} must be {words}", given(item)));
}

/// Of a schema of numbers, which.
fn number(schema: &Json) -> Option<&'static str> {
    schema.get("type")?;
    ["integer", "number"].into_iter().find(|t| is(schema, t))
}

/// How many values an array takes, where that is bounded, before the word for them: "2 ", "1 to 64 ".
fn count(schema: &Json) -> String {
    match [schema.get("minItems"), schema.get("maxItems")] {
        [Some(least), Some(most)] if least == most => format!("{least} "),
        [Some(least), Some(most)] => format!("{least} to {most} "),
        [None, Some(most)] => format!("at most {most} "),
        [Some(least), None] => format!("at least {least} "),
        [None, None] => String::new(),
    }
}

fn right_length(schema: &Json, length: usize) -> bool {
    let bound = |key: &str| schema.get(key).and_then(Json::as_u64);
    bound("minItems").is_none_or(|n| length as u64 >= n) && bound("maxItems").is_none_or(|n| length as u64 <= n)
}

fn plain(item: &Item) -> Option<Json> {
    Some(match &item.value {
        Value::String(s) => Json::from(s.as_str()),
        Value::Integer(i) => Json::from(*i),
        Value::Float(f) => Json::from(*f),
        Value::Boolean(b) => Json::from(*b),
        _ => return None,
    })
}

/// A value in a few words, as a person would name it.
pub(crate) fn given(item: &Item) -> String {
    match &item.value {
        Value::String(s) if s.chars().count() > 40 => format!("the string \"{}...\"", s.chars().take(40).collect::<String>()),
        Value::String(s) => format!("the string \"{s}\""),
        Value::Integer(i) => i.to_string(),
        Value::Float(f) if f.is_nan() => "nan".into(),
        Value::Float(f) => format!("{f:?}"),
        Value::Boolean(b) => b.to_string(),
        Value::Array(list) if list.is_empty() => "an empty array".into(),
        Value::Array(list) if list.len() == 1 => "an array of one value".into(),
        Value::Array(list) => format!("an array of {} values", list.len()),
        Value::Table(_) => "a table".into(),
    }
}
