//! Faults of a graph: each with a code, a place, what was expected and the nearest name. All of a file are reported at once, up to a
//! number that a person reads; further ones are counted.

use crate::budget::FAULTS;
use crate::source::{At, Sources};
use dv_datasets::text;
use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};

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
    /// The value that stands at its place, and where that is declared.
    value: Option<(String, At)>,
    /// Whether anybody will read it.
    reported: bool,
    /// Whether nothing was looked at after it.
    stops: bool,
}

/// Faults in the order in which they were found; none is reported twice, also of a group that is applied more than once.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// At most [`FAULTS`].
    list: Vec<Fault>,
    /// Hashes of all that were found: what says the same hashes alike.
    seen: HashSet<u64>,
    /// Those that are not in the list.
    more: usize,
    told: usize,
    /// Whether the graph asks for too much: nothing is expanded or planned any more.
    stopped: bool,
    /// Places of which enough was said.
    excused: HashSet<At>,
    /// Takes what is not reported.
    unsaid: Option<Fault>,
    /// Places that name a value: what stands there is the value's.
    values: HashMap<At, (String, At)>,
}

/// Of these one is reported at a place: a group that is applied again may fail there with other shapes.
const ONE_A_PLACE: &[&str] = &["item-axis", "shape", "too-large", "unknown-item", "wrong-port-type", "wrong-rate"];

