//! The loader's batches on the device.

use crate::exec::shim::tensor_over;
use anyhow::Result;
use dv_graph::sample::loader::Column;
use tch::{Device, Tensor};

/// Values of host outputs, by node and output.
pub type HostColumns = Vec<((usize, usize), Tensor)>;

/// The loader's columns as tensors in its memory, which goes back to it with the last of them. Pixels `[..., T, H, W, 3]` become
/// `[..., 3, T, H, W]`: a view, channels last.
pub fn tensors(columns: Vec<Column>, outputs: &[(usize, usize)]) -> Result<HostColumns> {
    let sizes = |shape: &[usize]| shape.iter().map(|n| *n as i64).collect::<Vec<_>>();
    let mut out = Vec::new();
    for (at, column) in outputs.iter().zip(columns) {
        let tensor = match column {
            Column::Bytes { shape, data } => {
                let n = shape.len() as i64;
                let order: Vec<i64> = (0..n - 4).chain([n - 1, n - 4, n - 3, n - 2]).collect();
                tensor_over(data, &sizes(&shape))?.permute(&order[..])
            }
            Column::Float { shape, data } => tensor_over(data, &sizes(&shape))?,
            Column::Index { shape, data } => tensor_over(data, &sizes(&shape))?,
            Column::Absent => continue,
        };
        out.push((*at, tensor));
    }
    Ok(out)
}

/// The same on the device: copies, but on the CPU.
pub fn to_device(columns: &HostColumns, device: Device) -> HostColumns {
    columns.iter().map(|(at, tensor)| (*at, tensor.to_device(device))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dv_graph::sample::memory::Memory;

    #[test]
    fn memory_goes_back_with_the_last_tensor_that_shares_it() {
        let memory = Memory::<u8>::new();
        let mut data = memory.take(2 * 2 * 4 * 5 * 3).unwrap();
        data.iter_mut().enumerate().for_each(|(i, byte)| *byte = i as u8);
        let place = data.start();
        let mut columns = tensors(vec![Column::Absent, Column::Bytes { shape: vec![2, 2, 4, 5, 3], data }], &[(0, 0), (3, 1)]).unwrap();
        let (at, clips) = columns.pop().unwrap();
        assert_eq!((at, clips.size()), ((3, 1), vec![2, 3, 2, 4, 5]));
        assert_eq!(clips.int64_value(&[1, 2, 1, 3, 4]), 239);
        assert_eq!(clips.data_ptr().cast(), place.as_ptr());
        let row = clips.get(1);
        let floats = row.to_kind(tch::Kind::Float);
        drop(clips);
        // a view of it is left
        assert_ne!(memory.take(240).unwrap().start(), place);
        drop(row);
        assert_eq!(memory.take(240).unwrap().start(), place);
        assert_eq!(floats.double_value(&[2, 1, 3, 4]), 239.0);
    }

    #[test]
    fn numbers_keep_their_type_and_shape() {
        let mut real = Memory::<f32>::new().take(6).unwrap();
        real.copy_from_slice(&[0.5, 1.5, 2.5, 3.5, 4.5, 5.5]);
        let mut whole = Memory::<i64>::new().take(2).unwrap();
        whole.copy_from_slice(&[-3, i64::MAX]);
        let columns = vec![Column::Float { shape: vec![2, 3], data: real }, Column::Index { shape: vec![2], data: whole }];
        let columns = to_device(&tensors(columns, &[(0, 0), (0, 1)]).unwrap(), Device::Cpu);
        assert_eq!(columns[0].1, Tensor::from_slice(&[0.5f32, 1.5, 2.5, 3.5, 4.5, 5.5]).reshape([2, 3]));
        assert_eq!(columns[1].1, Tensor::from_slice(&[-3, i64::MAX]));
        // nothing at all, and a shape that is another's
        let none = tensors(vec![Column::Float { shape: vec![0, 3], data: Memory::new().take(0).unwrap() }], &[(0, 0)]).unwrap();
        assert_eq!(none[0].1.size(), [0, 3]);
        assert!(tensors(vec![Column::Float { shape: vec![2], data: Memory::new().take(3).unwrap() }], &[(0, 0)]).is_err());
    }
}
