//! What every codec that was thought of costs and gains, on the frames of a packed lossless set:
//! `cargo bench -p dv-datasets --bench codecs -- SET`.
//!
//! For each: bytes a frame, clips of 16 frames turned back to RGB in a second of one core (checksum, zstd, predictor, colours: all that
//! reading does, from memory), and the peak signal-to-noise ratio of the RGB that comes out. Clips lie in the middle of each video.

use std::hint::black_box;
use std::path::Path;

use anyhow::{ensure, Context, Result};
use dv_datasets::codec::Work as Codecs;
use dv_datasets::{Codec, PackedSet};

/// What stands for a frame before it is compressed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Layout {
    /// Interleaved, as decoded.
    Rgb,
    /// Planes G, R-G, B-G.
    Differences,
    /// Planes Y, Cb, Cr, the last two halved.
    Yuv420,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Predictor {
    None,
    Left,
    Above,
    Median,
}

use Layout::*;
use Predictor::*;

/// Layout, predictor, whether zstd follows, frames a block.
type Variant = (Layout, Predictor, bool, usize);

const VARIANTS: [Variant; 21] = [
    (Rgb, None, false, 1),
    (Yuv420, None, false, 1),
    (Rgb, None, true, 1),
    (Rgb, Above, true, 1),
    (Differences, None, true, 1),
    (Differences, Left, true, 1),
    (Differences, Median, true, 1),
    (Differences, Above, true, 1),
    (Differences, Above, true, 2),
    (Differences, Above, true, 4),
    (Differences, Above, true, 16),
    (Yuv420, None, true, 1),
    (Yuv420, None, true, 16),
    (Yuv420, Left, true, 1),
    (Yuv420, Median, true, 1),
    (Yuv420, Median, true, 16),
    (Yuv420, Above, true, 1),
    (Yuv420, Above, true, 2),
    (Yuv420, Above, true, 4),
    (Yuv420, Above, true, 8),
    (Yuv420, Above, true, 16),
];

fn main() -> Result<()> {
    let sets: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    if sets.is_empty() {
        eprintln!("nothing measured: name packed sets of codec rgb, as in `cargo bench -p dv-datasets --bench codecs -- data/ucf101`");
    }
    sets.iter().try_for_each(|set| measure(Path::new(set)))
}

fn measure(dir: &Path) -> Result<()> {
    // Cargo starts a bench in its package's folder; what the user names is below the workspace.
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(dir);
    let set = PackedSet::open(if dir.exists() { dir } else { &beside })?;
    ensure!(set.codec == Codec::Rgb, "{}: codecs are compared on lossless frames: pack it with --codec rgb", dir.display());
    let (h, w) = (set.height as usize, set.width as usize);
    let lengths: Vec<u32> = (0..set.len()).map(|video| set.frames(video)).collect::<Result<_>>()?;
    let frames: u32 = lengths.iter().sum();
    println!("{}: {} videos, {frames} frames of {h} x {w}, {} bytes each as RGB24", set.name, set.len(), set.frame_len());
    println!("| layout | predictor | zstd | frames a block | bytes a frame | smaller | clips/s, stride 1 | clips/s, stride 4 | PSNR, dB |");
    println!("|---|---|---|---|---|---|---|---|---|");
    for variant in VARIANTS {
        let (layout, predictor, zstd, block) = variant;
        let packed = Packed::new(&set, variant)?;
        let bytes: usize = packed.videos.iter().flatten().map(|b| b.1.len()).sum();
        let bytes = bytes as f64 / frames as f64;
        let [one, four] = [1, 4].map(|stride| packed.clips_a_second(stride));
        println!(
            "| {layout:?} | {predictor:?} | {} | {block} | {bytes:.0} | {:.2}x | {:.0} | {:.0} | {:.1} |",
            if zstd { "yes" } else { "no" },
            set.frame_len() as f64 / bytes,
            one?,
            four?,
            packed.psnr(&set)?
        );
    }
    Ok(())
}

/// A set in memory as a variant keeps it.
struct Packed {
    variant: Variant,
    size: (usize, usize),
    /// Per video its blocks: checksum and bytes.
    videos: Vec<Vec<(u32, Vec<u8>)>>,
    frames: Vec<usize>,
}

impl Packed {
    fn new(set: &PackedSet, variant: Variant) -> Result<Packed> {
        let size = (set.height as usize, set.width as usize);
        let mut zstd = zstd::bulk::Compressor::new(1)?;
        let mut videos = Vec::new();
        let mut rgb = vec![0; set.frame_len()];
        let lengths: Vec<u32> = (0..set.len()).map(|video| set.frames(video)).collect::<Result<_>>()?;
        for (video, length) in lengths.iter().copied().enumerate() {
            let mut blocks = Vec::new();
            let mut block = Vec::new();
            for frame in 0..length {
                set.read_frames(video, &[frame], &mut rgb)?;
                predict(variant, size, &rgb, &mut block);
                if (frame as usize + 1).is_multiple_of(variant.3) || frame + 1 == length {
                    let bytes = if variant.2 { zstd.compress(&block)? } else { block.clone() };
                    blocks.push((crc32fast::hash(&bytes), bytes));
                    block.clear();
                }
            }
            videos.push(blocks);
        }
        let frames = lengths.into_iter().map(|length| length as usize).collect();
        Ok(Packed { variant, size, videos, frames })
    }

