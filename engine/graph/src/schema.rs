//! What a schema asks of a value, in plain words, and every place where a value is something else.

use crate::fault::{unmeant, Faults};
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

/// Tells every setting of a table that is unknown, missing, or of another type; gives back the keys at fault.
pub(crate) fn check_table(schema: &Json, table: &Table, at: At, what: &str, faults: &mut Faults) -> Vec<String> {
    Look { root: schema }.settings(schema, table, at, what, faults)
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
            let doc = schema.pointer(&format!("/properties/{key}/description")).and_then(Json::as_str).unwrap_or("");
            let fault = faults.add("missing-setting", at, format!("`{what}` needs `{key}`"));
            if !doc.is_empty() {
                fault.help(format!("{key}: {}", doc.replace('\n', " ")));
            }
        }
        bad
    }

    /// `each`: the value is an element of what `name` names.
    fn value(self, schema: &'a Json, name: &str, item: &Item, each: bool, faults: &mut Faults) {
        let schema = self.followed(schema);
        if self.fits(schema, item) {
            return;
        }
        let options = self.options(schema);
        let texts: Vec<&str> = options.iter().filter_map(|o| choices(o)).flatten().collect();
        let closed = !texts.is_empty() && options.iter().all(|o| choices(o).is_some());
        match &item.value {
            Value::String(text) if closed => {
                let message = format!("`{name}` is {}, not \"{text}\"", self.words(schema, false));
                let fault = faults.add("unknown-choice", item.at, message);
                if let Some(near) = crate::fault::nearest(text, &texts) {
                    fault.help(format!("did you mean \"{near}\"?"));
                }
                return;
            }
            // inside of what can be looked into, the part at fault is told
            Value::Array(list) => {
                if let Some(array) = options.iter().find(|o| is(o, "array") && right_length(o, list.len())) {
                    if let Some(items) = array.get("items") {
                        return list.iter().for_each(|i| self.value(items, name, i, true, faults));
                    }
                }
            }
            Value::Table(t) => {
                if let Some(table) = options.iter().find(|o| is(o, "object")) {
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

    fn fits(self, schema: &'a Json, item: &Item) -> bool {
        self.options(schema).iter().any(|o| self.fits_one(o, item))
    }

    fn fits_one(self, schema: &'a Json, item: &Item) -> bool {
        if let Some(value) = schema.get("const") {
            return plain(item).is_some_and(|p| p == *value);
        }
        if let Some(list) = schema.get("enum").and_then(Json::as_array) {
            return plain(item).is_some_and(|p| list.contains(&p));
        }
        match &item.value {
            Value::String(_) => is(schema, "string"),
            Value::Boolean(_) => is(schema, "boolean"),
            Value::Float(_) => is(schema, "number"),
            Value::Integer(n) => is(schema, "number") || is(schema, "integer") && bounds(schema).0.is_none_or(|least| *n >= least),
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

    /// What a value may be: "an integer from 0"; of several, "integers from 0".
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
            return list.iter().map(Json::to_string).collect::<Vec<_>>().join(" or ");
        }
        if is(schema, "integer") {
            let range = match bounds(schema) {
                (Some(least), Some(most)) => format!(" from {least} to {most}"),
                (Some(least), None) => format!(" from {least}"),
                _ => String::new(),
            };
            return of("an integer", "integers") + &range;
        }
        if is(schema, "array") {
            let (count, each) = (schema.get("minItems").filter(|m| schema.get("maxItems") == Some(m)), schema.get("items"));
            let each = each.map_or("values".to_string(), |s| self.words(s, true));
            return match count {
                Some(n) => of("an array", "arrays") + &format!(" of {n} {each}"),
                None => of("an array", "arrays") + &format!(" of {each}"),
            };
        }
        if is(schema, "object") {
            let values = schema.get("additionalProperties").filter(|v| v.is_object());
            return of("a table", "tables") + &values.map_or(String::new(), |s| format!(" of {}", self.words(s, true)));
        }
        match schema.get("type").and_then(Json::as_str).or_else(|| ["number", "string", "boolean"].into_iter().find(|t| is(schema, t))) {
            Some("number") => of("a number", "numbers"),
            Some("string") => of("a text", "texts"),
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

/// The texts that a form is closed to.
fn choices(schema: &Json) -> Option<Vec<&str>> {
    match schema.get("enum").and_then(Json::as_array) {
        Some(list) => list.iter().map(Json::as_str).collect(),
        None => Some(vec![schema.get("const")?.as_str()?]),
    }
}

/// Least and most. The widest types of Rust are no bounds that a person would miss.
fn bounds(schema: &Json) -> (Option<i64>, Option<i64>) {
    let bound = |key: &str| schema.get(key).and_then(Json::as_f64).map(|n| n as i64);
    (bound("minimum"), bound("maximum").filter(|n| *n < i64::from(u32::MAX)))
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
        Value::String(s) if s.chars().count() > 40 => format!("the text \"{}...\"", s.chars().take(40).collect::<String>()),
        Value::String(s) => format!("the text \"{s}\""),
        Value::Integer(i) => i.to_string(),
        Value::Float(f) => format!("{f:?}"),
        Value::Boolean(b) => b.to_string(),
        Value::Array(list) if list.is_empty() => "an empty array".into(),
        Value::Array(list) if list.len() == 1 => "an array of one value".into(),
        Value::Array(list) => format!("an array of {} values", list.len()),
        Value::Table(_) => "a table".into(),
    }
}
