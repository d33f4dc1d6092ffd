//! `[values]`: what several nodes share.

use crate::budget::{Meter, DEPTH};
use crate::fault::{nearest, remove_help, unmeant, Faults};
use crate::source::{At, Sources};
use crate::tree::{Entry, Item, Table, Value};
use std::collections::BTreeSet;

/// Replaces `"$name"` by the value of that name; `"$$"` at the start of a string is a dollar.
pub(crate) fn substitute(tree: &mut Table, sources: &Sources, faults: &mut Faults) {
    let values = match tree.take("values") {
        None => Table::default(),
        Some(Entry { item: Item { value: Value::Table(t), .. }, .. }) => t,
        Some(entry) => {
            faults.add("wrong-type", entry.item.at, "`values` must be a table");
            Table::default()
        }
    };
    let mut meter = Meter::of_graph();
    // what is too large without its values was reported
    let _ = meter.table(tree);
    let mut fill = Fill { values: &values, used: BTreeSet::new(), unknown: BTreeSet::new(), open: Vec::new(), meter, faults };
    for (key, entry) in tree.0.iter_mut() {
        if !matches!(key.as_str(), "name" | "about" | "published") {
            fill.item(&mut entry.item);
        }
    }
    let (used, unknown) = (fill.used, fill.unknown);
    if faults.stopped() {
        return;
    }
    let unused: Vec<&str> = values.keys().filter(|key| !used.contains(*key)).collect();
    // one that a misspelt name was meant for is told there
    for key in unmeant(unused, &unknown.iter().map(String::as_str).collect::<Vec<_>>()) {
        let at = values.entry(key).map_or(At::default(), |e| e.key);
        let message = format!("nothing reads the value `{key}`");
        if sources.is_inherited(at) {
            faults.note("unused-value", at, message).help(remove_help("values", key));
            continue;
        }
        let fault = faults.add("unused-value", at, message);
        if fault.is_reported() {
            let others: Vec<&str> = values.keys().filter(|k| *k != key).collect();
            fault.help(match nearest(key, &others) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("write \"${key}\" where it is meant, or remove it"),
            });
        }
    }
}

struct Fill<'a> {
    values: &'a Table,
    used: BTreeSet<String>,
    /// Names that stand for no value.
    unknown: BTreeSet<String>,
    /// Values that are being filled in: a value may name others, never itself.
    open: Vec<String>,
    /// What the graph comes to.
    meter: Meter,
    faults: &'a mut Faults,
}

impl Fill<'_> {
    /// Whether all of it could be filled in. What could not is told once: nothing more about the places that name it.
    fn item(&mut self, item: &mut Item) -> bool {
        if self.faults.stopped() {
            return false;
        }
        let filled = match &mut item.value {
            Value::String(text) => match text.strip_prefix('$') {
                Some(rest) if rest.starts_with('$') => {
                    *text = rest.to_string();
                    true
                }
                Some(name) => {
                    let name = name.to_string();
                    match self.value(&name, item.at) {
                        Some((value, filled)) => {
                            // the place stays that of the use: that is where a fault of type is mended
                            item.value = value;
                            if let Some(entry) = self.values.entry(&name) {
                                self.faults.value(item.at, &name, entry.item.at);
                            }
                            filled
                        }
                        None => false,
                    }
                }
                None => true,
            },
            Value::Array(list) => self.items(list.iter_mut()),
            Value::Table(t) => self.items(t.0.values_mut().map(|e| &mut e.item)),
            _ => true,
        };
        if !filled {
            self.faults.excuse(item.at);
        }
        filled
    }

    /// Each of them, also after one that could not be filled in.
    fn items<'i>(&mut self, items: impl Iterator<Item = &'i mut Item>) -> bool {
        let mut all = true;
        for item in items {
            all &= self.item(item);
        }
        all
    }

    fn value(&mut self, name: &str, at: At) -> Option<(Value, bool)> {
        let Some(value) = self.values.get(name) else {
            self.unknown.insert(name.to_string());
            let fault = self.faults.add("unknown-value", at, format!("there is no value `{name}`"));
            match crate::experiment::is_name(name) {
                true => fault.nearest(name, self.values.keys()),
                false => fault.help("a string that begins with a dollar is written with two: \"$$...\""),
            }
            return None;
        };
        if self.open.iter().any(|n| n == name) {
            self.faults.add("value-cycle", at, format!("the value `{name}` is defined by itself"));
            return None;
        }
        self.used.insert(name.to_string());
        if self.faults.is_excused(value.at) {
            return None;
        }
        if self.open.len() >= DEPTH {
            self.faults.stop("too-many", at, format!("values lead into each other through more than {DEPTH} others"));
            return None;
        }
        if self.meter.item(value).is_err() {
            self.faults.stop("too-many", at, format!("with the value `{name}` the graph comes to {}", self.meter.words()));
            return None;
        }
        self.open.push(name.to_string());
        let mut value = value.clone();
        let filled = self.item(&mut value);
        self.open.pop();
        Some((value.value, filled))
    }
}
