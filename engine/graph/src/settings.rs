//! Settings from a table: every fault of them in one pass.

use crate::de;
use crate::fault::Faults;
use crate::source::At;
use crate::tree::Table;

/// Deserialises the settings of `what`. Unknown, missing and ill-typed settings are all told.
pub fn deserialise<T: serde::de::DeserializeOwned + schemars::JsonSchema>(
    table: &Table,
    at: At,
    what: &str,
    faults: &mut Faults,
) -> Option<T> {
    // not by their count: in a group that is applied again they are all told already
    let mut faulty = false;
    let schema = schemars::SchemaGenerator::default().into_root_schema_for::<T>();
    let known: Vec<&str> = names(schema.get("properties").and_then(|p| p.as_object()).map(|p| p.keys()));
    let required: Vec<&str> =
        schema.get("required").and_then(|r| r.as_array()).map(|r| r.iter().filter_map(|v| v.as_str()).collect()).unwrap_or_default();
    let mut rest = table.clone();
    for (key, entry) in table.iter() {
        if !known.contains(&key) {
            faults.add("unknown-setting", entry.key, format!("`{what}` has no setting `{key}`")).nearest(key, known.iter().copied());
            rest.take(key);
            faulty = true;
        }
    }
    for key in &required {
        if table.get(key).is_none() {
            let doc = schema.pointer(&format!("/properties/{key}/description")).and_then(|d| d.as_str()).unwrap_or("");
            let fault = faults.add("missing-setting", at, format!("`{what}` needs `{key}`"));
            if !doc.is_empty() {
                fault.help(format!("{key}: {}", doc.replace('\n', " ")));
            }
            faulty = true;
        }
    }
    // serde stops at the first bad value: take it out, and look on
    loop {
        match de::from_table::<T>(&rest) {
            Ok(value) => return (!faulty).then_some(value),
            Err(error) => {
                let bad =
                    error.at.and_then(|at| rest.iter().find(|(_, e)| inside(at, e.item.at) || at == e.key).map(|(k, _)| k.to_string()));
                match bad {
                    Some(key) => {
                        let at = error.at.unwrap_or(at);
                        // a value that is not there stands here as its name
                        if !faults.iter().any(|f| f.code == "unknown-value" && f.at == at) {
                            faults.add("wrong-type", at, format!("`{key}`: {}", error.message));
                        }
                        rest.take(&key);
                        faulty = true;
                    }
                    // a field that is missing because it was taken out, or told above
                    None if faulty => return None,
                    None => {
                        faults.add("wrong-type", at, format!("`{what}`: {}", error.message));
                        return None;
                    }
                }
            }
        }
    }
}

fn inside(inner: At, outer: At) -> bool {
    inner.file == outer.file && inner.start >= outer.start && inner.end <= outer.end
}

fn names<'a>(keys: Option<impl Iterator<Item = &'a String>>) -> Vec<&'a str> {
    keys.map(|k| k.map(String::as_str).collect()).unwrap_or_default()
}

/// Where a kind tells what is wrong with its settings beyond their types.
pub struct SettingFaults<'a> {
    table: &'a Table,
    at: At,
    faults: &'a mut Faults,
}

impl<'a> SettingFaults<'a> {
    pub fn new(table: &'a Table, at: At, faults: &'a mut Faults) -> SettingFaults<'a> {
        SettingFaults { table, at, faults }
    }
    /// Tells a fault of one setting.
    pub fn add(&mut self, setting: &str, message: impl Into<String>) {
        let at = self.table.get(setting).map_or(self.at, |item| item.at);
        self.faults.add("out-of-range", at, format!("`{setting}`: {}", message.into()));
    }
    /// Tells the fault unless the condition holds.
    pub fn require(&mut self, holds: bool, setting: &str, message: &str) {
        if !holds {
            self.add(setting, message);
        }
    }
}
