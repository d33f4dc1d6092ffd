//! Clips as nodes handle them: `[T, H, W, 3]` bytes on the host, `[rows, 3, T, H, W]` bytes or floats on the device,
//! there usually with the channels last in memory.

use anyhow::{ensure, Result};
use dv_graph::draw::Rng;
use dv_graph::host::Array;
use dv_graph::kind::{Inputs, PortFault};
use dv_graph::port::{Dim, Port, Type};
use dv_train::exec::batch::BatchIo;
use tch::{Device, Kind, Tensor};

/// What a view takes and gives.
pub const PIXELS: &[Type] = &[Type::Bytes, Type::Float];

/// One length of an input's shape, which has to be a number.
pub fn length(inputs: &Inputs, name: &str, axis: usize) -> Result<usize, PortFault> {
    match inputs.port(name).shape.get(axis) {
        Some(Dim::Known(n)) => Ok(*n),
        Some(Dim::Symbol(s)) => Err(PortFault::input(name, format!("the length `{s}` is known with the data only"))),
        None => Err(PortFault::input(name, format!("has {} lengths; one more was expected", inputs.port(name).shape.len()))),
    }
}

/// Time, height and width of a port of clips.
pub fn clip_size(inputs: &Inputs, name: &str) -> Result<[usize; 3], PortFault> {
    Ok([length(inputs, name, 1)?, length(inputs, name, 2)?, length(inputs, name, 3)?])
}

/// A port of clips with the pixel type of the input.
pub fn clips_like(inputs: &Inputs, name: &str, [time, height, width]: [usize; 3]) -> Port {
    let ty = inputs.port(name).ty;
    Port { ty, ..Port::bytes([3.into(), time.into(), height.into(), width.into()]) }
}

/// Time, height and width of a clip on the host.
pub fn host_size(clip: &Array<u8>) -> Result<[usize; 3]> {
    match clip.shape[..] {
        [t, h, w, 3] => Ok([t, h, w]),
        _ => anyhow::bail!("a clip must be [T, H, W, 3], not {:?}", clip.shape),
    }
}

/// Rows, time, height and width of clips on the device.
pub fn device_size(clips: &Tensor) -> Result<[i64; 4]> {
    let size = clips.size();
    ensure!(size.len() == 5 && size[1] == 3, "clips must be [rows, 3, T, H, W], not {size:?}");
    Ok([size[0], size[2], size[3], size[4]])
}

/// The same tensor with the channels last in memory; free where they are already.
pub fn channels_last(x: &Tensor) -> Tensor {
    x.permute([0, 2, 3, 4, 1]).contiguous().permute([0, 4, 1, 2, 3])
}

/// Bytes 0..=255 become floats 0..1; floats stay.
pub fn unit_floats(x: &Tensor) -> Tensor {
    match x.kind() {
        Kind::Uint8 => x.to_kind(Kind::Float) / 255.0,
        Kind::Float => x.shallow_clone(),
        _ => x.to_kind(Kind::Float),
    }
}

/// Stacks rows that were computed one by one, `[3, T, H, W]` each, with the channels last in memory.
pub fn stack_rows(rows: &[Tensor]) -> Tensor {
    let last: Vec<Tensor> = rows.iter().map(|r| r.permute([1, 2, 3, 0])).collect();
    Tensor::stack(&last, 0).permute([0, 4, 1, 2, 3])
}

/// A random draw of integers of that shape a row, as numbers here: asks the device only for draws that were fed.
pub fn draw_index(
    io: &mut BatchIo,
    name: &'static str,
    shape: &[usize],
    mut draw: impl FnMut(&mut Rng) -> Vec<i64>,
) -> Result<Vec<Vec<i64>>> {
    let mut drawn = Vec::new();
    let tensor = io.draw_index(name, &shape.iter().map(|n| *n as i64).collect::<Vec<_>>(), |rng, _| {
        let row = draw(rng);
        drawn.extend_from_slice(&row);
        row
    })?;
    if drawn.is_empty() {
        drawn = Vec::try_from(tensor.to_device(Device::Cpu).flatten(0, -1))?;
    }
    by_row(io, name, shape.iter().product(), drawn)
}

/// The same for floats.
pub fn draw_float(
    io: &mut BatchIo,
    name: &'static str,
    shape: &[usize],
    mut draw: impl FnMut(&mut Rng) -> Vec<f32>,
) -> Result<Vec<Vec<f32>>> {
    let mut drawn = Vec::new();
    let tensor = io.draw_float(name, &shape.iter().map(|n| *n as i64).collect::<Vec<_>>(), |rng, _| {
        let row = draw(rng);
        drawn.extend_from_slice(&row);
        row
    })?;
    if drawn.is_empty() {
        drawn = Vec::try_from(tensor.to_device(Device::Cpu).flatten(0, -1))?;
    }
    by_row(io, name, shape.iter().product(), drawn)
}

fn by_row<T: Clone>(io: &BatchIo, name: &str, width: usize, drawn: Vec<T>) -> Result<Vec<Vec<T>>> {
    let rows = io.rows().len();
    ensure!(drawn.len() == rows * width, "`{name}` holds {} numbers; {rows} rows of {width} were expected", drawn.len());
    Ok(drawn.chunks(width).map(<[T]>::to_vec).collect())
}
