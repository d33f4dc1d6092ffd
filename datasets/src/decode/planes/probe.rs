//! A picture painted by ffmpeg in the format of the file's first frame, and converted to RGB by it: that tells how it converts.

use super::{Converter, Kind, LEAST};
use crate::codec::plane::interleave;

/// Bytes of the picture as RGB24.
pub const SIZE: usize = LEAST * LEAST * 3;

/// Of the value at column X and row Y of a plane, modulo 256, what X, Y and XY are times, and what is added: for luma, U and V.
const PLANES: [[usize; 4]; 3] = [[47, 83, 5, 0], [61, 29, 13, 0], [53, 97, 7, 91]];

/// ffmpeg's filters that paint it. An error of theirs, as for a frame that is smaller, ends ffmpeg before the first frame.
pub fn pattern() -> String {
    let plane = |name: &str, [x, y, xy, more]: [usize; 4]| format!("{name}='mod(X*{x}+Y*{y}+X*Y*{xy}+{more},256)'");
    let [luma, u, v] = PLANES;
    format!("crop={LEAST}:{LEAST}:0:0,geq={}:{}:{}", plane("lum", luma), plane("cb", u), plane("cr", v))
}

/// The picture in planes.
fn painted(kind: Kind) -> Vec<u8> {
    let plane = |[x, y, xy, more]: [usize; 4], size: usize| {
        (0..size * size).map(move |i| {
            let (row, column) = (i / size, i % size);
            (column * x + row * y + column * row * xy + more) as u8
        })
    };
    let [luma, u, v] = PLANES;
    let luma = plane(luma, LEAST);
    match kind {
        Kind::Grey => luma.collect(),
        Kind::Yuv420 => luma.chain(plane(u, LEAST / 2)).chain(plane(v, LEAST / 2)).collect(),
    }
}

/// Whether a converter for frames of that size makes of it what ffmpeg does.
pub fn is(converter: &mut Converter, rgb: &[u8]) -> bool {
    let mut rows = Vec::new();
    converter.convert(&painted(converter.kind), &mut rows);
    let mut row = [0; LEAST * 3];
    rgb.len() == SIZE
        && rows.chunks_exact(row.len()).zip(rgb.chunks_exact(row.len())).all(|(planes, rgb)| {
            let (r, rest) = planes.split_at(LEAST);
            let (g, b) = rest.split_at(LEAST);
            interleave(r, g, b, &mut row);
            row == rgb
        })
}
