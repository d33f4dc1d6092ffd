//! `map.toml`: which graph computes a family's numbers, and from what.

use anyhow::{bail, Context, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Map {
    /// Values that expressions name as `map.NAME.KEY`.
    #[serde(default)]
    pub map: serde_json::Value,
    pub family: Vec<Family>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Family {
    /// Names of cases; `{net}` stands for any text without `_`, and is a variable.
    pub cases: Vec<String>,
    /// Made one after the other.
    pub call: Vec<Call>,
}

/// One use of dv.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Call {
    /// Below `tests/parity/graphs`, and its stage: `dv probe`.
    pub graph: Option<String>,
    pub stage: Option<String>,
    pub mode: Option<String>,
    pub steps: Option<String>,
    /// In place of a graph: a function of dv's libraries.
    pub function: Option<String>,
    /// The function's arguments.
    pub with: BTreeMap<String, String>,
    /// Once for each element of this list, which is the `row`.
    pub each: Option<String>,
    /// Frames of the one video of a set whose frames show their numbers.
    pub video: Option<String>,
    /// Rows that have this are left out.
    pub unless: Option<String>,
    pub set: BTreeMap<String, String>,
    pub feed: BTreeMap<String, String>,
    /// Patterns of the case's names, and what dv calls them: `"*" = "encoder/*"`. Without it no weights are given.
    pub weights: Option<BTreeMap<String, String>>,
    /// Further weights.
    pub values: BTreeMap<String, String>,
    /// Fetch what the case's names `after.*`, `grad_norm:*` and `grad_sample:*` say.
    pub parameters: bool,
    /// The case's names and how their values come about; a name that starts with `_` is for later calls.
    pub give: BTreeMap<String, String>,
    /// For each row: a list of the case, and what must equal it.
    pub same: BTreeMap<String, String>,
}

/// Variables of a pattern in a name.
fn matched(pattern: &str, name: &str) -> Option<BTreeMap<String, String>> {
    let Some(open) = pattern.find('{') else { return (pattern == name).then(BTreeMap::new) };
    let close = open + pattern[open..].find('}')?;
    let (key, rest) = (&pattern[open + 1..close], &pattern[close + 1..]);
    let name = name.strip_prefix(&pattern[..open])?;
    // the longest text that leaves a match
    let longest = name.find('_').unwrap_or(name.len());
    (1..=longest).rev().filter(|n| name.is_char_boundary(*n)).find_map(|n| {
        let mut found = matched(rest, &name[n..])?;
        found.insert(key.to_string(), name[..n].to_string());
        Some(found)
    })
}

impl Map {
    pub fn read(path: &Path) -> Result<Map> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{}", path.display()))
    }
    /// The first family of that name, and the pattern's variables.
    pub fn family(&self, name: &str) -> Result<(&Family, BTreeMap<String, String>)> {
        let found = self.family.iter().find_map(|f| Some((f, f.cases.iter().find_map(|p| matched(p, name))?)));
        match found {
            Some(found) => Ok(found),
            None => bail!("no family in map.toml matches `{name}`"),
        }
    }
}

/// A name under the longest pattern that matches it: `linear.*` before `*`.
pub fn renamed(patterns: &BTreeMap<String, String>, name: &str) -> String {
    let fits = |p: &&String| match p.split_once('*') {
        Some((before, after)) => name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after),
        None => p.as_str() == name,
    };
    let Some(pattern) = patterns.keys().filter(fits).max_by_key(|p| p.len()) else { return name.to_string() };
    let middle = pattern.split_once('*').map_or("", |(before, after)| &name[before.len()..name.len() - after.len()]);
    patterns[pattern].replace('*', middle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_a_name() {
        let found = matched("a_{net}_{mode}", "a_r3d_eval").unwrap();
        assert_eq!((found["net"].as_str(), found["mode"].as_str()), ("r3d", "eval"));
        assert_eq!(matched("b_s{n}_theta{theta}", "b_s4_theta0.05").unwrap()["theta"], "0.05");
        assert!(matched("a_{net}", "a_r3d_eval").is_none() && matched("a_{net}", "a_").is_none());
        assert!(matched("a", "ab").is_none());
    }

    #[test]
    fn the_longest_pattern_names_a_weight() {
        let patterns = [("*", "encoder/*"), ("linear.*", "classifier/*")].map(|(a, b)| (a.to_string(), b.to_string())).into();
        assert_eq!(renamed(&patterns, "linear.bias"), "classifier/bias");
        assert_eq!(renamed(&patterns, "bn1.bias"), "encoder/bn1.bias");
    }
}