impl Faults {
    pub fn add(&mut self, code: &'static str, at: At, message: impl Into<String>) -> &mut Fault {
        self.push(code, at, message.into(), false)
    }
    pub fn note(&mut self, code: &'static str, at: At, message: impl Into<String>) -> &mut Fault {
        self.push(code, at, message.into(), true)
    }
    /// For what a later version brings.
    pub fn unsupported(&mut self, at: At, what: &str) {
        self.add("unsupported", at, format!("unsupported: {what}"));
    }
    /// A graph that asks for too much: what follows would take too long, or fill the memory.
    pub(crate) fn stop(&mut self, code: &'static str, at: At, message: String) {
        if !std::mem::replace(&mut self.stopped, true) {
            // it is why the check ends, and so reported also after very many others
            let last = if self.is_full() { self.list.pop() } else { None };
            self.add(code, at, message).stops = true;
            self.list.extend(last);
        }
    }
    /// Whether nothing more is to be expanded or planned.
    pub(crate) fn stopped(&self) -> bool {
        self.stopped
    }
    /// Whether a further fault would only be counted.
    pub(crate) fn is_full(&self) -> bool {
        self.list.len() >= FAULTS
    }
    fn push(&mut self, code: &'static str, at: At, message: String, note: bool) -> &mut Fault {
        let mut fault =
            Fault { code, at, message: cut(message), help: None, points: None, note, value: None, reported: true, stops: false };
        self.told += usize::from(!note);
        if !self.excused.contains(&at) {
            let new = self.seen.insert(fault.key());
            if !new {
                if let Some(i) = self.list.iter().position(|f| f.is_same(&fault)) {
                    return &mut self.list[i];
                }
            } else if !self.is_full() {
                self.list.push(fault);
                let last = self.list.len() - 1;
                return &mut self.list[last];
            } else {
                self.more += usize::from(!note);
            }
        }
        fault.reported = false;
        self.unsaid.insert(fault)
    }
    /// What follows from a fault that was reported: nothing more is reported of this place.
    pub(crate) fn excuse(&mut self, at: At) {
        self.excused.insert(at);
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
    /// Grows with each fault that is found, also with one that was found before: whether something was at fault since.
    pub(crate) fn told(&self) -> usize {
        self.told
    }
    /// Faults proper, notes not counted.
    pub fn len(&self) -> usize {
        self.list.iter().filter(|f| !f.note).count() + self.more
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Those that are reported in full.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.list.iter()
    }
    /// What was found since there were only these: the faults that are reported, with the values at their places, and how many more.
    pub(crate) fn since(&self, before: &Faults) -> (Vec<Fault>, usize) {
        let with_value = |f: &Fault| Fault { value: self.values.get(&f.at).cloned(), ..f.clone() };
        (self.list[before.list.len()..].iter().map(with_value).collect(), self.more - before.more)
    }
    /// Takes a fault over as it is.
    pub(crate) fn take_over(&mut self, fault: Fault) {
        self.told += usize::from(!fault.note);
        if self.is_full() && !fault.stops {
            self.more += usize::from(!fault.note);
        } else {
            self.list.push(fault);
        }
    }
    /// Adds all of another list.
    pub(crate) fn append(&mut self, other: Faults) {
        for fault in other.list {
            let new = self.push(fault.code, fault.at, fault.message, fault.note);
            fault.help.into_iter().for_each(|help| new.help(help));
        }
        self.count_more(other.more);
    }
    /// Counts faults that are not reported in full.
    pub(crate) fn count_more(&mut self, more: usize) {
        (self.more, self.told) = (self.more + more, self.told + more);
    }
    pub(crate) fn retain(&mut self, keep: impl FnMut(&Fault) -> bool) {
        self.list.retain(keep);
    }
    /// All as text: `file:line:column: error[code]: message`, the line, a caret, the help. Whatever stands in the graph, each of these is
    /// one line that any terminal can show.
    pub fn render(&self, sources: &Sources) -> String {
        let mut order: Vec<&Fault> = self.list.iter().collect();
        order.sort_by_key(|f| f.at);
        let mut out = String::new();
        let mut put = |line: String| {
            let _ = writeln!(out, "{}", text::line(&line));
        };
        for f in order {
            let (line, column) = sources.line_column(f.at);
            let level = if f.note { "note" } else { "error" };
            let number = line.to_string();
            let pad = " ".repeat(number.len());
            let (excerpt, caret) = sources.excerpt(f.at);
            put(format!("{}:{line}:{column}: {level}[{}]: {}", sources.name(f.at), f.code, f.message));
            put(format!(" {number} | {excerpt}"));
            put(format!(" {pad} | {caret}"));
            if let Some((name, at)) = f.value.as_ref().or_else(|| self.values.get(&f.at)) {
                let (line, column) = sources.line_column(*at);
                put(cut(format!(" {pad} = the value `{name}` is declared at {}:{line}:{column}", sources.name(*at))));
            }
            if let Some(points) = &f.points {
                put(format!(" {pad} = only {points}"));
            }
            if let Some(help) = &f.help {
                put(format!(" {pad} = help: {help}"));
            }
        }
        if self.more > 0 {
            put(format!("and {} more", crate::show::thousands(self.more)));
        }
        out
    }
}

/// Of more names than these only some are listed.
const MANY: usize = 24;
/// So many of them.
const SOME: usize = 10;
/// Among more names than these, and among longer ones, none is looked for that may be meant.
const MOST_NAMES: usize = 1000;
const LONGEST_NAME: usize = 100;
/// Longer messages are cut: a person reads no more of them.
const LONGEST_MESSAGE: usize = 500;

fn cut(mut message: String) -> String {
    if let Some((i, _)) = message.char_indices().nth(LONGEST_MESSAGE) {
        message.truncate(i);
        message.push_str("...");
    }
    message
}

/// A message with `crop` for `view_0/crop`.
fn without_paths(message: &str) -> String {
    let parts = message.split('`').enumerate();
    parts.map(|(i, part)| if i % 2 == 1 { part.rsplit('/').next().unwrap_or(part) } else { part }).collect()
}

impl Fault {
    /// What faults have in common that say the same of the same place.
    pub(crate) fn key(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.code, self.at).hash(&mut hasher);
        if !ONE_A_PLACE.contains(&self.code) {
            without_paths(&self.message).hash(&mut hasher);
        }
        hasher.finish()
    }
    /// Whether the other says the same of the same place.
    fn is_same(&self, other: &Fault) -> bool {
        self.code == other.code && self.at == other.at && self.key() == other.key()
    }
    /// Whether anybody will read it: where not, nothing need be looked for that could help.
    pub(crate) fn is_reported(&self) -> bool {
        self.reported
    }
    pub fn help(&mut self, help: impl Into<String>) {
        if self.reported {
            self.help = Some(cut(help.into()));
        }
    }
    /// Names the nearest of the known names, or lists them when none is near.
    pub fn nearest<'a>(&mut self, wanted: &str, known: impl IntoIterator<Item = &'a str>) {
        if !self.reported {
            return;
        }
        let known: Vec<&str> = known.into_iter().collect();
        let family = wanted.split_once('/').map(|(family, _)| format!("{family}/"));
        let kin: Vec<&str> = known.iter().copied().filter(|k| family.as_ref().is_some_and(|f| k.starts_with(f))).collect();
        let list = |names: &[&str], between: &str| names.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(between);
        let near = nearest_all(wanted, &known);
        let help = match near.len() {
            0 if known.is_empty() => None,
            0 if !kin.is_empty() && kin.len() <= MANY => Some(format!("available: {}", list(&kin, ", "))),
            0 if known.len() <= MANY => Some(format!("available: {}", list(&known, ", "))),
            0 => Some(format!("{} are available, for instance {}", known.len(), list(&known[..SOME], ", "))),
            n => Some(format!("did you mean {}?", list(&near[..n.min(3)], " or "))),
        };
        self.help = help.map(cut);
    }
}

/// How a graph drops what it inherits and does not use.
pub(crate) fn remove_help(family: &str, name: &str) -> String {
    let name = if crate::experiment::is_name(name) { name.to_string() } else { toml::Value::String(name.to_string()).to_string() };
    format!("to drop it, write beside `extends`: remove = [{}]", toml::Value::String(format!("{family}.{name}")))
}

/// Of missing names, those that no unknown one was meant for: what is misspelt is told as that, and not as missing too.
pub(crate) fn unmeant<'a>(mut missing: Vec<&'a str>, unknown: &[&str]) -> Vec<&'a str> {
    for name in unknown.iter().take(FAULTS) {
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
    if wanted.len() > LONGEST_NAME {
        return Vec::new();
    }
    // names are written in small letters and with `_`
    let wanted = wanted.to_lowercase().replace('-', "_");
    let looked_at = known.iter().take(MOST_NAMES).filter(|k| k.len() <= LONGEST_NAME);
    let mut found: Vec<(usize, &str)> = looked_at.filter_map(|k| Some((distance(&wanted, k)?, *k))).collect();
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
