//! Files in the safetensors format: a header in JSON, then the tensors' bytes.

use std::path::Path;

use anyhow::{ensure, Context, Result};
use dv_datasets::file;
use serde_json::{json, Map, Value};

use super::dtype::Dtype;

/// A tensor that a file is to have.
pub struct Declared {
    pub name: String,
    pub dtype: &'static Dtype,
    pub shape: Vec<u64>,
}

impl Declared {
    pub fn count(&self) -> u64 {
        self.shape.iter().product()
    }
    pub fn bytes(&self) -> u64 {
        self.count() * self.dtype.bytes
    }
}

const ALIGNED: usize = 8;
/// The largest header that the format knows.
const HEADER: usize = 100_000_000;

/// Writes a file. `fill` gets a function that takes a tensor's number and its bytes: in any order, each once.
pub fn write(path: &Path, tensors: &[Declared], fill: impl FnOnce(&dyn Fn(usize, &[u8]) -> Result<()>) -> Result<()>) -> Result<()> {
    // wide elements first, so that each tensor is aligned to its element
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    order.sort_by(|a, b| tensors[*b].dtype.bytes.cmp(&tensors[*a].dtype.bytes).then_with(|| tensors[*a].name.cmp(&tensors[*b].name)));
    let mut header = Map::new();
    header.insert("__metadata__".into(), json!({ "format": "pt" }));
    let mut places = vec![0; tensors.len()];
    let mut at = 0;
    for i in order {
        let (tensor, end) = (&tensors[i], at + tensors[i].bytes());
        let entry = json!({ "dtype": tensor.dtype.safetensors, "shape": tensor.shape, "data_offsets": [at, end] });
        ensure!(tensor.name != "__metadata__", "no tensor can have the name `__metadata__` in a safetensors file");
        header.insert(tensor.name.clone(), entry);
        places[i] = at;
        at = end;
    }
    let mut json = serde_json::to_vec(&Value::Object(header))?;
    json.resize(json.len().next_multiple_of(ALIGNED), b' ');
    ensure!(json.len() <= HEADER, "too many names for a safetensors file");
    let head = [&(json.len() as u64).to_le_bytes()[..], &json].concat();
    let start = head.len() as u64;
    file::write_parts(path, true, |put| {
        put(0, &head)?;
        fill(&|i, bytes| {
            assert_eq!(bytes.len() as u64, tensors[i].bytes(), "the bytes of `{}`", tensors[i].name);
            put(start + places[i], bytes)
        })
    })
}

/// The tensors of a file's content, by name in the order of the bytes.
pub fn read(content: &[u8]) -> Result<Vec<(Declared, &[u8])>> {
    let not = "it is no safetensors file";
    let length = content.first_chunk::<ALIGNED>().map(|n| u64::from_le_bytes(*n)).context(not)?;
    let length = usize::try_from(length).ok().filter(|n| *n <= HEADER).context(not)?;
    let (json, data) = content[ALIGNED..].split_at_checked(length).context(not)?;
    let header: Map<String, Value> = serde_json::from_slice(json).context(not)?;
    let mut found = Vec::new();
    for (name, entry) in header {
        if name == "__metadata__" {
            continue;
        }
        let read = || {
            let dtype = Dtype::of_safetensors(entry["dtype"].as_str()?)?;
            let shape = entry["shape"].as_array()?.iter().map(Value::as_u64).collect::<Option<Vec<_>>>()?;
            let [start, end] = &entry["data_offsets"].as_array()?[..] else { return None };
            let (start, end) = (start.as_u64()?, end.as_u64()?);
            let bytes = data.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)?;
            let count = shape.iter().try_fold(1u64, |n, d| n.checked_mul(*d))?;
            (count.checked_mul(dtype.bytes)? == bytes.len() as u64).then_some((start, dtype, shape, bytes))
        };
        let (start, dtype, shape, bytes) = read().with_context(|| format!("the tensor `{name}`: its entry in the header is damaged"))?;
        found.push((start, Declared { name, dtype, shape }, bytes));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.name.cmp(&b.1.name)));
    Ok(found.into_iter().map(|(_, declared, bytes)| (declared, bytes)).collect())
}
