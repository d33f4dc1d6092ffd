//! Which dictionary of a checkpoint is the state dict, and which of its entries are tensors.

use std::collections::HashSet;

use anyhow::{bail, ensure, Context, Result};

use super::source::Source;
use super::tensor::{tensor, unread, View};
use super::value::{Id, Node};

/// Keys under which programs keep a model's state dict, the likeliest first.
const KEYS: [&str; 8] = ["state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "weights"];
/// Dictionaries within dictionaries.
const DEPTH: usize = 8;
/// Entries of a dictionary that are looked at to find the state dict.
const LOOKED_AT: usize = 1000;
/// Tensors of a state dict; the longest name.
const TENSORS: usize = 100_000;
const NAME: usize = 1000;
/// The values of all tensors may be so many times the file's bytes, since several may have one storage.
const LARGER: u64 = 4;
const SMALL: u64 = 16_000_000;

/// What is taken of a checkpoint.
#[derive(Debug)]
pub struct Chosen {
    /// The keys that lead to the state dict; none where it is the checkpoint itself.
    pub keys: Vec<String>,
    /// In the order of the state dict.
    pub tensors: Vec<(String, View)>,
    /// Entries that are left out, and what they are.
    pub left_out: Vec<(String, String)>,
}

/// Finds the state dict and reads what its tensors are. `key`: where the user says that it lies, with dots between keys.
pub fn choose(source: &Source, key: Option<&str>, preferred: Option<&str>) -> Result<Chosen> {
    let values = &source.values;
    let mut chosen = Chosen { keys: Vec::new(), tensors: Vec::new(), left_out: Vec::new() };
    let mut at = values.root;
    match key {
        Some(path) => {
            for part in path.split('.') {
                let next = values.get(at, part);
                beside(source, at, &[&chosen.keys[..], &[part.to_string()]].concat(), &mut chosen.left_out);
                at = next.with_context(|| format!("there is no `{part}` in {}; its keys: {}", named(&chosen.keys), keys_of(source, at)))?;
                chosen.keys.push(part.to_string());
            }
        }
        None => {
            loop {
                ensure!(chosen.keys.len() < DEPTH, "no state dict within {DEPTH} dictionaries");
                // a wrapper may hold tensors beside the state dict
                let known = preferred.into_iter().chain(KEYS).find_map(|key| Some((key.to_string(), values.get(at, key)?)));
                let (key, next) = match known.filter(|(_, next)| has_tensors(source, *next)) {
                    Some(known) => known,
                    None if has_tensors(source, at) => break,
                    None => inner(source, at, preferred, &chosen.keys)?,
                };
                chosen.keys.push(key);
                beside(source, at, &chosen.keys, &mut chosen.left_out);
                at = next;
            }
        }
    }
    ensure!(values.dict(at).is_some(), "{} is {}, not a state dict", named(&chosen.keys), values.describe(at));
    let mut path = Vec::new();
    flatten(source, at, "", &mut path, &mut chosen)?;
    ensure!(!chosen.tensors.is_empty(), "{} has no tensors; its keys: {}", named(&chosen.keys), keys_of(source, at));
    let mut seen = HashSet::new();
    for (name, _) in &chosen.tensors {
        ensure!(seen.insert(name.as_str()), "two entries have the name `{name}`");
    }
    let bytes = chosen.tensors.iter().try_fold(0u64, |sum, (_, t)| sum.checked_add(t.count()?.checked_mul(t.dtype.bytes)?));
    let most = source.length.saturating_mul(LARGER).saturating_add(SMALL);
    ensure!(
        bytes.is_some_and(|bytes| bytes <= most),
        "its tensors have more than {most} bytes, {LARGER} times the file's: they are views that repeat one storage"
    );
    Ok(chosen)
}

fn named(keys: &[String]) -> String {
    match keys {
        [] => "the checkpoint".into(),
        keys => format!("`{}`", keys.join(".")),
    }
}

/// The keys of a dictionary, for errors.
fn keys_of(source: &Source, dict: Id) -> String {
    let keys: Vec<String> = source.values.dict(dict).unwrap_or_default().iter().filter_map(|(k, _)| source.values.name(*k)).collect();
    let more = if keys.len() > 12 { format!(", and {} more", keys.len() - 12) } else { String::new() };
    match keys.len() {
        0 => "none".into(),
        _ => format!("{}{more}", keys[..keys.len().min(12)].join(", ")),
    }
}

fn has_tensors(source: &Source, dict: Id) -> bool {
    source.values.dict(dict).unwrap_or_default().iter().take(LOOKED_AT).any(|(_, value)| is_tensor(source, *value))
}

/// Whether a value is a tensor of the sort that is read, whatever is wrong with it.
fn is_tensor(source: &Source, id: Id) -> bool {
    tensor(source, id).is_some() && unread(source, id).is_none()
}

/// The one entry of a dictionary that may lead to the state dict.
fn inner(source: &Source, at: Id, preferred: Option<&str>, keys: &[String]) -> Result<(String, Id)> {
    let values = &source.values;
    let Some(items) = values.dict(at) else {
        let what = values.describe(at);
        if matches!(values.node(at), Node::Object { .. }) && keys.is_empty() {
            bail!("it holds {what}, not a state dict: save it with torch.save(model.state_dict(), PATH)");
        }
        bail!("{} is {what}, not a state dict", named(keys));
    };
    for key in preferred.into_iter().chain(KEYS) {
        if let Some(next) = values.get(at, key).filter(|next| values.dict(*next).is_some()) {
            return Ok((key.to_string(), next));
        }
    }
    let fitting: Vec<(String, Id)> =
        items.iter().take(LOOKED_AT).filter(|(_, v)| has_tensors(source, *v)).filter_map(|(k, v)| Some((values.name(*k)?, *v))).collect();
    match &fitting[..] {
        [one] => Ok(one.clone()),
        [] => bail!("no state dict is found in {}; its keys: {}", named(keys), keys_of(source, at)),
        several => {
            let list: Vec<&str> = several.iter().map(|(k, _)| k.as_str()).collect();
            bail!("several entries of {} hold tensors: {}; choose one with --key", named(keys), list.join(", "))
        }
    }
}

/// What lies beside the key that is taken.
fn beside(source: &Source, dict: Id, taken: &[String], left_out: &mut Vec<(String, String)>) {
    let Some((last, before)) = taken.split_last() else { return };
    for (key, value) in source.values.dict(dict).unwrap_or_default() {
        let name = source.values.name(*key).unwrap_or_else(|| source.values.describe(*key));
        if name != *last && left_out.len() < TENSORS {
            left_out.push(([before, &[name]].concat().join("."), source.values.describe(*value)));
        }
    }
}

/// The tensors of a dictionary and of those in it, with dots between names.
fn flatten(source: &Source, dict: Id, prefix: &str, path: &mut Vec<Id>, chosen: &mut Chosen) -> Result<()> {
    let values = &source.values;
    ensure!(path.len() < DEPTH, "dictionaries are nested deeper than {DEPTH} in `{prefix}`");
    path.push(dict);
    for (key, value) in values.dict(dict).unwrap_or_default() {
        let Some(name) = values.name(*key) else {
            chosen.left_out.push((format!("{prefix}{}", values.describe(*key)), "its name is not text".into()));
            continue;
        };
        ensure!(prefix.len() + name.len() <= NAME, "the name of a tensor is longer than {NAME} bytes");
        let full = format!("{prefix}{name}");
        ensure!(chosen.tensors.len() + chosen.left_out.len() < TENSORS, "more than {TENSORS} entries");
        match tensor(source, *value) {
            Some(view) => {
                let view = view.with_context(|| format!("the tensor `{full}`"))?;
                chosen.tensors.push((full, view));
            }
            None if path.contains(value) => chosen.left_out.push((full, "a dictionary that holds itself".into())),
            None if values.dict(*value).is_some_and(|d| !d.is_empty()) => flatten(source, *value, &format!("{full}."), path, chosen)?,
            None => chosen.left_out.push((full, values.describe(*value))),
        }
    }
    path.pop();
    Ok(())
}