    /// Reads frames of a video, in order, into `out`.
    fn read(&self, work: &mut Work, video: usize, frames: impl Iterator<Item = usize>, out: &mut [u8]) -> Result<()> {
        let (h, w) = self.size;
        let (layout, _, zstd, size) = self.variant;
        let len = bytes(layout, self.size);
        let mut loaded = usize::MAX;
        for (frame, out) in frames.zip(out.chunks_exact_mut(h * w * 3)) {
            let (checksum, block) = &self.videos[video][frame / size];
            let mut residual = &block[..];
            if loaded != frame / size {
                ensure!(crc32fast::hash(block) == *checksum);
                loaded = frame / size;
                if zstd {
                    let left = self.frames[video] - loaded * size;
                    work.residual.resize(left.min(size) * len, 0);
                    work.zstd.decompress_to_buffer(block, &mut work.residual[..])?;
                }
            }
            if zstd {
                residual = &work.residual;
            }
            restore(self.variant, self.size, &residual[frame % size * len..][..len], &mut work.planes, &mut work.codecs, out);
        }
        Ok(())
    }

    fn clips_a_second(&self, stride: usize) -> Result<f64> {
        let mut work = Work::new()?;
        let mut clip = vec![0; 16 * self.size.0 * self.size.1 * 3];
        let mut best = 0.0f64;
        // The best of some rounds: what else the machine does takes caches and the core's other half, in one round more than in the next.
        for _ in 0..5 {
            let (start, mut clips, mut seconds) = (cpu_seconds()?, 0, 0.0);
            while seconds < 0.2 {
                for (video, frames) in self.frames.iter().enumerate() {
                    let first = frames.saturating_sub(16 * stride) / 2;
                    self.read(&mut work, video, (0..16).map(|i| (first + i * stride).min(frames - 1)), &mut clip)?;
                    black_box(&clip);
                    clips += 1;
                }
                seconds = cpu_seconds()? - start;
            }
            best = best.max(clips as f64 / seconds);
        }
        Ok(best)
    }

    fn psnr(&self, set: &PackedSet) -> Result<f64> {
        let mut work = Work::new()?;
        let (mut want, mut got) = (vec![0; set.frame_len()], vec![0; set.frame_len()]);
        let (mut squares, mut count) = (0u64, 0u64);
        for (video, frames) in self.frames.iter().enumerate() {
            for frame in (0..*frames).step_by(8) {
                set.read_frames(video, &[frame as u32], &mut want)?;
                self.read(&mut work, video, [frame].into_iter(), &mut got)?;
                squares += want.iter().zip(&got).map(|(a, b)| (a.abs_diff(*b) as u64).pow(2)).sum::<u64>();
                count += want.len() as u64;
            }
        }
        ensure!(squares == 0 || self.variant.0 == Yuv420, "{:?} is lossless, and what came back differs", self.variant);
        Ok(10.0 * (255.0f64.powi(2) * count as f64 / squares as f64).log10())
    }
}

struct Work {
    zstd: zstd::bulk::Decompressor<'static>,
    residual: Vec<u8>,
    planes: Vec<u8>,
    codecs: Codecs,
}

impl Work {
    fn new() -> Result<Work> {
        Ok(Work { zstd: zstd::bulk::Decompressor::new()?, residual: Vec::new(), planes: Vec::new(), codecs: Codecs::default() })
    }
}

/// Seconds that this thread has spent on a processor: on a busy machine the clock on the wall says little.
fn cpu_seconds() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split(' ').next().context("schedstat")?.parse::<f64>()? / 1e9)
}

fn bytes(layout: Layout, (h, w): (usize, usize)) -> usize {
    let codec = if layout == Yuv420 { Codec::Yuv420 } else { Codec::Rgb };
    codec.content_len(h, w)
}

/// Height and width of each plane, interleaved RGB being one plane of three times the width.
fn planes(layout: Layout, (h, w): (usize, usize)) -> Vec<(usize, usize)> {
    let half = (h.div_ceil(2), w.div_ceil(2));
    match layout {
        Rgb => vec![(h, 3 * w)],
        Differences => vec![(h, w); 3],
        Yuv420 => vec![(h, w), half, half],
    }
}

