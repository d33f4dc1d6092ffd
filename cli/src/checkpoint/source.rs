//! A checkpoint's file: its container, what its pickle describes, and where its storages lie.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use anyhow::{bail, ensure, Context, Result};
use dv_datasets::file;

use super::tensor::View;
use super::value::{Id, Node, Values};
use super::zip::{self, Entry};
use super::{legacy, pickle, tar};

/// The largest pickle that is read: names, sizes and settings, not the tensors' values.
pub const PICKLE: u64 = 64_000_000;

/// Where a storage's bytes lie.
#[derive(Clone, Debug)]
pub struct Place {
    pub at: u64,
    pub length: u64,
    /// In a zip archive, with its checksum.
    pub entry: Option<(String, Entry)>,
}

/// An opened checkpoint.
pub struct Source {
    pub file: File,
    pub length: u64,
    /// `torch zip`, `torch legacy`, `torch tar`.
    pub form: &'static str,
    pub values: Values,
    pub places: HashMap<String, Place>,
    /// In the tar form: tensors by the number that the pickle has for them.
    pub tensors: HashMap<String, View>,
}

const ZIP: &[u8] = b"PK\x03\x04";
/// What other files begin with, and what to do about them.
const OTHERS: [(&[u8], &str); 6] = [
    (b"\x1f\x8b", "it is compressed by gzip: unpack it with gunzip"),
    (b"\xfd7zXZ", "it is compressed by xz: unpack it with unxz"),
    (b"\x28\xb5\x2f\xfd", "it is compressed by zstd: unpack it with unzstd"),
    (b"\x89HDF", "it is an HDF5 file, as Keras writes them"),
    (b"version https://git-lfs", "it is a pointer of Git LFS, not the file itself: fetch it with `git lfs pull`"),
    (b"<", "it is a web page, not the file itself: download it again"),
];

impl Source {
    pub fn open(path: &Path) -> Result<Source> {
        let file = file::open(path)?;
        let length = file.metadata()?.len();
        let head = zip::bytes(&file, length, 0, length.min(512))?;
        if head.is_empty() {
            bail!("it is empty");
        }
        if head.starts_with(ZIP) {
            return zipped(file, length);
        }
        if legacy::is(&head) {
            return legacy::open(file, length);
        }
        if tar::is(&head) {
            return tar::open(file, length);
        }
        let header = head.first_chunk::<8>().map(|n| u64::from_le_bytes(*n));
        if header.is_some_and(|n| n < length) && head.get(8) == Some(&b'{') {
            bail!("it is a safetensors file already: name it in the graph's `weights`");
        }
        let start: &[u8] = head.trim_ascii_start();
        if let Some((_, what)) = OTHERS.iter().find(|(magic, _)| start.starts_with(magic)) {
            bail!("{what}");
        }
        bail!("it is no checkpoint of PyTorch: neither torch's zip form, nor its older pickle or tar form")
    }

    /// The bytes of a storage, compared with its checksum where the file has one.
    pub fn storage(&self, key: &str) -> Result<Vec<u8>> {
        let place = self.places.get(key).with_context(|| format!("the file has no storage `{key}`"))?;
        match &place.entry {
            Some((name, entry)) => entry.read(&self.file, self.length, name),
            None => zip::bytes(&self.file, self.length, place.at, place.length),
        }
    }

    /// The tensor of the tar form that a persistent value names.
    pub fn named(&self, id: Id) -> Option<Result<View>> {
        let Node::Persistent(key) = self.values.node(id) else { return None };
        self.tensors.get(&self.values.name(*key)?).cloned().map(Ok)
    }
}

fn zipped(file: File, length: u64) -> Result<Source> {
    let entries = zip::entries(&file, length)?;
    let mut roots = entries.keys().filter_map(|name| name.strip_suffix("data.pkl")).filter(|root| root.is_empty() || root.ends_with('/'));
    let root = roots.next().map(String::from);
    let several = roots.next().is_some();
    let Some(root) = root else {
        bail!("it is a zip archive without `data.pkl`: not a checkpoint of PyTorch");
    };
    ensure!(!several, "it is a zip archive with several `data.pkl`");
    if entries.contains_key(&format!("{root}constants.pkl")) {
        bail!("it is a TorchScript archive: save the module's state_dict() with torch.save");
    }
    if let Some(order) = entries.get(&format!("{root}byteorder")).filter(|e| e.length <= 16) {
        let order = order.read(&file, length, "byteorder")?;
        ensure!(order != b"big", "it was written on a big-endian machine: save it again on a little-endian one");
    }
    let main = entries[&format!("{root}data.pkl")];
    ensure!(main.length <= PICKLE, "its pickle has {} bytes, more than {PICKLE}", main.length);
    let bytes = main.read(&file, length, "data.pkl")?;
    let (values, _) = pickle::read(&bytes).with_context(|| format!("{root}data.pkl"))?;
    let below = format!("{root}data/");
    let place = |(name, entry): (String, Entry)| {
        let key = name.strip_prefix(&below)?.to_string();
        Some((key, Place { at: entry.at, length: entry.length, entry: Some((name, entry)) }))
    };
    let places = entries.into_iter().filter_map(place).collect();
    Ok(Source { file, length, form: "torch zip", values, places, tensors: HashMap::new() })
}
