//! Faults of a graph: each with a code, a place, what was expected and the nearest name. All of a file are told at once.

use crate::source::{At, Sources};
use std::collections::HashMap;
use std::fmt::Write;

#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    pub code: &'static str,
    pub at: At,
    pub message: String,
    pub help: Option<String>,
    /// Of a sweep: in which of its points, where it is not in all.
    pub points: Option<String>,
    /// A note informs and does not fail the check.
    pub note: bool,
}

/// Faults in the order in which they were found; none is told twice, also of a group that is applied more than once.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    list: Vec<Fault>,
    told: usize,
    /// Places of which enough was said.
    excused: Vec<At>,
    unsaid: Option<Fault>,
    /// Places that name a value: what stands there is the value's.
    values: HashMap<At, (String, At)>,
}

/// Of these one is told at a place: a group that is applied again may fail there with other shapes.
const ONE_A_PLACE: &[&str] = &["item-axis", "shape", "unknown-item", "wrong-port-type", "wrong-rate"];

impl Faults {
    pub fn add(&mut self, code: &'static str, at: At, message: impl Into<String>) -> &mut Fault {
        self.push(Fault { code, at, message: message.into(), help: None, points: None, note: false })
    }
    pub fn note(&mut self, code: &'static str, at: At, message: impl Into<String>) -> &mut Fault {
        self.push(Fault { code, at, message: message.into(), help: None, points: None, note: true })
    }
    /// For what a later version brings.
    pub fn unsupported(&mut self, at: At, what: &str) {
        self.add("unsupported", at, format!("unsupported: {what}"));
    }
    fn push(&mut self, fault: Fault) -> &mut Fault {
        self.told += usize::from(!fault.note);
        if self.excused.contains(&fault.at) {
            return self.unsaid.insert(fault);
        }
        let same = self.list.iter().position(|f| f.is_same(&fault));
        let i = same.unwrap_or_else(|| {
            self.list.push(fault);
            self.list.len() - 1
        });
        &mut self.list[i]
    }
    /// What follows from a fault that was told: nothing more is told of this place.
    pub(crate) fn excuse(&mut self, at: At) {
        self.excused.push(at);
    }
    /// Whether enough was said of what stands there.
    pub(crate) fn is_excused(&self, at: At) -> bool {
        self.excused.contains(&at)
    }
    /// What stands at a place is the value of this name.
    pub(crate) fn value(&mut self, at: At, name: &str, value: At) {
        self.values.insert(at, (name.to_string(), value));
    }
    /// Where that which stands at a place is written: there, or where the value is declared that it names.
    pub(crate) fn written(&self, at: At) -> At {
        let mut written = at;
        // values that name each other in a circle have no place
        for _ in 0..self.values.len() {
            match self.values.get(&written) {
                Some((_, value)) => written = *value,
                None => break,
            }
        }
        written
    }
    /// Grows with each fault that is told, also with one that was told before: whether something was at fault since.
    pub(crate) fn told(&self) -> usize {
        self.told
    }
    /// Faults proper, notes not counted.
    pub fn len(&self) -> usize {
        self.list.iter().filter(|f| !f.note).count()
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.list.iter()
    }
    /// What was told since there were only these.
    pub(crate) fn since(&self, before: &Faults) -> &[Fault] {
        &self.list[before.list.len()..]
    }
    /// Takes a fault over, with its note or help, and the values that another list knows.
    pub(crate) fn take_over(&mut self, fault: Fault, of: &Faults) {
        self.values.extend(of.values.iter().map(|(at, v)| (*at, v.clone())));
        self.told += usize::from(!fault.note);
        self.list.push(fault);
    }
    pub(crate) fn retain(&mut self, keep: impl FnMut(&Fault) -> bool) {
        self.list.retain(keep);
    }
    /// All as text: `file:line:column: error[code]: message`, the line, a caret, the help.
    pub fn render(&self, sources: &Sources) -> String {
        let mut order: Vec<&Fault> = self.list.iter().collect();
        order.sort_by_key(|f| f.at);
        let mut out = String::new();
        for f in order {
            let (line, column) = sources.line_column(f.at);
            let (text, width) = sources.excerpt(f.at);
            let level = if f.note { "note" } else { "error" };
            let number = line.to_string();
            let pad = " ".repeat(number.len());
            // tabs stay tabs so that the caret stands below its text
            let lead: String = text.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            let _ = writeln!(out, "{}:{line}:{column}: {level}[{}]: {}", sources.name(f.at), f.code, f.message);
            let _ = writeln!(out, " {number} | {text}");
            let _ = writeln!(out, " {pad} | {lead}{}", "^".repeat(width));
            if let Some((name, at)) = self.values.get(&f.at) {
                let (line, column) = sources.line_column(*at);
                let _ = writeln!(out, " {pad} = the value `{name}` is declared at {}:{line}:{column}", sources.name(*at));
            }
            if let Some(points) = &f.points {
                let _ = writeln!(out, " {pad} = only {points}");
            }
            if let Some(help) = &f.help {
                let _ = writeln!(out, " {pad} = help: {help}");
            }
        }
        out
    }
}

