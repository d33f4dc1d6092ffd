//! Small dense tensors: enough to cut inputs and compare outputs.

use anyhow::{bail, ensure, Context, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::BTreeMap;
use std::path::Path;

/// How values are written to files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Float,
    Index,
    Byte,
}

/// Values are kept in 64 bits whatever their kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub kind: Kind,
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
}

impl Tensor {
    pub fn new(kind: Kind, shape: &[usize], values: Vec<f64>) -> Tensor {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "a tensor of {shape:?}");
        Tensor { kind, shape: shape.to_vec(), values }
    }
    pub fn scalar(value: f64) -> Tensor {
        Tensor::new(Kind::Float, &[], vec![value])
    }
    /// Nested lists of numbers; whole numbers make an index.
    pub fn of_json(json: &serde_json::Value) -> Result<Tensor> {
        let (mut shape, mut level) = (Vec::new(), json);
        while let Some(list) = level.as_array() {
            shape.push(list.len());
            let Some(first) = list.first() else { break };
            level = first;
        }
        let mut values = Vec::new();
        let mut whole = true;
        fn walk(json: &serde_json::Value, values: &mut Vec<f64>, whole: &mut bool) -> Result<()> {
            match json {
                serde_json::Value::Array(list) => list.iter().try_for_each(|j| walk(j, values, whole)),
                serde_json::Value::Number(n) => {
                    *whole &= n.is_i64() || n.is_u64();
                    values.push(n.as_f64().unwrap_or(f64::NAN));
                    Ok(())
                }
                serde_json::Value::Bool(b) => {
                    values.push(f64::from(u8::from(*b)));
                    Ok(())
                }
                other => bail!("{other} is no number"),
            }
        }
        walk(json, &mut values, &mut whole)?;
        ensure!(shape.iter().product::<usize>() == values.len(), "lists of unequal lengths");
        Ok(Tensor::new(if whole { Kind::Index } else { Kind::Float }, &shape, values))
    }

    fn axis(&self, axis: usize) -> Result<(usize, usize, usize)> {
        ensure!(axis < self.shape.len(), "no axis {axis} in {:?}", self.shape);
        let outer = self.shape[..axis].iter().product();
        Ok((outer, self.shape[axis], self.shape[axis + 1..].iter().product()))
    }
    /// Places of an axis, in the order given.
    pub fn take(&self, axis: usize, places: &[usize]) -> Result<Tensor> {
        let (outer, length, inner) = self.axis(axis)?;
        let mut values = Vec::with_capacity(outer * places.len() * inner);
        for o in 0..outer {
            for p in places {
                ensure!(*p < length, "no place {p} on axis {axis} of {:?}", self.shape);
                let start = (o * length + p) * inner;
                values.extend_from_slice(&self.values[start..start + inner]);
            }
        }
        let mut shape = self.shape.clone();
        shape[axis] = places.len();
        Ok(Tensor::new(self.kind, &shape, values))
    }
    pub fn at(&self, axis: usize, place: usize) -> Result<Tensor> {
        let mut taken = self.take(axis, &[place])?;
        taken.shape.remove(axis);
        Ok(taken)
    }
    pub fn reshape(mut self, shape: &[usize]) -> Result<Tensor> {
        ensure!(shape.iter().product::<usize>() == self.values.len(), "{:?} does not become {shape:?}", self.shape);
        self.shape = shape.to_vec();
        Ok(self)
    }
    /// A new axis of length 1.
    pub fn add_axis(mut self, axis: usize) -> Result<Tensor> {
        ensure!(axis <= self.shape.len(), "no place for an axis {axis} in {:?}", self.shape);
        self.shape.insert(axis, 1);
        Ok(self)
    }
    pub fn permute(&self, order: &[usize]) -> Result<Tensor> {
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        ensure!(sorted == (0..self.shape.len()).collect::<Vec<_>>(), "{order:?} is no order of {:?}", self.shape);
        let strides: Vec<usize> = (0..self.shape.len()).map(|a| self.shape[a + 1..].iter().product()).collect();
        let shape: Vec<usize> = order.iter().map(|a| self.shape[*a]).collect();
        let mut place = vec![0usize; shape.len()];
        let mut values = Vec::with_capacity(self.values.len());
        for _ in 0..self.values.len() {
            values.push(self.values[place.iter().zip(order).map(|(p, a)| p * strides[*a]).sum::<usize>()]);
            for a in (0..shape.len()).rev() {
                place[a] += 1;
                if place[a] < shape[a] {
                    break;
                }
                place[a] = 0;
            }
        }
        Ok(Tensor::new(self.kind, &shape, values))
    }
    /// Equal tensors along a new axis.
    pub fn stack(list: &[Tensor], axis: usize) -> Result<Tensor> {
        let Some(first) = list.first() else { bail!("nothing to stack") };
        ensure!(list.iter().all(|t| t.shape == first.shape), "tensors of other shapes cannot be stacked");
        ensure!(axis <= first.shape.len(), "no place for an axis {axis} in {:?}", first.shape);
        let inner: usize = first.shape[axis..].iter().product();
        let outer = first.values.len() / inner.max(1);
        let values = (0..outer).flat_map(|o| list.iter().flat_map(move |t| t.values[o * inner..(o + 1) * inner].iter().copied())).collect();
        let mut shape = first.shape.clone();
        shape.insert(axis, list.len());
        Ok(Tensor::new(first.kind, &shape, values))
    }
    pub fn map(mut self, f: impl Fn(f64) -> f64) -> Tensor {
        self.values.iter_mut().for_each(|v| *v = f(*v));
        self
    }
    /// The 61 numbers that a case keeps of a large parameter or gradient.
    pub fn sample(&self) -> Tensor {
        let step = (self.values.len() / 61).max(1);
        let values: Vec<f64> = self.values.iter().step_by(step).take(61).copied().collect();
        Tensor::new(self.kind, &[values.len()], values)
    }
    pub fn norm(&self) -> f64 {
        self.values.iter().map(|v| v * v).sum::<f64>().sqrt()
    }
    /// Lengths other than 1.
    pub fn long(&self) -> Vec<usize> {
        self.shape.iter().copied().filter(|n| *n != 1).collect()
    }

    pub fn bytes(&self) -> (Dtype, Vec<u8>) {
        match self.kind {
            Kind::Float => (Dtype::F32, self.values.iter().flat_map(|v| (*v as f32).to_le_bytes()).collect()),
            Kind::Index => (Dtype::I64, self.values.iter().flat_map(|v| (*v as i64).to_le_bytes()).collect()),
            Kind::Byte => (Dtype::U8, self.values.iter().map(|v| *v as u8).collect()),
        }
    }
}

