//! Torch's form before 0.1.11, a tar archive: `sys_info`, `storages`, `tensors`, and `pickle`, in which tensors have numbers.

use std::collections::HashMap;
use std::fs::File;

use anyhow::{ensure, Context, Result};

use super::dtype::Dtype;
use super::legacy;
use super::pickle;
use super::source::{Place, Source, PICKLE};
use super::tensor::View;
use super::value::Values;
use super::zip::bytes;

/// A tar archive is made of such blocks.
const BLOCK: u64 = 512;
/// The largest pickle between the storages: a key, a place, a class.
const SMALL: u64 = 4096;
/// Storages, tensors, entries.
const MOST: i64 = 100_000;

pub fn is(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar")
}

#[derive(Clone, Copy)]
struct Part {
    at: u64,
    length: u64,
}

/// Reads a part from its start to its end.
struct Reader<'a> {
    file: &'a File,
    part: Part,
    /// Bytes read so far.
    at: u64,
}

impl Reader<'_> {
    fn take(&mut self, count: u64) -> Result<Vec<u8>> {
        self.skip(count)?;
        bytes(self.file, self.part.at + self.part.length, self.part.at + self.at - count, count)
    }
    fn skip(&mut self, count: u64) -> Result<()> {
        let left = self.part.length - self.at;
        ensure!(count <= left, "it is truncated: {count} bytes are needed, and {left} are left");
        self.at += count;
        Ok(())
    }
    fn pickle(&mut self, most: u64) -> Result<Values> {
        let left = self.part.length - self.at;
        let window = bytes(self.file, self.part.at + self.part.length, self.part.at + self.at, left.min(most))?;
        let (values, used) = pickle::read(&window)?;
        self.at += used as u64;
        Ok(values)
    }
    fn count(&mut self) -> Result<i64> {
        let values = self.pickle(SMALL)?;
        values.int(values.root).filter(|n| (0..=MOST).contains(n)).context("it does not begin with a number of parts")
    }
    fn number(&mut self) -> Result<u64> {
        let bytes = self.take(8)?;
        Ok(u64::from_le_bytes(*bytes.first_chunk().expect("8 bytes")))
    }
}

pub fn open(file: File, length: u64) -> Result<Source> {
    let parts = parts(&file, length)?;
    let part = |name: &str| {
        let part = *parts
            .get(name)
            .with_context(|| format!("it is a tar archive without `{name}`: not a checkpoint of PyTorch; unpack it with tar"))?;
        anyhow::Ok(Reader { file: &file, part, at: 0 })
    };
    let machine = part("sys_info")?.pickle(PICKLE).context("sys_info")?;
    legacy::check_machine(&machine)?;
    let (places, classes) = storages(part("storages")?).context("storages")?;
    let tensors = tensors(part("tensors")?, &places, &classes).context("tensors")?;
    let values = part("pickle")?.pickle(PICKLE).context("pickle")?;
    Ok(Source { file, length, form: "torch tar", values, places, tensors })
}

fn parts(file: &File, length: u64) -> Result<HashMap<String, Part>> {
    let mut parts = HashMap::new();
    let mut at = 0;
    while length - at >= BLOCK {
        ensure!(parts.len() < MOST as usize, "a tar archive of more than {MOST} files");
        let head = bytes(file, length, at, BLOCK)?;
        if head.iter().all(|b| *b == 0) {
            break;
        }
        let text = |range: std::ops::Range<usize>| String::from_utf8_lossy(&head[range]).trim_matches(['\0', ' ']).to_string();
        let size = u64::from_str_radix(&text(124..136), 8).ok().context("a tar entry without a size")?;
        let name = text(0..100);
        let end = at.checked_add(BLOCK).and_then(|start| start.checked_add(size)).filter(|end| *end <= length);
        let end = end.with_context(|| format!("the file is truncated: the tar entry `{name}` has {size} bytes"))?;
        let name = name.trim_start_matches("./").to_string();
        if let Some(old) = parts.insert(name.clone(), Part { at: at + BLOCK, length: size }) {
            ensure!(old.length == 0, "the tar archive has two entries `{name}`");
        }
        at = end.next_multiple_of(BLOCK).min(length);
    }
    Ok(parts)
}

/// The storages, and the class of each.
fn storages(mut reader: Reader) -> Result<(HashMap<String, Place>, HashMap<String, (String, &'static Dtype)>)> {
    let (mut places, mut classes) = (HashMap::new(), HashMap::new());
    for _ in 0..reader.count()? {
        let values = reader.pickle(SMALL)?;
        let Some([key, _, class]) = values.list(values.root) else { anyhow::bail!("a storage without a key and a class") };
        let key = values.name(*key).context("a storage without a key")?;
        let class = values.global(*class).context("a storage without a class")?;
        let dtype = Dtype::of_storage(class).with_context(|| format!("the storage `{key}` is of the class {class}, which is not read"))?;
        let count = reader.number()?;
        let size = count.checked_mul(dtype.bytes).with_context(|| format!("the storage `{key}` claims {count} elements"))?;
        let at = reader.part.at + reader.at;
        reader.skip(size).with_context(|| format!("the storage `{key}`"))?;
        places.insert(key.clone(), Place { at, length: size, entry: None });
        classes.insert(key.clone(), (key, dtype));
    }
    // parts of storages under keys of their own: their tensors begin there
    let views = reader.pickle(PICKLE)?;
    for view in views.list(views.root).unwrap_or_default() {
        let whole = |id: u32| views.int(id).and_then(|n| u64::try_from(n).ok());
        let read = || {
            let [target, root, start, count] = views.list(*view)? else { return None };
            let (target, root) = (views.name(*target)?, views.name(*root)?);
            let (place, (_, dtype)) = (places.get(&root)?, classes.get(&root)?);
            let (start, length) = (whole(*start)?.checked_mul(dtype.bytes)?, whole(*count)?.checked_mul(dtype.bytes)?);
            start.checked_add(length).filter(|end| *end <= place.length)?;
            Some((target, Place { at: place.at + start, length, entry: None }, *dtype))
        };
        let (target, place, dtype) = read().context("a part of a storage leaves it")?;
        places.insert(target.clone(), place);
        classes.insert(target.clone(), (target, dtype));
    }
    Ok((places, classes))
}

fn tensors(
    mut reader: Reader,
    places: &HashMap<String, Place>,
    classes: &HashMap<String, (String, &'static Dtype)>,
) -> Result<HashMap<String, View>> {
    let mut tensors = HashMap::new();
    for _ in 0..reader.count()? {
        let values = reader.pickle(SMALL)?;
        let Some([key, storage, _]) = values.list(values.root) else { anyhow::bail!("a tensor without a key and a storage") };
        let key = values.name(*key).context("a tensor without a key")?;
        let storage = values.name(*storage).context("a tensor without a storage")?;
        let (place, (_, dtype)) =
            places.get(&storage).zip(classes.get(&storage)).with_context(|| format!("the file has no storage `{storage}`"))?;
        // the number of axes has eight bytes, of which four count
        let axes = reader.number()? & u64::from(u32::MAX);
        ensure!(axes <= 64, "the tensor `{key}` has {axes} axes");
        let size = (0..axes).map(|_| reader.number()).collect::<Result<Vec<_>>>()?;
        let stride = (0..axes).map(|_| reader.number()).collect::<Result<Vec<_>>>()?;
        let offset = reader.number()?;
        let view = View { dtype, storage, offset, size, stride };
        view.check(place.length).with_context(|| format!("the tensor `{key}`"))?;
        tensors.insert(key, view);
    }
    Ok(tensors)
}