/// Appends a frame's residual.
fn predict((layout, predictor, ..): Variant, size: (usize, usize), rgb: &[u8], residual: &mut Vec<u8>) {
    let (h, w) = size;
    let mut content = rgb.to_vec();
    if layout == Differences {
        for (i, p) in rgb.chunks_exact(3).enumerate() {
            (content[i], content[h * w + i], content[2 * h * w + i]) = (p[1], p[0].wrapping_sub(p[1]), p[2].wrapping_sub(p[1]));
        }
    } else if layout == Yuv420 {
        content.clear();
        Codec::Yuv420.content(rgb, h, w, &mut content);
    }
    let step = if layout == Rgb { 3 } else { 1 };
    let mut content = &content[..];
    for (h, w) in planes(layout, size) {
        let (plane, rest) = content.split_at(h * w);
        content = rest;
        for i in 0..h * w {
            let (left, above) = (i % w >= step, i >= w);
            let at = |there: bool, back: usize| if there { plane[i - back] } else { 0 };
            let guess = match predictor {
                None => 0,
                Left if !left => at(above, w),
                Median if !left => at(above, w),
                Above if !above => at(left, step),
                Left => at(left, step),
                Above => at(above, w),
                Median if !above => at(left, step),
                Median => median(at(left, step), at(above, w), at(above, w + step)),
            };
            residual.push(plane[i].wrapping_sub(guess));
        }
    }
}

fn median(left: u8, above: u8, corner: u8) -> u8 {
    let guess = left as i32 + above as i32 - corner as i32;
    guess.clamp(left.min(above) as i32, left.max(above) as i32) as u8
}

/// A frame's RGB from its residual; `work` and `codecs` are working memory.
fn restore(
    (layout, predictor, ..): Variant,
    (h, w): (usize, usize),
    residual: &[u8],
    work: &mut Vec<u8>,
    codecs: &mut Codecs,
    rgb: &mut [u8],
) {
    // What dv keeps is measured as dv does it.
    match (layout, predictor) {
        (Rgb, None) => return rgb.copy_from_slice(residual),
        (Differences, Above) => return Codec::Rgb.restore_rgb(residual, h, w, codecs, rgb),
        (Yuv420, None) => return Codec::Yuv420.to_rgb(residual, h, w, codecs, rgb),
        (Yuv420, Above) => return Codec::Yuv420.restore_rgb(residual, h, w, codecs, rgb),
        _ => {}
    }
    work.resize(residual.len(), 0);
    let mut at = 0;
    for (h, w) in planes(layout, (h, w)) {
        let (residual, plane) = (&residual[at..at + h * w], &mut work[at..at + h * w]);
        match (predictor, layout) {
            (None, _) => plane.copy_from_slice(residual),
            (Left, Rgb) => restore_left::<3>(residual, w, plane),
            (Left, _) => restore_left::<1>(residual, w, plane),
            (Above, Rgb) => restore_above::<3>(residual, w, plane),
            (Above, _) => restore_above::<1>(residual, w, plane),
            (Median, _) => restore_median(residual, w, plane),
        }
        at += h * w;
    }
    match layout {
        Rgb => rgb.copy_from_slice(work),
        Yuv420 => Codec::Yuv420.to_rgb(work, h, w, codecs, rgb),
        Differences => {
            let (g, rest) = work.split_at(h * w);
            let (r, b) = rest.split_at(h * w);
            for (((p, g), r), b) in rgb.chunks_exact_mut(3).zip(g).zip(r).zip(b) {
                p.copy_from_slice(&[r.wrapping_add(*g), *g, b.wrapping_add(*g)]);
            }
        }
    }
}

fn restore_left<const STEP: usize>(residual: &[u8], width: usize, plane: &mut [u8]) {
    let mut first = [0u8; STEP];
    for (residual, row) in residual.chunks_exact(width).zip(plane.chunks_exact_mut(width)) {
        let mut last = first;
        for (x, (delta, out)) in residual.chunks_exact(STEP).zip(row.chunks_exact_mut(STEP)).enumerate() {
            for c in 0..STEP {
                last[c] = last[c].wrapping_add(delta[c]);
                out[c] = last[c];
            }
            if x == 0 {
                first = last;
            }
        }
    }
}

fn restore_above<const STEP: usize>(residual: &[u8], width: usize, plane: &mut [u8]) {
    restore_left::<STEP>(&residual[..width], width, &mut plane[..width]);
    for y in 1..residual.len() / width {
        let (done, rest) = plane.split_at_mut(y * width);
        let above = &done[(y - 1) * width..];
        for ((out, delta), above) in rest.iter_mut().zip(&residual[y * width..(y + 1) * width]).zip(above) {
            *out = above.wrapping_add(*delta);
        }
    }
}

fn restore_median(residual: &[u8], width: usize, plane: &mut [u8]) {
    restore_left::<1>(&residual[..width], width, &mut plane[..width]);
    for y in 1..residual.len() / width {
        let (done, rest) = plane.split_at_mut(y * width);
        let (above, residual) = (&done[(y - 1) * width..], &residual[y * width..(y + 1) * width]);
        let (mut left, mut corner) = (above[0].wrapping_add(residual[0]), above[0]);
        rest[0] = left;
        for ((out, above), delta) in rest[..width].iter_mut().zip(above).zip(residual).skip(1) {
            left = median(left, *above, corner).wrapping_add(*delta);
            corner = *above;
            *out = left;
        }
    }
}
