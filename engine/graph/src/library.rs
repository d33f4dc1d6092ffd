//! The kinds that graphs may name, found by their names.

use crate::kind::Entry;
use std::collections::HashMap;
use std::sync::OnceLock;

/// The kinds that graphs may name.
pub struct Library {
    entries: Vec<&'static Entry>,
    /// The first of each name.
    places: HashMap<&'static str, usize>,
    /// Names of each one's settings, made when they are first asked for.
    settings: Vec<OnceLock<Vec<String>>>,
}

impl Library {
    pub fn new(entries: impl IntoIterator<Item = &'static Entry>) -> Library {
        let entries: Vec<&'static Entry> = entries.into_iter().collect();
        let mut places = HashMap::new();
        for (i, entry) in entries.iter().enumerate() {
            places.entry(entry.name).or_insert(i);
        }
        Library { places, settings: entries.iter().map(|_| OnceLock::new()).collect(), entries }
    }
    pub fn get(&self, name: &str) -> Option<&'static Entry> {
        self.places.get(name).map(|i| self.entries[*i])
    }
    pub fn entries(&self) -> impl Iterator<Item = &'static Entry> + '_ {
        self.entries.iter().copied()
    }
    /// Names of a kind's settings.
    pub(crate) fn settings(&self, name: &str) -> &[String] {
        let Some(i) = self.places.get(name) else { return &[] };
        self.settings[*i].get_or_init(|| properties(&(self.entries[*i].schema)()))
    }
    /// Whether any kind has a setting of that name.
    pub(crate) fn has_setting(&self, setting: &str) -> bool {
        self.entries.iter().any(|e| self.settings(e.name).iter().any(|s| s == setting))
    }
}

/// Names of the settings that a schema describes.
pub(crate) fn properties(schema: &schemars::Schema) -> Vec<String> {
    schema.get("properties").and_then(|p| p.as_object()).map(|p| p.keys().cloned().collect()).unwrap_or_default()
}
