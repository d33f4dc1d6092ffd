//! Cutting rectangles out of clips, and bringing them to another size.

use crate::pixels::{device_size, host_size, stack_rows};
use anyhow::{ensure, Result};
use dv_datasets::{resize_rgb, Crop, Filter};
use dv_graph::host::{Array, SampleIo, Value};
use dv_train::exec::batch::BatchIo;
use tch::{Kind, Tensor};

/// A square of a frame, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Square {
    pub top: usize,
    pub left: usize,
    pub side: usize,
}

impl Square {
    /// From numbers that an edge or a feed may have brought.
    pub fn new(top: i64, left: i64, side: i64, [height, width]: [usize; 2]) -> Result<Square> {
        let inside = |start: i64, length: usize| start >= 0 && side > 0 && start.checked_add(side).is_some_and(|end| end <= length as i64);
        ensure!(inside(top, height) && inside(left, width), "a square of {side} at {top}, {left} leaves the frame of {height}x{width}");
        Ok(Square { top: top as usize, left: left as usize, side: side as usize })
    }
}

/// The square of every frame of a clip `[T, H, W, 3]`.
pub fn host(clip: &Array<u8>, square: Square) -> Result<Array<u8>> {
    let [time, height, width] = host_size(clip)?;
    let mut data = Vec::with_capacity(time * square.side * square.side * 3);
    for frame in clip.data.chunks_exact(height * width * 3) {
        for row in frame.chunks_exact(width * 3).skip(square.top).take(square.side) {
            data.extend_from_slice(&row[square.left * 3..(square.left + square.side) * 3]);
        }
    }
    Ok(Array::new(vec![time, square.side, square.side, 3], data))
}

/// A clip, or a square of it, at `size` x `size`: Pillow's antialiased bilinear filter.
pub fn host_resized(clip: &Array<u8>, square: Option<Square>, size: usize) -> Result<Array<u8>> {
    let [time, height, width] = host_size(clip)?;
    let mut data = vec![0; time * size * size * 3];
    let crop = square.map(|s| Crop { top: s.top, left: s.left, height: s.side, width: s.side });
    for (from, to) in clip.data.chunks_exact(height * width * 3).zip(data.chunks_exact_mut(size * size * 3)) {
        resize_rgb(from, (height, width), crop, to, (size, size), Filter::Bilinear)?;
    }
    Ok(Array::new(vec![time, size, size, 3], data))
}

/// A clip's square that depends on the frame's size alone.
pub fn fixed_host(io: &mut SampleIo, square: impl Fn([usize; 2]) -> Result<Square>) -> Result<()> {
    let clip = io.bytes("clips")?;
    let [_, height, width] = host_size(clip)?;
    io.put("clips", Value::Bytes(host(clip, square([height, width])?)?));
    Ok(())
}

/// The same of all rows.
pub fn fixed_device(io: &mut BatchIo, square: impl Fn([usize; 2]) -> Result<Square>) -> Result<()> {
    let clips = io.tensor("clips")?;
    let [_, _, height, width] = device_size(&clips)?.map(|n| n as usize);
    let s = square([height, width])?;
    io.put("clips", clips.narrow(3, s.top as i64, s.side as i64).narrow(4, s.left as i64, s.side as i64));
    Ok(())
}

/// One square of each row of `[rows, 3, T, H, W]`.
pub fn device(clips: &Tensor, squares: &[Square]) -> Tensor {
    let rows: Vec<Tensor> = squares.iter().enumerate().map(|(i, s)| cut(&clips.get(i as i64), *s)).collect();
    stack_rows(&rows)
}

/// One square of each row at `size` x `size`.
pub fn device_resized(clips: &Tensor, squares: &[Square], size: usize) -> Tensor {
    let row = |(i, s): (usize, &Square)| resized(&cut(&clips.get(i as i64), *s).unsqueeze(0), size).squeeze_dim(0);
    stack_rows(&squares.iter().enumerate().map(row).collect::<Vec<_>>())
}

fn cut(clip: &Tensor, square: Square) -> Tensor {
    clip.narrow(2, square.top as i64, square.side as i64).narrow(3, square.left as i64, square.side as i64)
}

/// Clips `[rows, 3, T, H, W]` at `size` x `size`: antialiased bilinear; bytes are rounded.
pub fn resized(clips: &Tensor, size: usize) -> Tensor {
    let [rows, _, time, height, width] = <[i64; 5]>::try_from(clips.size()).expect("clips have five axes");
    let size = size as i64;
    // frames side by side, channels last in memory
    let frames = clips.permute([0, 2, 3, 4, 1]).reshape([rows * time, height, width, 3]).permute([0, 3, 1, 2]);
    let small = frames.to_kind(Kind::Float).internal_upsample_bilinear2d_aa([size, size], false, None, None);
    let small = match clips.kind() {
        Kind::Uint8 => (small + 0.5).floor().clamp(0.0, 255.0).to_kind(Kind::Uint8),
        _ => small,
    };
    small.permute([0, 2, 3, 1]).reshape([rows, time, size, size, 3]).permute([0, 4, 1, 2, 3])
}
