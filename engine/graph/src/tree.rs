//! TOML as a tree in which every key and value knows where it stands, also after files were merged.

use crate::fault::Faults;
use crate::source::{At, Sources};
use crate::syntax;
use indexmap::IndexMap;
use std::collections::BTreeSet;
use std::ops::Range;
use toml::de::{DeTable, DeValue};
use toml::Spanned;

#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub at: At,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    String(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Array(Vec<Item>),
    Table(Table),
}

/// Keys and what stands there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table(pub IndexMap<String, Entry>);

#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Where the key stands.
    pub key: At,
    pub item: Item,
}

impl Item {
    pub fn type_name(&self) -> &'static str {
        match self.value {
            Value::String(_) => "a string",
            Value::Integer(_) => "an integer",
            Value::Float(_) => "a float",
            Value::Boolean(_) => "a boolean",
            Value::Array(_) => "an array",
            Value::Table(_) => "a table",
        }
    }
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(s) => Some(s),
            _ => None,
        }
    }
    fn sort(&mut self) {
        match &mut self.value {
            Value::Array(list) => list.iter_mut().for_each(Item::sort),
            Value::Table(t) => t.sort(),
            _ => {}
        }
    }
    pub fn as_table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(t) => Some(t),
            _ => None,
        }
    }
}

impl Table {
    pub fn get(&self, key: &str) -> Option<&Item> {
        self.0.get(key).map(|e| &e.item)
    }
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.0.get(key)
    }
    /// Puts an entry in the place of the one of that key, or at the end.
    pub fn insert(&mut self, key: &str, entry: Entry) {
        self.0.insert(key.to_string(), entry);
    }
    pub fn take(&mut self, key: &str) -> Option<Entry> {
        self.0.shift_remove(key)
    }
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.0.iter().map(|(k, e)| (k.as_str(), e))
    }
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// Sorts the keys, here and below.
    pub fn sort(&mut self) {
        self.0.sort_unstable_keys();
        self.0.values_mut().for_each(|e| e.item.sort());
    }
    /// As TOML text again: what `graph.toml` of a run holds.
    pub fn to_toml(&self) -> String {
        toml::to_string(&plain_table(self)).expect("a tree of TOML values prints as TOML")
    }
}

fn plain_table(table: &Table) -> toml::Table {
    table.iter().map(|(k, e)| (k.to_string(), plain(&e.item))).collect()
}

fn plain(item: &Item) -> toml::Value {
    match &item.value {
        Value::String(s) => toml::Value::String(s.clone()),
        Value::Integer(i) => toml::Value::Integer(*i),
        Value::Float(f) => toml::Value::Float(*f),
        Value::Boolean(b) => toml::Value::Boolean(*b),
        Value::Array(a) => toml::Value::Array(a.iter().map(plain).collect()),
        Value::Table(t) => toml::Value::Table(plain_table(t)),
    }
}

/// Reads one text. Syntax faults are reported, several at once; what could be read comes back all the same.
pub fn parse(name: &str, text: &str, sources: &mut Sources, faults: &mut Faults) -> Table {
    let file = sources.add(name, text);
    let (table, errors) = DeTable::parse_recoverable(text);
    // one a line: what is left of it seems odd once more
    let quotes = if errors.is_empty() { Vec::new() } else { syntax::quotes(text) };
    let mut text_at =
        Text { file, ends: text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i).collect(), bad: BTreeSet::new() };
    for e in errors {
        let span = e.span().unwrap_or(0..0);
        if text_at.bad.insert(text_at.line(span.start)) {
            let (span, message) = syntax::explain(e.message(), &quotes, text, span);
            faults.add("syntax", place(file, &span), message);
            text_at.bad.insert(text_at.line(span.start));
        }
    }
    convert_table(table.into_inner(), &text_at, faults)
}

/// Where a text is read: its number, and its lines at fault.
struct Text {
    file: u32,
    /// Where each line ends, but the last.
    ends: Vec<usize>,
    bad: BTreeSet<usize>,
}

impl Text {
    /// The number of the line, from 0, in which a place lies.
    fn line(&self, at: usize) -> usize {
        self.ends.partition_point(|end| *end < at)
    }
    fn at_fault(&self, span: &Range<usize>) -> bool {
        !self.bad.is_empty() && self.bad.range(self.line(span.start)..=self.line(span.end)).next().is_some()
    }
}

fn place(file: u32, span: &Range<usize>) -> At {
    At { file, start: span.start as u32, end: span.end as u32 }
}

fn convert_table(table: DeTable<'_>, text: &Text, faults: &mut Faults) -> Table {
    let mut out = IndexMap::new();
    // the parser sorts keys; here they stand as the file has them
    let mut entries: Vec<_> = table.into_iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    for (key, value) in entries {
        let at = place(text.file, &key.span());
        let mut item = convert(value, text, faults);
        // the parser gives a value that it could not read no place: its key's is the nearest
        if item.at.start == item.at.end && text.at_fault(&key.span()) {
            item.at = at;
            faults.excuse(at);
        }
        out.insert(key.into_inner().into_owned(), Entry { key: at, item });
    }
    Table(out)
}

/// A value that is at fault keeps its place, so that it is not told as missing too.
fn convert(value: Spanned<DeValue<'_>>, text: &Text, faults: &mut Faults) -> Item {
    let span = value.span();
    let at = place(text.file, &span);
    // what was made of a line at fault is not what was meant
    if text.at_fault(&span) {
        faults.excuse(at);
    }
    let value = match value.into_inner() {
        DeValue::String(s) => Value::String(s.into_owned()),
        DeValue::Integer(i) => match i64::from_str_radix(i.as_str(), i.radix()) {
            Ok(i) => Value::Integer(i),
            Err(_) => {
                faults.add("wrong-type", at, format!("this integer is out of range: integers go from {} to {}", i64::MIN, i64::MAX));
                faults.excuse(at);
                Value::String(i.as_str().to_string())
            }
        },
        DeValue::Float(f) => match f.as_str().parse::<f64>() {
            Ok(n) if n.is_finite() || f.as_str().contains("inf") || f.as_str().contains("nan") => Value::Float(n),
            _ => {
                faults.add("wrong-type", at, format!("this number is out of range: floats go up to {:e}", f64::MAX));
                faults.excuse(at);
                Value::String(f.as_str().to_string())
            }
        },
        DeValue::Boolean(b) => Value::Boolean(b),
        DeValue::Array(a) => Value::Array(a.into_iter().map(|v| convert(v, text, faults)).collect()),
        DeValue::Table(t) => Value::Table(convert_table(t, text, faults)),
        DeValue::Datetime(d) => {
            faults.add("wrong-type", at, "a date is no value of a graph: put it in quotes to make it a string");
            faults.excuse(at);
            Value::String(d.to_string())
        }
    };
    Item { at, value }
}
