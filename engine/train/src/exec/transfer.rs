//! The loader's batches on the device.

use dv_graph::sample::loader::{Column, HostBatch};
use tch::{Device, Tensor};

/// Values of host outputs, by node and output.
pub type HostColumns = Vec<((usize, usize), Tensor)>;

/// The loader's columns as tensors on the device. Pixels `[..., T, H, W, 3]` become `[..., 3, T, H, W]`: a view, channels last.
pub fn to_device(batch: &HostBatch, outputs: &[(usize, usize)], device: Device) -> HostColumns {
    let mut out = Vec::new();
    for (at, column) in outputs.iter().zip(&batch.columns) {
        let sizes = |s: &[usize]| s.iter().map(|d| *d as i64).collect::<Vec<_>>();
        let tensor = match column {
            Column::Bytes { shape, data } => {
                let t = Tensor::from_slice(data).reshape(sizes(shape)).to_device(device);
                let n = shape.len() as i64;
                let mut order: Vec<i64> = (0..n - 4).collect();
                order.extend([n - 1, n - 4, n - 3, n - 2]);
                t.permute(&order[..])
            }
            Column::Float { shape, data } => Tensor::from_slice(data).reshape(sizes(shape)).to_device(device),
            Column::Index { shape, data } => Tensor::from_slice(data).reshape(sizes(shape)).to_device(device),
            Column::Absent => continue,
        };
        out.push((*at, tensor));
    }
    out
}
