//! `--set PATH=VALUE`, and a sweep's values: one change of the tree, before tables extend each other.

use crate::fault::Faults;
use crate::merge::merge;
use crate::source::{At, Sources, COMMAND_LINE};
use crate::tree::{self, Entry, Item, Table, Value};
use std::collections::BTreeSet;
use toml::de::{DeTable, DeValue};

/// One `--set PATH=VALUE`.
#[derive(Clone, Debug)]
pub struct Setting {
    pub path: String,
    pub value: String,
}

impl Setting {
    /// Splits at the first `=` outside of quotes.
    pub fn parse(text: &str) -> Option<Setting> {
        let mut quote = None;
        let i = text.char_indices().find(|(_, c)| {
            match (quote, c) {
                (None, '"' | '\'') => quote = Some(*c),
                (Some(q), c) if q == *c => quote = None,
                _ => {}
            }
            *c == '=' && quote.is_none()
        })?;
        let (path, value) = (text[..i.0].trim(), text[i.0 + 1..].trim());
        (!path.is_empty()).then(|| Setting { path: path.into(), value: value.into() })
    }
}

/// How a path is written.
pub(crate) const PATH: &str = "a path is a dotted TOML key, such as stages.pretrain.epochs; quote a part with other characters";

/// The parts of a dotted TOML key.
pub(crate) fn key_path(text: &str) -> Option<Vec<String>> {
    if text.contains('\n') || text.trim_start().starts_with('[') {
        return None;
    }
    let probe = format!("{text} = 0");
    let mut table = DeTable::parse(&probe).ok()?.into_inner();
    let mut parts = Vec::new();
    loop {
        let (key, value) = table.into_iter().next()?;
        parts.push(key.into_inner().into_owned());
        // the value must be the one that was added: `a = 1 #` is no key
        let own = value.span() == (probe.len() - 1..probe.len());
        match value.into_inner() {
            DeValue::Table(t) => table = t,
            _ => return own.then_some(parts),
        }
    }
}

/// One change of the tree at a path: a `--set`, or a value of a sweep's axis.
pub(crate) struct Change {
    /// As a fault names it.
    what: String,
    parts: Vec<String>,
    over: Table,
}

impl Change {
    pub(crate) fn of_setting(setting: &Setting, sources: &mut Sources, faults: &mut Faults) -> Option<Change> {
        let Some(parts) = key_path(&setting.path) else {
            let text = format!("{} = {}", setting.path, setting.value);
            let at = At { file: sources.add(COMMAND_LINE, &text), start: 0, end: setting.path.len() as u32 };
            faults.add("bad-path", at, format!("--set: `{}` is not a path", setting.path)).help(PATH);
            return None;
        };
        // VALUE is TOML, else a string; a number that is too large for TOML is reported as that
        let is_toml = DeTable::parse(&format!("v = {}", setting.value)).is_ok_and(|t| t.get_ref().len() == 1);
        let value = if is_toml { setting.value.clone() } else { toml::Value::String(setting.value.clone()).to_string() };
        let before = faults.told();
        let over = tree::parse(COMMAND_LINE, &format!("{} = {value}", setting.path), sources, faults);
        (faults.told() == before).then(|| Change { what: format!("--set {}", setting.path), parts, over })
    }

    /// The value at a path that stands at `key`.
    pub(crate) fn of_axis(path: &str, parts: &[String], key: At, value: Item) -> Change {
        let over = parts.iter().rev().fold(value, |item, part| {
            let entry = Entry { key, item };
            Item { at: key, value: Value::Table(Table([(part.clone(), entry)].into_iter().collect())) }
        });
        let Value::Table(over) = over.value else { unreachable!("a path has at least one part") };
        Change { what: format!("the sweep's axis `{path}`"), parts: parts.to_vec(), over }
    }

    pub(crate) fn starts_with(&self, key: &str) -> bool {
        self.parts[0] == key
    }

    /// The tables that the path leads through must be there: a new one would be a typo.
    pub(crate) fn apply(&self, tree: &mut Table, faults: &mut Faults) {
        let (mut places, mut step) = (vec![&*tree], &self.over);
        for part in &self.parts[..self.parts.len() - 1] {
            let Some(entry) = step.entry(part) else { break };
            let next = below(&places, part);
            if next.is_empty() {
                let known: BTreeSet<&str> = places.iter().flat_map(|t| t.keys()).collect();
                faults.add("set-missing", entry.key, format!("{}: there is no table `{part}`", self.what)).nearest(part, known);
                return;
            }
            places = next;
            match &entry.item.value {
                Value::Table(t) => step = t,
                _ => break,
            }
        }
        merge(tree, self.over.clone());
    }
}

/// The tables that stand at a key, those included that they extend and will be merged with.
fn below<'a>(places: &[&'a Table], key: &str) -> Vec<&'a Table> {
    let (mut found, mut open, mut seen) = (Vec::new(), vec![key], BTreeSet::new());
    while let Some(name) = open.pop() {
        if !seen.insert(name) {
            continue;
        }
        for table in places.iter().filter_map(|p| p.get(name)?.as_table()) {
            found.push(table);
            match table.get("extends").map(|i| &i.value) {
                Some(Value::String(s)) => open.push(s),
                Some(Value::Array(a)) => open.extend(a.iter().filter_map(|i| i.as_str())),
                _ => {}
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_splits_at_the_first_free_equals_sign() {
        let parsed = |t: &str| Setting::parse(t).map(|s| (s.path, s.value));
        assert_eq!(parsed("a.b=1"), Some(("a.b".into(), "1".into())));
        assert_eq!(parsed("a.\"x=y\".b = z=w"), Some(("a.\"x=y\".b".into(), "z=w".into())));
        assert_eq!(parsed("a.'x=y'=z"), Some(("a.'x=y'".into(), "z".into())));
        assert_eq!(parsed("a="), Some(("a".into(), "".into())));
        assert_eq!((parsed("=a"), parsed("a"), parsed("\"a=b")), (None, None, None));
    }

    #[test]
    fn a_path_is_a_key_and_nothing_else() {
        assert_eq!(key_path("a.\"b.c\" . d"), Some(vec!["a".into(), "b.c".into(), "d".into()]));
        for bad in ["", ".", "a.", "a b", "a = 1 #", "a = 1\nb", "[t]\na", "é", "a[0]", "a = {b"] {
            assert_eq!(key_path(bad), None, "{bad}");
        }
    }
}
