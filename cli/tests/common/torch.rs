//! Checkpoints byte by byte, as torch writes them or as nobody should.

use std::path::{Path, PathBuf};

/// What real torch wrote; `make.py` beside it makes it anew.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torch").join(name)
}

/// A stored zip archive.
pub fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in entries {
        let at = out.len() as u32;
        let mut common = vec![0; 10];
        for number in [crc32fast::hash(bytes), bytes.len() as u32, bytes.len() as u32] {
            common.extend(number.to_le_bytes());
        }
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0; 2]);
        out.extend([b"PK\x03\x04", &common[..], name.as_bytes(), bytes].concat());
        directory.extend([b"PK\x01\x02\0\0", &common[..], &[0; 10], &at.to_le_bytes(), name.as_bytes()].concat());
    }
    let (at, size, count) = (out.len() as u32, directory.len() as u32, entries.len() as u16);
    out.extend(directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    out.extend([size.to_le_bytes(), at.to_le_bytes()].concat());
    out.extend([0; 2]);
    out
}

/// A checkpoint of a pickle and a storage `0`.
pub fn pth(pickle: &[u8], storage: &[u8]) -> Vec<u8> {
    zip(&[("a/data.pkl", pickle), ("a/byteorder", b"little"), ("a/data/0", storage), ("a/version", b"3\n")])
}

pub fn word(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

fn number(n: i64) -> Vec<u8> {
    [&[0x8a, 8], &n.to_le_bytes()[..]].concat()
}

fn tuple(numbers: &[i64]) -> Vec<u8> {
    [vec![b'('], numbers.iter().flat_map(|n| number(*n)).collect(), vec![b't']].concat()
}

/// The pickle of a tensor: a view of `elements` elements of the storage `0`.
pub fn tensor(class: &str, elements: i64, offset: i64, size: &[i64], stride: &[i64]) -> Vec<u8> {
    let storage = [word("storage"), format!("ctorch\n{class}\n").into_bytes(), word("0"), word("cpu"), number(elements)].concat();
    let head = b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec();
    [head, storage, b"tQ".to_vec(), number(offset), tuple(size), tuple(stride), b"\x89NtR".to_vec()].concat()
}

/// A dictionary of pickled values.
pub fn dict(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let body: Vec<u8> = entries.iter().flat_map(|(name, value)| [word(name), value.clone()].concat()).collect();
    [b"}(", &body[..], b"u"].concat()
}

/// A whole pickle.
pub fn pickle(value: &[u8]) -> Vec<u8> {
    [b"\x80\x02", value, b"."].concat()
}

pub fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}
