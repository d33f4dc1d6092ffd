//! A tensor of a checkpoint: a view of a storage, compared with the storage's size.

use anyhow::{bail, ensure, Context, Result};

use super::dtype::{element, Dtype};
use super::source::Source;
use super::value::{Id, Node, Values};

/// Axes of a tensor; torch has no limit, and no model has more.
const AXES: usize = 64;
/// Parameters within parameters, as pickles may nest them.
const NESTED: usize = 8;

/// Which elements of which storage, in units of elements.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    pub dtype: &'static Dtype,
    pub storage: String,
    pub offset: u64,
    pub size: Vec<u64>,
    pub stride: Vec<u64>,
}

/// What a class of tensors that is not read is called, for the list of what is left out.
const UNREAD: [(&str, &str); 6] = [
    ("torch._utils._rebuild_sparse_tensor", "a sparse tensor"),
    ("torch._utils._rebuild_sparse_csr_tensor", "a sparse tensor"),
    ("torch._utils._rebuild_qtensor", "a quantised tensor"),
    ("torch._utils._rebuild_nested_tensor", "a nested tensor"),
    ("torch._utils._rebuild_meta_tensor_no_storage", "a tensor without values"),
    ("torch._utils._rebuild_device_tensor_from_numpy", "a tensor of another device's format"),
];

/// The tensor that a value is: nothing where it is none.
pub fn tensor(source: &Source, id: Id) -> Option<Result<View>> {
    let values = &source.values;
    let (mut id, mut name, mut args) = call(values, id)?;
    for _ in 0..NESTED {
        match name {
            "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state" => {
                id = *args.first()?;
                (id, name, args) = call(values, id)?;
            }
            // a function, a class, and the function's arguments
            "torch._tensor._rebuild_from_type_v2" => {
                name = values.global(*args.first()?)?;
                args = values.list(*args.get(2)?)?;
            }
            _ => break,
        }
    }
    if matches!(values.node(id), Node::Persistent(_)) {
        return source.named(id);
    }
    if let Some(what) = unread(source, id) {
        return Some(Err(anyhow::anyhow!("{what}, which dv does not read: save it as a dense tensor")));
    }
    match name {
        "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2" => Some(view(values, args, None)),
        "torch._utils._rebuild_tensor_v3" => Some(view(values, args, args.get(6).copied())),
        _ => None,
    }
}

/// What sort of tensor a value is, where it is none that is read.
pub fn unread(source: &Source, id: Id) -> Option<&'static str> {
    let (_, name, _) = call(&source.values, id)?;
    UNREAD.iter().find(|(class, _)| *class == name).map(|(_, what)| *what)
}

/// A call's function and arguments; a tensor that lies outside the pickle has none.
fn call(values: &Values, id: Id) -> Option<(Id, &str, &[Id])> {
    match values.node(id) {
        Node::Object { class, args, .. } => Some((id, values.global(*class)?, values.list(*args)?)),
        Node::Persistent(_) => Some((id, "", &[])),
        _ => None,
    }
}

/// A storage as the pickle names it: its class, its key, the element at which it begins there, and its elements.
pub struct StorageRef<'a> {
    pub class: &'a str,
    pub key: String,
    pub start: u64,
    pub elements: u64,
}

/// `('storage', class, key, location, elements)`, in old files with `(key, start, elements)` of a part behind them.
pub fn storage(values: &Values, id: Id) -> Result<StorageRef<'_>> {
    let read = || {
        let Node::Persistent(id) = values.node(id) else { return None };
        let parts = values.list(*id)?;
        let [_, class, key, _, elements, rest @ ..] = parts else { return None };
        let whole = |id: Id| values.int(id).and_then(|n| u64::try_from(n).ok());
        let mut found = StorageRef { class: values.global(*class)?, key: values.name(*key)?, start: 0, elements: whole(*elements)? };
        if let Some([_, start, elements]) = rest.first().and_then(|part| values.list(*part)) {
            (found.start, found.elements) = (whole(*start)?, whole(*elements)?);
        }
        (values.text(parts[0]) == Some("storage")).then_some(found)
    };
    read().context("its storage is not one that torch writes")
}

