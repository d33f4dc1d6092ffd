//! What differs between two experiments: the keys of their resolved graphs, and what follows from them in their plans.

mod facts;
mod keys;
mod tell;

use crate::plan::Plan;
use facts::Fact;
use indexmap::IndexMap;
pub use tell::{json, text};

/// One thing that differs: it is in one of the two only, or otherwise in each.
#[derive(Clone, Debug, PartialEq)]
pub enum Change<T> {
    Added(T),
    Removed(T),
    Changed(T, T),
}

/// Two plans' differences.
#[derive(Debug, PartialEq)]
pub struct Diff {
    /// Paths of keys, and values as TOML.
    pub keys: Vec<(String, Change<String>)>,
    /// By section (`nodes`, `passes`, `parameters`, ...): what it is about, and its facts where it has any.
    pub consequences: Vec<(&'static str, Vec<(String, Change<Fact>)>)>,
}

impl Diff {
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.consequences.is_empty()
    }
}

/// What changes from `a` to `b`.
pub fn diff(a: &Plan, b: &Plan) -> Diff {
    let keys = keys::diff(&keys::parsed(&a.resolved), &keys::parsed(&b.resolved));
    let (mut before, mut after) = (facts::facts(a), facts::facts(b));
    let mut consequences = Vec::new();
    for section in facts::SECTIONS {
        let changes = compared(before.swap_remove(section).unwrap_or_default(), after.swap_remove(section).unwrap_or_default());
        if !changes.is_empty() {
            consequences.push((*section, changes));
        }
    }
    Diff { keys, consequences }
}

/// In the order of the second, those that only the first has at the end.
fn compared(mut before: IndexMap<String, Fact>, after: IndexMap<String, Fact>) -> Vec<(String, Change<Fact>)> {
    let mut out = Vec::new();
    for (name, new) in after {
        match before.shift_remove(&name) {
            None => out.push((name, Change::Added(new))),
            Some(old) if old != new => out.push((name, Change::Changed(old, new))),
            Some(_) => {}
        }
    }
    out.extend(before.into_iter().map(|(name, old)| (name, Change::Removed(old))));
    out
}
