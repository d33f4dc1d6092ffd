//! What the tests of import and export share.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

pub fn dv(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dv")).args(args).output().unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An empty folder for one test.
pub fn folder(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// Type, shape and bytes of each tensor of a safetensors file.
pub fn tensors(path: &Path) -> BTreeMap<String, (String, String, Vec<u8>)> {
    let content = fs::read(path).unwrap();
    let length = u64::from_le_bytes(*content.first_chunk().unwrap()) as usize;
    let mut header: BTreeMap<String, Value> = serde_json::from_slice(&content[8..8 + length]).unwrap();
    header.remove("__metadata__");
    let at = |v: &Value, i: usize| 8 + length + v["data_offsets"][i].as_u64().unwrap() as usize;
    let of = |v: &Value| (v["dtype"].as_str().unwrap().to_string(), v["shape"].to_string(), content[at(v, 0)..at(v, 1)].to_vec());
    header.iter().map(|(name, v)| (name.clone(), of(v))).collect()
}
