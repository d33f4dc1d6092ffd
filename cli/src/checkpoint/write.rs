//! Writes a state dict as `torch.save` does from 1.6 on: a zip archive of a pickle and stored entries, each aligned to 64 bytes. It loads with
//! `torch.load(PATH, weights_only=True)`.

use std::path::Path;

use anyhow::{ensure, Context, Result};
use dv_datasets::file;

use super::safetensors::Declared;

/// A tensor and its bytes.
pub type Stored<'a> = (Declared, &'a [u8]);

/// Keys around the state dict, as programs keep them, and a number each that stands beside it.
pub struct Wrapper {
    pub key: &'static str,
    pub epoch: u64,
}

/// Torch aligns each entry's bytes so, to map them.
const ALIGNMENT: u64 = 64;
/// The folder of all entries.
const ROOT: &str = "archive";

pub fn write(path: &Path, tensors: &[Stored], wrapper: Option<&Wrapper>) -> Result<()> {
    let pickle = pickled(tensors, wrapper)?;
    let id = identity(&pickle, tensors);
    let mut entries: Vec<(String, &[u8])> = vec![
        (format!("{ROOT}/data.pkl"), &pickle),
        (format!("{ROOT}/.format_version"), b"1"),
        (format!("{ROOT}/.storage_alignment"), b"64"),
        (format!("{ROOT}/byteorder"), b"little"),
    ];
    entries.extend(tensors.iter().enumerate().map(|(i, (_, bytes))| (format!("{ROOT}/data/{i}"), *bytes)));
    entries.push((format!("{ROOT}/version"), b"3\n"));
    entries.push((format!("{ROOT}/.data/serialization_id"), id.as_bytes()));
    let size = entries.iter().map(|(name, bytes)| bytes.len() as u64 + 2 * name.len() as u64 + 256).sum::<u64>();
    ensure!(
        size < u64::from(u32::MAX) && entries.len() < usize::from(u16::MAX),
        "the weights are too large for a .pth of dv (4 GB): write .safetensors"
    );
    file::write_parts(path, true, |put| zip(&entries, put))
}

/// 40 digits that are the same for the same content.
fn identity(pickle: &[u8], tensors: &[Stored]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(pickle);
    for (_, bytes) in tensors {
        hasher.update(bytes);
    }
    hasher.finalize().as_bytes().iter().flat_map(|b| [b / 16 % 10, b % 10]).take(40).map(|d| char::from(b'0' + d)).collect()
}

fn zip(entries: &[(String, &[u8])], put: &dyn Fn(u64, &[u8]) -> Result<()>) -> Result<()> {
    let mut directory = Vec::new();
    let mut at = 0u64;
    for (name, bytes) in entries {
        let crc = crc32fast::hash(bytes);
        let mut common = Vec::new();
        // version 0, no flags, stored, no time
        common.extend([0u8; 10]);
        common.extend(crc.to_le_bytes());
        common.extend((bytes.len() as u32).to_le_bytes());
        common.extend((bytes.len() as u32).to_le_bytes());
        common.extend((name.len() as u16).to_le_bytes());
        let start = (at + 30 + name.len() as u64 + 4).next_multiple_of(ALIGNMENT);
        let padding = (start - at - 30 - name.len() as u64 - 4) as u16;
        let mut local = b"PK\x03\x04".to_vec();
        local.extend(&common);
        local.extend((padding + 4).to_le_bytes());
        local.extend(name.as_bytes());
        // torch's own extra field, filled with Z
        local.extend(b"FB");
        local.extend(padding.to_le_bytes());
        local.resize((start - at) as usize, b'Z');
        put(at, &local)?;
        put(start, bytes)?;
        directory.extend(b"PK\x01\x02\0\0");
        directory.extend(&common);
        // no extra field, no comment, first disk, no attributes
        directory.extend([0u8; 12]);
        directory.extend((at as u32).to_le_bytes());
        directory.extend(name.as_bytes());
        at = start + bytes.len() as u64;
    }
    let mut end = directory;
    let (size, count) = (end.len() as u32, entries.len() as u16);
    end.extend(b"PK\x05\x06\0\0\0\0");
    end.extend(count.to_le_bytes());
    end.extend(count.to_le_bytes());
    end.extend(size.to_le_bytes());
    end.extend((at as u32).to_le_bytes());
    end.extend([0; 2]);
    put(at, &end)
}

/// The pickle, of protocol 2 as torch writes it.
fn pickled(tensors: &[Stored], wrapper: Option<&Wrapper>) -> Result<Vec<u8>> {
    let mut out = vec![0x80, 2];
    if let Some(wrapper) = wrapper {
        out.extend(b"}(");
        text(&mut out, "epoch");
        integer(&mut out, wrapper.epoch)?;
        text(&mut out, wrapper.key);
    }
    out.extend(b"ccollections\nOrderedDict\n)R(");
    for (i, (tensor, _)) in tensors.iter().enumerate() {
        text(&mut out, &tensor.name);
        out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut out, "storage");
        out.extend(format!("ctorch\n{}\n", tensor.dtype.storage).as_bytes());
        text(&mut out, &i.to_string());
        text(&mut out, "cpu");
        integer(&mut out, tensor.count())?;
        out.extend(b"tQK\0");
        tuple(&mut out, &tensor.shape)?;
        let mut strides = vec![1; tensor.shape.len()];
        for axis in (1..strides.len()).rev() {
            strides[axis - 1] = strides[axis] * tensor.shape[axis].max(1);
        }
        tuple(&mut out, &strides)?;
        // no gradient, no hooks
        out.push(0x89);
        out.extend(b"ccollections\nOrderedDict\n)RtR");
    }
    out.push(b'u');
    if wrapper.is_some() {
        out.push(b'u');
    }
    out.push(b'.');
    Ok(out)
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

fn integer(out: &mut Vec<u8>, number: u64) -> Result<()> {
    match i32::try_from(number) {
        Ok(number) => {
            out.push(b'J');
            out.extend(number.to_le_bytes());
        }
        Err(_) => {
            let number = i64::try_from(number).context("a number beyond 63 bits")?;
            out.extend([0x8a, 8]);
            out.extend(number.to_le_bytes());
        }
    }
    Ok(())
}

fn tuple(out: &mut Vec<u8>, numbers: &[u64]) -> Result<()> {
    out.push(b'(');
    numbers.iter().try_for_each(|n| integer(out, *n))?;
    out.push(b't');
    Ok(())
}