fn of_view(view: &TensorView) -> Result<Tensor> {
    fn each<const N: usize>(data: &[u8], f: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        data.chunks_exact(N).map(|c| f(c.try_into().expect("a chunk of N"))).collect()
    }
    let data = view.data();
    let (kind, values) = match view.dtype() {
        Dtype::F32 => (Kind::Float, each(data, |b| f64::from(f32::from_le_bytes(b)))),
        Dtype::F64 => (Kind::Float, each(data, f64::from_le_bytes)),
        Dtype::I64 => (Kind::Index, each(data, |b| i64::from_le_bytes(b) as f64)),
        Dtype::I32 => (Kind::Index, each(data, |b| f64::from(i32::from_le_bytes(b)))),
        Dtype::U8 => (Kind::Byte, each::<1>(data, |b| f64::from(b[0]))),
        Dtype::BOOL => (Kind::Index, each::<1>(data, |b| f64::from(b[0]))),
        other => bail!("tensors of {other:?} are not read"),
    };
    Ok(Tensor::new(kind, view.shape(), values))
}

/// All tensors of a file.
pub fn read(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let content = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file = SafeTensors::deserialize(&content).with_context(|| format!("{} is no safetensors file", path.display()))?;
    file.tensors().into_iter().map(|(name, view)| Ok((name, of_view(&view)?))).collect()
}

/// Type, shape and bytes by name.
pub type Raw = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

pub fn write(path: &Path, tensors: &Raw) -> Result<()> {
    let views = tensors.iter().map(|(n, (d, s, b))| Ok((n.as_str(), TensorView::new(*d, s.clone(), b)?))).collect::<Result<Vec<_>>>()?;
    std::fs::write(path, safetensors::serialize(views, None)?).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cutting_and_joining() {
        let t = Tensor::new(Kind::Index, &[2, 3], (0..6).map(f64::from).collect());
        assert_eq!(t.at(1, 2).unwrap().values, [2.0, 5.0]);
        assert_eq!(t.permute(&[1, 0]).unwrap().values, [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        let s = Tensor::stack(&[t.at(1, 0).unwrap(), t.at(1, 1).unwrap()], 1).unwrap();
        assert_eq!((s.shape.as_slice(), s.values.as_slice()), (&[2, 2][..], &[0.0, 1.0, 3.0, 4.0][..]));
        assert!(t.at(2, 0).is_err() && t.at(0, 2).is_err() && t.permute(&[0, 0]).is_err());
    }

    #[test]
    fn lists_of_numbers() {
        let of = |text: &str| Tensor::of_json(&serde_json::from_str(text).unwrap());
        assert_eq!(of("[[1, 2], [3, 4]]").unwrap(), Tensor::new(Kind::Index, &[2, 2], vec![1.0, 2.0, 3.0, 4.0]));
        assert_eq!(of("[1, 0.5]").unwrap().kind, Kind::Float);
        assert!(of("[[1], [2, 3]]").is_err() && of("[\"a\"]").is_err());
    }
}
