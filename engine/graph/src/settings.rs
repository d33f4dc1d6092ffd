//! Settings from a table: every fault of them in one pass.

use crate::de;
use crate::fault::Faults;
use crate::schema;
use crate::source::At;
use crate::tree::{Item, Table, Value};

/// Deserialises the settings of `what`. Unknown, missing and ill-typed settings and numbers out of range are all reported.
pub fn deserialise<T: serde::de::DeserializeOwned + schemars::JsonSchema>(
    table: &Table,
    at: At,
    what: &str,
    faults: &mut Faults,
) -> Option<T> {
    let (value, whole) = read(table, at, what, faults);
    value.filter(|_| whole)
}

/// The same, with what remains when settings at fault are left out, where that is possible; and whether none was at fault.
pub(crate) fn read<T: serde::de::DeserializeOwned + schemars::JsonSchema>(
    table: &Table,
    at: At,
    what: &str,
    faults: &mut Faults,
) -> (Option<T>, bool) {
    let before = faults.told();
    let schema = schema::of::<T>();
    let mut rest = table.clone();
    for key in schema::check_table(&schema, table, at, what, faults) {
        rest.take(&key);
    }
    // what the schema does not say: serde stops at the first bad value, so it is taken out, and what is left looked at again
    loop {
        match de::from_table::<T>(&rest) {
            Ok(value) => return (Some(value), faults.told() == before),
            Err(error) => {
                let bad = error.at.and_then(|at| rest.iter().find(|(_, e)| at == e.key || holds(&e.item, at)).map(|(k, _)| k.to_string()));
                match bad {
                    Some(key) => {
                        faults.add("wrong-type", error.at.unwrap_or(at), format!("`{key}`: {}", error.message));
                        rest.take(&key);
                    }
                    // a field that is missing because it was taken out, or told above
                    None if faults.told() > before => return (None, false),
                    None => {
                        faults.add("wrong-type", at, format!("`{what}`: {}", error.message));
                        return (None, false);
                    }
                }
            }
        }
    }
}

/// Whether something in the item stands there. After a merge its parts may stand in other files than itself.
fn holds(item: &Item, at: At) -> bool {
    item.at == at
        || match &item.value {
            Value::Array(list) => list.iter().any(|i| holds(i, at)),
            Value::Table(t) => t.iter().any(|(_, e)| e.key == at || holds(&e.item, at)),
            _ => false,
        }
}

/// Where a kind reports what is wrong with its settings beyond their types and ranges, such as two that do not go together.
pub struct SettingFaults<'a> {
    table: &'a Table,
    at: At,
    faults: &'a mut Faults,
}

impl<'a> SettingFaults<'a> {
    pub fn new(table: &'a Table, at: At, faults: &'a mut Faults) -> SettingFaults<'a> {
        SettingFaults { table, at, faults }
    }
    /// Reports a fault of one setting, best in the words "must be ...".
    pub fn add(&mut self, setting: &str, message: impl Into<String>) {
        let (item, message) = (self.table.get(setting), message.into());
        let text = match item {
            Some(item) if message.starts_with("must ") => format!("`{setting}` is {}: it {message}", schema::given(item)),
            _ => format!("`{setting}`: {message}"),
        };
        self.faults.add("out-of-range", item.map_or(self.at, |item| item.at), text);
    }
    /// Reports the fault unless the condition holds.
    pub fn require(&mut self, holds: bool, setting: &str, message: &str) {
        // a value that breaks one rule is not measured by the next
        let at = self.table.get(setting).map_or(self.at, |item| item.at);
        let reported = self.table.get(setting).is_some() && self.faults.iter().any(|f| f.code == "out-of-range" && f.at == at);
        if !holds && !reported {
            self.add(setting, message);
        }
    }
}
