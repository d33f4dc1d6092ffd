//! Torch's form before 1.6: five pickles (a number that marks the form, its version, the machine, the value, the keys of the storages),
//! then the storages.

use std::collections::HashMap;
use std::fs::File;

use anyhow::{bail, ensure, Context, Result};

use super::dtype::element;
use super::pickle;
use super::source::{Place, Source, PICKLE};
use super::tensor;
use super::value::{Id, Node, Values};
use super::zip::bytes;

/// The pickle of the number 0x1950a86a20f9469cfc6c, behind its protocol.
const MAGIC: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

pub fn is(head: &[u8]) -> bool {
    head.first() == Some(&0x80) && head.get(2..).is_some_and(|rest| rest.starts_with(MAGIC))
}

/// That the machine which wrote the file had little-endian numbers.
pub fn check_machine(machine: &Values) -> Result<()> {
    let little = machine.get(machine.root, "little_endian").map(|id| machine.node(id));
    ensure!(little != Some(&Node::Bool(false)), "it was written on a big-endian machine: save it again on a little-endian one");
    Ok(())
}

pub fn open(file: File, length: u64) -> Result<Source> {
    let content = bytes(&file, length, 0, length.min(PICKLE))?;
    let mut at = 0;
    let mut next = |what: &str| {
        let (values, used) = pickle::read(&content[at..]).with_context(|| format!("the pickle of {what}, at byte {at}"))?;
        at += used;
        anyhow::Ok(values)
    };
    next("the form's mark")?;
    let version = next("the form's version")?;
    ensure!(version.int(version.root) == Some(1001), "the form's version is {}, not 1001", version.describe(version.root));
    check_machine(&next("the machine")?)?;
    let values = next("the values")?;
    let keys = next("the storages' keys")?;
    let at = at as u64;
    let places = places(&file, length, at, &values, &keys)?;
    Ok(Source { file, length, form: "torch legacy", values, places, tensors: HashMap::new() })
}

/// Each storage: the number of its elements, then these.
fn places(file: &File, length: u64, mut at: u64, values: &Values, keys: &Values) -> Result<HashMap<String, Place>> {
    let mut units = HashMap::new();
    for (id, node) in values.nodes.iter().enumerate() {
        if let Node::Persistent(_) = node {
            if let Ok(storage) = tensor::storage(values, id as Id) {
                units.insert(storage.key, storage.class);
            }
        }
    }
    let Some(keys_of) = keys.list(keys.root) else { bail!("the keys of its storages are not a list") };
    let mut places = HashMap::new();
    for id in keys_of {
        let key = keys.name(*id).context("the key of a storage is not text")?;
        let class = units.get(&key).with_context(|| format!("nothing says what the storage `{key}` holds"))?;
        let unit = element(class).with_context(|| format!("the storage `{key}` is of the unknown class {class}"))?;
        let head = bytes(file, length, at, 8).with_context(|| format!("the storage `{key}`"))?;
        let count = u64::from_le_bytes(*head.first_chunk().expect("8 bytes"));
        let size = count.checked_mul(unit).with_context(|| format!("the storage `{key}` claims {count} elements"))?;
        let end = (at + 8).checked_add(size).filter(|end| *end <= length);
        let end = end
            .with_context(|| format!("the file is truncated: the storage `{key}` of {size} bytes begins at byte {} of {length}", at + 8))?;
        if places.insert(key.clone(), Place { at: at + 8, length: size, entry: None }).is_some() {
            bail!("two storages have the key `{key}`");
        }
        at = end;
    }
    Ok(places)
}