fn lengths(values: &Values, id: Id, what: &str) -> Result<Vec<u64>> {
    let mut id = id;
    // torch.Size((2, 3))
    if let Node::Object { args, .. } = values.node(id) {
        id = values.list(*args).and_then(|args| args.first().copied()).unwrap_or(id);
    }
    let list = values.list(id).with_context(|| format!("its {what} is not a tuple"))?;
    ensure!(list.len() <= AXES, "it has {} axes, more than {AXES}", list.len());
    let whole = |id: &Id| values.int(*id).and_then(|n| u64::try_from(n).ok());
    list.iter().map(|id| whole(id).with_context(|| format!("its {what} has {}, not a whole number", values.describe(*id)))).collect()
}

fn view(values: &Values, args: &[Id], dtype: Option<Id>) -> Result<View> {
    let [storage_id, offset, size, stride, ..] = args else { bail!("it lacks its storage, size or stride") };
    let own = storage(values, *storage_id)?;
    let (dtype, class) = match dtype.and_then(|id| values.global(id)) {
        Some(name) => (Dtype::of_torch(name), name),
        None => (Dtype::of_storage(own.class), own.class),
    };
    let dtype = dtype
        .with_context(|| format!("its type is {class}; float32, float64, float16, bfloat16, int64, int32, uint8 and bool are read"))?;
    let offset = values.int(*offset).and_then(|n| u64::try_from(n).ok()).context("its offset is not a whole number")?;
    let (size, stride) = (lengths(values, *size, "size")?, lengths(values, *stride, "stride")?);
    // the storage's size is given in elements of its own class
    let unit = element(own.class).with_context(|| format!("its storage is of the unknown class {}", own.class))?;
    let bytes = own.elements.checked_mul(unit).context("its storage is too large")?;
    let view = View { dtype, storage: own.key, offset, size, stride };
    view.check(bytes)?;
    let start = own.start.checked_mul(unit).filter(|start| start % dtype.bytes == 0).context("its storage begins within an element")?;
    let offset = (start / dtype.bytes).checked_add(offset).context("its offset is too large")?;
    Ok(View { offset, ..view })
}

impl View {
    /// Elements.
    pub fn count(&self) -> Option<u64> {
        if self.size.contains(&0) {
            return Some(0);
        }
        self.size.iter().try_fold(1u64, |n, d| n.checked_mul(*d))
    }

    /// One more than the last element that it reads.
    fn end(&self) -> Option<u64> {
        if self.count()? == 0 {
            return Some(0);
        }
        let last = self.size.iter().zip(&self.stride).try_fold(self.offset, |at, (d, s)| at.checked_add((d - 1).checked_mul(*s)?))?;
        last.checked_add(1)
    }

    /// That all of it lies in a storage of so many bytes.
    pub fn check(&self, storage: u64) -> Result<()> {
        ensure!(self.size.len() == self.stride.len(), "it has {} axes and {} strides", self.size.len(), self.stride.len());
        let bytes = self.end().and_then(|end| end.checked_mul(self.dtype.bytes));
        ensure!(
            bytes.is_some_and(|bytes| bytes <= storage),
            "size {:?} with stride {:?} at {} leaves its storage of {storage} bytes",
            self.size,
            self.stride,
            self.offset
        );
        Ok(())
    }

    fn contiguous(&self) -> bool {
        let mut next = 1;
        self.size.iter().zip(&self.stride).rev().filter(|(d, _)| **d != 1).all(|(d, s)| {
            let fits = *s == next;
            next *= d;
            fits
        })
    }

    /// The elements in order, out of the storage's bytes.
    pub fn gather(&self, storage: &[u8]) -> Result<Vec<u8>> {
        self.check(storage.len() as u64)?;
        let width = self.dtype.bytes as usize;
        let count = self.count().unwrap_or(0) as usize;
        let start = self.offset as usize * width;
        if count == 0 {
            return Ok(Vec::new());
        }
        if self.contiguous() {
            return Ok(storage[start..start + count * width].to_vec());
        }
        let mut out = Vec::new();
        out.try_reserve_exact(count * width).context("no memory")?;
        let mut place = vec![0u64; self.size.len()];
        let mut at = self.offset;
        for _ in 0..count {
            let from = at as usize * width;
            out.extend_from_slice(&storage[from..from + width]);
            for axis in (0..place.len()).rev() {
                place[axis] += 1;
                at += self.stride[axis];
                if place[axis] < self.size[axis] {
                    break;
                }
                at -= self.stride[axis] * self.size[axis];
                place[axis] = 0;
            }
        }
        Ok(out)
    }
}
