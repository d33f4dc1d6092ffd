//! The types of tensors that dv reads and writes, as torch and safetensors call them.

/// A type's number of bytes and its names.
#[derive(Debug, PartialEq, Eq)]
pub struct Dtype {
    pub bytes: u64,
    /// `float32`, as in `torch.float32`.
    pub torch: &'static str,
    /// `FloatStorage`, as in `torch.FloatStorage`.
    pub storage: &'static str,
    /// `F32`.
    pub safetensors: &'static str,
}

const fn dtype(bytes: u64, torch: &'static str, storage: &'static str, safetensors: &'static str) -> Dtype {
    Dtype { bytes, torch, storage, safetensors }
}

const ALL: [Dtype; 8] = [
    dtype(4, "float32", "FloatStorage", "F32"),
    dtype(8, "float64", "DoubleStorage", "F64"),
    dtype(2, "float16", "HalfStorage", "F16"),
    dtype(2, "bfloat16", "BFloat16Storage", "BF16"),
    dtype(8, "int64", "LongStorage", "I64"),
    dtype(4, "int32", "IntStorage", "I32"),
    dtype(1, "uint8", "ByteStorage", "U8"),
    dtype(1, "bool", "BoolStorage", "BOOL"),
];

/// Element sizes of storages that a file may hold beside those that are read.
const OTHERS: [(&str, u64); 6] = [
    ("ShortStorage", 2),
    ("CharStorage", 1),
    ("UntypedStorage", 1),
    ("ComplexFloatStorage", 8),
    ("ComplexDoubleStorage", 16),
    ("QInt8Storage", 1),
];

impl Dtype {
    /// By torch's name, with or without its module.
    pub fn of_torch(name: &str) -> Option<&'static Dtype> {
        ALL.iter().find(|d| name.rsplit('.').next() == Some(d.torch))
    }
    pub fn of_storage(class: &str) -> Option<&'static Dtype> {
        ALL.iter().find(|d| class.rsplit('.').next() == Some(d.storage))
    }
    pub fn of_safetensors(name: &str) -> Option<&'static Dtype> {
        ALL.iter().find(|d| d.safetensors == name)
    }
}

/// The bytes of an element of a storage's class.
pub fn element(class: &str) -> Option<u64> {
    let name = class.rsplit('.').next()?;
    let other = || OTHERS.iter().find(|(n, _)| *n == name).map(|(_, bytes)| *bytes);
    Dtype::of_storage(class).map(|d| d.bytes).or_else(other)
}
