//! Geometry on the device: what [`dv_graph::host::Transform`] says of each row of `[rows, 3, T, H, W]`.

use anyhow::{ensure, Result};
use dv_graph::host::{Region, Transform};
use tch::{Kind, Tensor};

/// Rows, time, height and width of clips on the device.
pub fn size(clips: &Tensor) -> Result<[i64; 4]> {
    let size = clips.size();
    ensure!(size.len() == 5 && size[1] == 3, "clips must be [rows, 3, T, H, W], not {size:?}");
    Ok([size[0], size[2], size[3], size[4]])
}

/// Stacks rows that were computed one by one, `[3, T, H, W]` each, with the channels last in memory.
pub fn stack_rows(rows: &[Tensor]) -> Tensor {
    let last: Vec<Tensor> = rows.iter().map(|r| r.permute([1, 2, 3, 0])).collect();
    Tensor::stack(&last, 0).permute([0, 4, 1, 2, 3])
}

/// Clips `[rows, 3, T, H, W]` at a height and width: antialiased bilinear; bytes are rounded.
pub fn resized(clips: &Tensor, [height, width]: [usize; 2]) -> Tensor {
    let [rows, _, time, from_height, from_width] = <[i64; 5]>::try_from(clips.size()).expect("clips have five axes");
    let (height, width) = (height as i64, width as i64);
    // frames side by side, channels last in memory
    let frames = clips.permute([0, 2, 3, 4, 1]).reshape([rows * time, from_height, from_width, 3]).permute([0, 3, 1, 2]);
    let small = frames.to_kind(Kind::Float).internal_upsample_bilinear2d_aa([height, width], false, None, None);
    let small = match clips.kind() {
        Kind::Uint8 => (small + 0.5).floor().clamp(0.0, 255.0).to_kind(Kind::Uint8),
        _ => small,
    };
    small.permute([0, 2, 3, 1]).reshape([rows, time, height, width, 3]).permute([0, 4, 1, 2, 3])
}

/// One transform for all rows.
fn of_all(clips: &Tensor, transform: &Transform) -> Result<Tensor> {
    let [_, time, height, width] = size(clips)?.map(|n| n as usize);
    let mut x = clips.shallow_clone();
    if let Some(frames) = &transform.frames {
        ensure!(frames.iter().all(|f| *f < time), "frames {frames:?} of clips of {time}");
        let index: Vec<i64> = frames.iter().map(|f| *f as i64).collect();
        // channels last in memory stay so
        let last = x.permute([0, 2, 3, 4, 1]);
        x = last.index_select(1, &Tensor::from_slice(&index).to_device(x.device())).permute([0, 4, 1, 2, 3]);
    }
    if let Some(Region { top, left, height: rows, width: columns }) = transform.region {
        ensure!(top + rows <= height && left + columns <= width, "{:?} leaves the frame of {height}x{width}", transform.region);
        x = x.narrow(3, top as i64, rows as i64).narrow(4, left as i64, columns as i64);
    }
    if let Some(to) = transform.size {
        x = resized(&x, to);
    }
    Ok(if transform.mirrored { x.flip([4]) } else { x })
}

/// The clips after a transform of each row.
pub fn transformed(clips: &Tensor, transforms: &[Transform]) -> Result<Tensor> {
    match transforms {
        [] => Ok(clips.shallow_clone()),
        [first, rest @ ..] if rest.iter().all(|t| t == first) => of_all(clips, first),
        _ => {
            let row = |(i, transform)| Ok(of_all(&clips.get(i as i64).unsqueeze(0), transform)?.squeeze_dim(0));
            Ok(stack_rows(&transforms.iter().enumerate().map(row).collect::<Result<Vec<_>>>()?))
        }
    }
}
