//! `[values]`: what several nodes share.

use crate::fault::{nearest, Faults};
use crate::tree::{Entry, Item, Table, Value};
use std::collections::BTreeSet;

/// Replaces `"$name"` by the value of that name; `"$$"` at the start of a text is a dollar.
pub(crate) fn substitute(tree: &mut Table, faults: &mut Faults) {
    let values = match tree.take("values") {
        None => Table::default(),
        Some(Entry { item: Item { value: Value::Table(t), .. }, .. }) => t,
        Some(entry) => {
            faults.add("wrong-type", entry.item.at, "`values` is a table");
            Table::default()
        }
    };
    let mut fill = Fill { values: &values, used: BTreeSet::new(), open: Vec::new(), faults };
    for (key, entry) in tree.0.iter_mut() {
        if !matches!(key.as_str(), "name" | "about" | "published") {
            fill.item(&mut entry.item);
        }
    }
    let used = std::mem::take(&mut fill.used);
    for (key, entry) in values.iter() {
        if !used.contains(key) {
            let others: Vec<&str> = values.keys().filter(|k| *k != key).collect();
            let help = match nearest(key, &others) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("write \"${key}\" where it is meant, or take it out"),
            };
            faults.add("unused-value", entry.key, format!("nothing reads the value `{key}`")).help(help);
        }
    }
}

struct Fill<'a> {
    values: &'a Table,
    used: BTreeSet<String>,
    /// Values that are being filled in: a value may name others, never itself.
    open: Vec<String>,
    faults: &'a mut Faults,
}

impl Fill<'_> {
    fn item(&mut self, item: &mut Item) {
        match &mut item.value {
            Value::String(text) => {
                if let Some(rest) = text.strip_prefix("$$") {
                    *text = format!("${rest}");
                } else if let Some(name) = text.strip_prefix('$') {
                    let Some(value) = self.values.get(name) else {
                        let fault = self.faults.add("unknown-value", item.at, format!("there is no value `{name}`"));
                        fault.nearest(name, self.values.keys());
                        return;
                    };
                    if self.open.iter().any(|n| n == name) {
                        self.faults.add("value-cycle", item.at, format!("the value `{name}` is made of itself"));
                        return;
                    }
                    self.used.insert(name.to_string());
                    self.open.push(name.to_string());
                    let mut value = value.clone();
                    self.item(&mut value);
                    self.open.pop();
                    // the place stays that of the use: that is where a fault of type is mended
                    item.value = value.value;
                }
            }
            Value::Array(list) => list.iter_mut().for_each(|i| self.item(i)),
            Value::Table(t) => t.0.values_mut().for_each(|e| self.item(&mut e.item)),
            _ => {}
        }
    }
}
