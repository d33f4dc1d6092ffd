//! Tensors in safetensors files.

use anyhow::{bail, ensure, Context, Result};
use dv_datasets::file;
use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorView};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use tch::{Device, Kind, Tensor};

fn dtype(kind: Kind) -> Result<Dtype> {
    Ok(match kind {
        Kind::Float => Dtype::F32,
        Kind::Double => Dtype::F64,
        Kind::Int64 => Dtype::I64,
        Kind::Int => Dtype::I32,
        Kind::Uint8 => Dtype::U8,
        Kind::Bool => Dtype::BOOL,
        Kind::BFloat16 => Dtype::BF16,
        Kind::Half => Dtype::F16,
        other => bail!("tensors of {other:?} are not written to files"),
    })
}

fn kind(dtype: Dtype) -> Result<Kind> {
    Ok(match dtype {
        Dtype::F32 => Kind::Float,
        Dtype::F64 => Kind::Double,
        Dtype::I64 => Kind::Int64,
        Dtype::I32 => Kind::Int,
        Dtype::U8 => Kind::Uint8,
        Dtype::BOOL => Kind::Bool,
        Dtype::BF16 => Kind::BFloat16,
        Dtype::F16 => Kind::Half,
        other => bail!("tensors of dtype {other:?} are not read"),
    })
}

fn bytes(t: &Tensor) -> Vec<u8> {
    let t = t.detach().to_device(Device::Cpu).contiguous();
    let n = t.numel() * t.kind().elt_size_in_bytes();
    let mut out = vec![0u8; n];
    t.copy_data_u8(&mut out, t.numel());
    out
}

/// Puts texts into a header, in the order of their keys: the crate's own way has another order in each run.
fn with_texts(content: &[u8], texts: &BTreeMap<String, String>) -> Result<Vec<u8>> {
    const ALIGNED: usize = 8;
    let (length, rest) = content.split_first_chunk::<ALIGNED>().context("a file of tensors has a header")?;
    let (json, data) = rest.split_at_checked(u64::from_le_bytes(*length) as usize).context("a file of tensors has a header")?;
    let mut header: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(json)?;
    header.insert("__metadata__".into(), serde_json::to_value(texts)?);
    let mut json = serde_json::to_vec(&header)?;
    json.resize(json.len().next_multiple_of(ALIGNED), b' ');
    Ok([&(json.len() as u64).to_le_bytes()[..], &json, data].concat())
}

/// Writes tensors under their names.
pub fn write(path: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
    file::write(path, &serialise(tensors, None)?, true)
}

/// The bytes of a file of tensors, with texts in its header.
pub fn serialise(tensors: &BTreeMap<String, Tensor>, header: Option<BTreeMap<String, String>>) -> Result<Vec<u8>> {
    let data: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(n, t)| Ok((n.clone(), dtype(t.kind())?, t.size().iter().map(|d| *d as usize).collect(), bytes(t))))
        .collect::<Result<_>>()?;
    let views = data.iter().map(|(n, d, s, b)| Ok((n.as_str(), TensorView::new(*d, s.clone(), b)?))).collect::<Result<Vec<_>>>()?;
    let content = safetensors::serialize(views, None)?;
    match header {
        Some(texts) => with_texts(&content, &texts),
        None => Ok(content),
    }
}

/// The largest header that the format knows.
const HEADER: u64 = 100_000_000;

/// The bytes of a safetensors file, once its header says that they are all tensors'. So what is none, however large, is not read.
fn content(path: &Path) -> Result<Vec<u8>> {
    let named = || format!("{} is no safetensors file", path.display());
    let mut file = file::open(path)?;
    let length = file.metadata().with_context(named)?.len();
    let mut head = [0; 8];
    file.read_exact(&mut head).with_context(named)?;
    if file::is_torch(&head) {
        bail!("{0} is a checkpoint of PyTorch: `dv import {0} --out X.safetensors` makes a file that a graph reads", path.display());
    }
    let header = u64::from_le_bytes(head);
    ensure!(header <= HEADER && header + 8 <= length, "{}: its first bytes are not the length of a header", named());
    let mut content = Vec::from(head);
    (&file).take(header).read_to_end(&mut content).with_context(named)?;
    let metadata: Metadata = serde_json::from_slice(&content[8..]).with_context(named)?;
    let expected = (metadata.data_len() as u64).checked_add(8 + header);
    ensure!(expected == Some(length), "{}: it has {length} bytes, and its header describes another number", named());
    content.try_reserve_exact((length - content.len() as u64) as usize).with_context(|| format!("no memory for {}", path.display()))?;
    file.take(length - content.len() as u64).read_to_end(&mut content).with_context(named)?;
    Ok(content)
}

/// Reads all tensors of a file.
pub fn read(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let content = content(path)?;
    let file = SafeTensors::deserialize(&content).with_context(|| format!("{} is not a safetensors file", path.display()))?;
    file.tensors()
        .into_iter()
        .map(|(name, view)| {
            let shape: Vec<i64> = view.shape().iter().map(|d| *d as i64).collect();
            let kind = kind(view.dtype()).with_context(|| format!("{}: `{name}`", path.display()))?;
            let tensor = Tensor::f_from_data_size(view.data(), &shape, kind).with_context(|| format!("{}: `{name}`", path.display()))?;
            Ok((name, tensor))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_survive_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.safetensors");
        let tensors = BTreeMap::from([
            ("a".to_string(), Tensor::from_slice(&[1.5f32, -2.0]).reshape([2, 1])),
            ("b".to_string(), Tensor::from_slice(&[3i64])),
            ("s".to_string(), Tensor::from(7i64)),
            ("t".to_string(), Tensor::from_slice(&[1f32, 2., 3., 4.]).reshape([2, 2]).transpose(0, 1)),
        ]);
        write(&path, &tensors).unwrap();
        let back = read(&path).unwrap();
        assert_eq!(back.len(), 4);
        for (n, t) in &tensors {
            assert_eq!((t.size(), t.kind()), (back[n].size(), back[n].kind()));
            assert!(t.equal(&back[n]), "{n}");
        }
        assert!(read(&dir.path().join("none")).is_err());
        std::fs::write(&path, b"text").unwrap();
        assert!(read(&path).is_err());
    }

    /// What is no safetensors file, or is longer than its tensors, is refused by its first bytes: eight gigabytes of nothing are not read.
    #[test]
    fn a_file_is_read_only_where_its_header_accounts_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.safetensors");
        let told = || format!("{:#}", read(&path).unwrap_err());
        std::fs::File::create(&path).unwrap().set_len(1 << 33).unwrap();
        assert!(told().contains("no safetensors file"), "{}", told());
        write(&path, &BTreeMap::from([("a".to_string(), Tensor::from_slice(&[1f32, 2.0]))])).unwrap();
        let length = std::fs::metadata(&path).unwrap().len();
        assert!(read(&path).is_ok());
        for other in [length - 1, 1 << 33] {
            std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(other).unwrap();
            assert!(told().contains(&format!("it has {other} bytes")), "{}", told());
        }
        assert!(format!("{:#}", read(Path::new("/dev/zero")).unwrap_err()).contains("it is a device, not a regular file"));
    }
}