/// Of more names than these only some are listed.
const MANY: usize = 24;
/// So many of them.
const SOME: usize = 10;

/// A message with `crop` for `view_0/crop`.
fn without_paths(message: &str) -> String {
    let parts = message.split('`').enumerate();
    parts.map(|(i, part)| if i % 2 == 1 { part.rsplit('/').next().unwrap_or(part) } else { part }).collect()
}

impl Fault {
    /// Whether the other says the same of the same place.
    pub(crate) fn is_same(&self, other: &Fault) -> bool {
        let message = || ONE_A_PLACE.contains(&self.code) || without_paths(&self.message) == without_paths(&other.message);
        self.code == other.code && self.at == other.at && message()
    }
    pub fn help(&mut self, help: impl Into<String>) {
        self.help = Some(help.into());
    }
    /// Names the nearest of the known names, or lists them when none is near.
    pub fn nearest<'a>(&mut self, wanted: &str, known: impl IntoIterator<Item = &'a str>) {
        let known: Vec<&str> = known.into_iter().collect();
        let family = wanted.split_once('/').map(|(family, _)| format!("{family}/"));
        let kin: Vec<&str> = known.iter().copied().filter(|k| family.as_ref().is_some_and(|f| k.starts_with(f))).collect();
        let list = |names: &[&str], between: &str| names.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(between);
        let near = nearest_all(wanted, &known);
        self.help = match near.len() {
            0 if known.is_empty() => None,
            0 if !kin.is_empty() && kin.len() <= MANY => Some(format!("available: {}", list(&kin, ", "))),
            0 if known.len() <= MANY => Some(format!("available: {}", list(&known, ", "))),
            0 => Some(format!("{} are available, for instance {}", known.len(), list(&known[..SOME], ", "))),
            n => Some(format!("did you mean {}?", list(&near[..n.min(3)], " or "))),
        };
    }
}

/// How a graph drops what it inherits and does not use.
pub(crate) fn remove_help(family: &str, name: &str) -> String {
    let name = if crate::experiment::is_name(name) { name.to_string() } else { toml::Value::String(name.to_string()).to_string() };
    format!("to drop it, write beside `extends`: remove = [{}]", toml::Value::String(format!("{family}.{name}")))
}

/// Of missing names, those that no unknown one was meant for: what is misspelt is told as that, and not as missing too.
pub(crate) fn unmeant<'a>(mut missing: Vec<&'a str>, unknown: &[&str]) -> Vec<&'a str> {
    for name in unknown {
        if let Some(meant) = nearest(name, &missing) {
            missing.retain(|m| *m != meant);
        }
    }
    missing
}

/// The known name that is nearest to a wanted one, if any is near enough to be meant.
pub fn nearest<'a>(wanted: &str, known: &[&'a str]) -> Option<&'a str> {
    nearest_all(wanted, known).first().copied()
}

/// All that are equally near, by their names.
pub(crate) fn nearest_all<'a>(wanted: &str, known: &[&'a str]) -> Vec<&'a str> {
    // names are written in small letters and with `_`
    let wanted = wanted.to_lowercase().replace('-', "_");
    let mut found: Vec<(usize, &str)> = known.iter().filter_map(|k| Some((distance(&wanted, k)?, *k))).collect();
    found.sort_unstable();
    found.dedup();
    let least = found.first().map_or(0, |(d, _)| *d);
    found.into_iter().filter(|(d, _)| *d == least).map(|(_, k)| k).collect()
}

/// How far a known name is from a wanted one; nothing where it is too far to be meant.
fn distance(wanted: &str, known: &str) -> Option<usize> {
    const WORD: usize = 4;
    let edits = strsim::damerau_levenshtein(wanted, known);
    // a known word with another behind it, `batch_size`, counts as two slips
    if known.len() >= WORD && wanted.strip_prefix(known).is_some_and(|rest| rest.starts_with('_')) {
        return Some(edits.min(2));
    }
    let longer = known.len().max(wanted.len());
    // of a single letter nothing would be left
    let close = edits <= (longer / 3).max(1) && edits < longer;
    let part = wanted.len() >= WORD && known.contains(wanted) || known.len() >= WORD && wanted.starts_with(known);
    (close || part).then_some(edits)
}
