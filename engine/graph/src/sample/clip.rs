//! Clips of the sample plane: which frames, and what becomes of their pixels. Nothing is decoded before a clip is painted; then each frame
//! is restored once, whatever number of clips shows it, and goes from there to where it is to lie.

use super::host::{Array, Video};
use crate::budget::product;
use anyhow::{bail, ensure, Result};
use dv_datasets::{resize_rgb, Crop, Filter};
use std::cell::RefCell;
use std::sync::Arc;

/// A rectangle of a frame, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    pub top: usize,
    pub left: usize,
    pub height: usize,
    pub width: usize,
}

impl Region {
    /// A square, from numbers that an edge or a feed may have brought. Error: it leaves the frame.
    pub fn square(top: i64, left: i64, side: i64, [height, width]: [usize; 2]) -> Result<Region> {
        let inside = |start: i64, length: usize| start >= 0 && side > 0 && start.checked_add(side).is_some_and(|end| end <= length as i64);
        ensure!(inside(top, height) && inside(left, width), "a square of {side} at {top}, {left} leaves the frame of {height}x{width}");
        Ok(Region { top: top as usize, left: left as usize, height: side as usize, width: side as usize })
    }
}

/// What a view makes of a clip's geometry: frames in another order, then a part of each, then another size, then left and right exchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transform {
    /// For each frame of the result, which one of the clip it is.
    pub frames: Option<Vec<usize>>,
    pub region: Option<Region>,
    /// Height and width: Pillow's antialiased bilinear filter.
    pub size: Option<[usize; 2]>,
    pub mirrored: bool,
}

impl Transform {
    pub fn crop(region: Region) -> Transform {
        Transform { region: Some(region), ..Transform::default() }
    }
    pub fn resized(self, size: [usize; 2]) -> Transform {
        Transform { size: Some(size), ..self }
    }
    pub fn mirror(mirrored: bool) -> Transform {
        Transform { mirrored, ..Transform::default() }
    }
    pub fn frames(frames: Vec<usize>) -> Transform {
        Transform { frames: Some(frames), ..Transform::default() }
    }
}

/// What writes a clip's pixels, for a node that makes them itself: into the place in the batch where they are to lie.
pub trait Paint: Send + Sync {
    /// Writes `[T, H, W, 3]` bytes, which are zero so far.
    fn paint(&self, out: &mut [u8]) -> Result<()>;
}

/// Where the frames of a clip come from.
#[derive(Clone)]
enum Source {
    Video(Video),
    Pixels(Array<u8>),
    Painted(Arc<dyn Paint>),
}

/// One step of the geometry: a part of the frame, at a size, mirrored or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    region: Region,
    size: [usize; 2],
    mirrored: bool,
}

impl Step {
    fn resizes(&self) -> bool {
        self.size != [self.region.height, self.region.width]
    }
}

/// One clip of a sample.
#[derive(Clone)]
pub struct Clip {
    source: Source,
    /// Frames of the source, in order.
    frames: Vec<u32>,
    steps: Vec<Step>,
    /// Height and width of the source.
    from: [usize; 2],
}

impl std::fmt::Debug for Clip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a clip of {:?}", self.size())
    }
}

/// By pixels.
impl PartialEq for Clip {
    fn eq(&self, other: &Clip) -> bool {
        match (self.pixels(), other.pixels()) {
            (Ok(a), Ok(b)) => a == b,
            _ => false,
        }
    }
}

/// Bytes of a clip that may be more than the machine has.
const LARGE: usize = 1 << 28;

impl Clip {
    /// These frames of a video. Error: it has no such frame.
    pub fn of(video: &Video, positions: &[usize]) -> Result<Clip> {
        if let Some(p) = positions.iter().find(|p| **p >= video.frames()) {
            bail!("frame {p} of a video of {} frames", video.frames());
        }
        let [height, width] = video.size();
        let bytes = usize::try_from(product([positions.len(), height, width, 3])).unwrap_or(usize::MAX);
        // an allocation that fails ends the process: large ones are tried first
        if bytes > LARGE && Vec::<u8>::new().try_reserve_exact(bytes).is_err() {
            bail!("no memory for a clip of {} frames, {bytes} bytes: make it shorter", positions.len());
        }
        let frames = positions.iter().map(|p| *p as u32).collect();
        Ok(Clip { source: Source::Video(video.clone()), frames, steps: Vec::new(), from: [height, width] })
    }
    /// Pixels `[T, H, W, 3]`.
    pub fn of_pixels(pixels: Array<u8>) -> Result<Clip> {
        let [time, height, width, 3] = pixels.shape[..] else { bail!("a clip must be [T, H, W, 3], not {:?}", pixels.shape) };
        Ok(Clip { source: Source::Pixels(pixels), frames: (0..time as u32).collect(), steps: Vec::new(), from: [height, width] })
    }
    /// A clip of that size that is painted when it is needed.
    pub fn painted([time, height, width]: [usize; 3], paint: Arc<dyn Paint>) -> Clip {
        Clip { source: Source::Painted(paint), frames: (0..time as u32).collect(), steps: Vec::new(), from: [height, width] }
    }
    /// Time, height and width.
    pub fn size(&self) -> [usize; 3] {
        let [height, width] = self.steps.last().map_or(self.from, |step| step.size);
        [self.frames.len(), height, width]
    }
    /// Whether it shows all frames in their order.
    fn is_whole(&self) -> bool {
        self.frames.iter().enumerate().all(|(i, frame)| i == *frame as usize)
    }
    /// Bytes of its pixels.
    pub fn bytes(&self) -> usize {
        self.size().iter().product::<usize>() * 3
    }
    /// The clip with its geometry changed. Error: a frame or a region that it does not have.
    pub fn transformed(mut self, transform: &Transform) -> Result<Clip> {
        let [time, height, width] = self.size();
        if let Some(frames) = &transform.frames {
            let pick = |f: &usize| self.frames.get(*f).copied().ok_or_else(|| anyhow::anyhow!("frame {f} of a clip of {time} frames"));
            self.frames = frames.iter().map(pick).collect::<Result<_>>()?;
        }
        let region = transform.region.unwrap_or(Region { top: 0, left: 0, height, width });
        let fits = region.top + region.height <= height && region.left + region.width <= width && region.height > 0 && region.width > 0;
        ensure!(fits, "{region:?} leaves the frame of {height}x{width}");
        let step = Step { region, size: transform.size.unwrap_or([region.height, region.width]), mirrored: transform.mirrored };
        self.add(step);
        Ok(self)
    }
    /// Steps that move whole pixels only become one.
    fn add(&mut self, step: Step) {
        let [_, height, width] = self.size();
        if step == (Step { region: Region { top: 0, left: 0, height, width }, size: [height, width], mirrored: false }) {
            return;
        }
        match self.steps.last_mut() {
            Some(last) if !last.resizes() => {
                let left = if last.mirrored { last.region.width - step.region.left - step.region.width } else { step.region.left };
                let region = Region { top: last.region.top + step.region.top, left: last.region.left + left, ..step.region };
                // a mirrored picture that is resized is not to the bit the resized one mirrored: only whole pixels are moved past it
                if !step.resizes() || !last.mirrored {
                    *last = Step { region, size: step.size, mirrored: last.mirrored != step.mirrored };
                } else {
                    self.steps.push(step);
                }
            }
            Some(last) if step.region == (Region { top: 0, left: 0, height, width }) && !step.resizes() => last.mirrored ^= step.mirrored,
            _ => self.steps.push(step),
        }
    }
    /// Its pixels `[T, H, W, 3]`.
    pub fn pixels(&self) -> Result<Array<u8>> {
        let [time, height, width] = self.size();
        let mut data = vec![0; self.bytes()];
        paint(&mut [(self, &mut data)])?;
        Ok(Array::new(vec![time, height, width, 3], data))
    }
    /// One frame of the source into its place.
    fn draw(&self, frame: &[u8], out: &mut [u8], [now, next]: &mut [Vec<u8>; 2]) -> Result<()> {
        let Some((last, before)) = self.steps.split_last() else {
            out.copy_from_slice(frame);
            return Ok(());
        };
        let mut size = self.from;
        for (i, step) in before.iter().enumerate() {
            next.resize(step.size[0] * step.size[1] * 3, 0);
            step.draw(if i == 0 { frame } else { now }, size, next)?;
            std::mem::swap(now, next);
            size = step.size;
        }
        last.draw(if before.is_empty() { frame } else { now }, size, out)
    }
}

impl Step {
    /// The step's part of a frame of that height and width, at its size.
    fn draw(&self, frame: &[u8], [height, width]: [usize; 2], out: &mut [u8]) -> Result<()> {
        let Region { top, left, height: rows, width: columns } = self.region;
        if self.resizes() {
            let part = Crop { top, left, height: rows, width: columns };
            let whole = part == Crop { top: 0, left: 0, height, width };
            resize_rgb(frame, (height, width), (!whole).then_some(part), out, (self.size[0], self.size[1]), Filter::Bilinear)?;
            if self.mirrored {
                out.chunks_exact_mut(self.size[1] * 3).for_each(|row| row.as_chunks_mut::<3>().0.reverse());
            }
            return Ok(());
        }
        for (from, to) in frame.chunks_exact(width * 3).skip(top).zip(out.chunks_exact_mut(columns * 3)) {
            let from = &from[left * 3..(left + columns) * 3];
            if self.mirrored {
                to.as_chunks_mut::<3>().0.iter_mut().zip(from.as_chunks::<3>().0.iter().rev()).for_each(|(to, from)| *to = *from);
            } else {
                to.copy_from_slice(from);
            }
        }
        Ok(())
    }
}

/// A frame that a clip shows: of which video, which one, in which clip, and where in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Shown {
    video: usize,
    frame: u32,
    clip: u32,
    place: u32,
}

#[derive(Default)]
struct Scratch {
    shown: Vec<Shown>,
    frames: Vec<u32>,
    steps: [Vec<u8>; 2],
    painted: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Writes the pixels of clips, `[T, H, W, 3]` each, to their places. Errors: those of reading the set, or of a node that paints.
pub fn paint(clips: &mut [(&Clip, &mut [u8])]) -> Result<()> {
    // taken out: a node that paints may paint other clips meanwhile
    let mut scratch = SCRATCH.take();
    let result = scratch.paint(clips);
    SCRATCH.set(scratch);
    result
}

impl Scratch {
    fn paint(&mut self, clips: &mut [(&Clip, &mut [u8])]) -> Result<()> {
        let Scratch { shown, frames, steps, painted } = self;
        shown.clear();
        let mut first: Option<&Video> = None;
        for (number, (clip, out)) in clips.iter_mut().enumerate() {
            ensure!(out.len() == clip.bytes(), "{} bytes for {clip:?}", out.len());
            let [_, height, width] = clip.size();
            match &clip.source {
                Source::Pixels(pixels) => {
                    let length = clip.from[0] * clip.from[1] * 3;
                    for (frame, out) in clip.frames.iter().zip(out.chunks_exact_mut(height * width * 3)) {
                        clip.draw(&pixels.data[*frame as usize * length..][..length], out, steps)?;
                    }
                }
                Source::Painted(paint) if clip.steps.is_empty() && clip.is_whole() => {
                    out.fill(0);
                    paint.paint(out)?;
                }
                Source::Painted(paint) => {
                    let length = clip.from[0] * clip.from[1] * 3;
                    let count = clip.frames.iter().map(|f| *f as usize + 1).max().unwrap_or(0);
                    painted.clear();
                    painted.resize(count * length, 0);
                    paint.paint(painted)?;
                    for (frame, out) in clip.frames.iter().zip(out.chunks_exact_mut(height * width * 3)) {
                        clip.draw(&painted[*frame as usize * length..][..length], out, steps)?;
                    }
                }
                Source::Video(video) => {
                    let set = first.get_or_insert(video);
                    ensure!(Arc::ptr_eq(&set.set, &video.set), "the clips of one sample come from several sets");
                    let shows = clip.frames.iter().enumerate();
                    shown.extend(shows.map(|(place, frame)| Shown {
                        video: video.index,
                        frame: video.first() + frame,
                        clip: number as u32,
                        place: place as u32,
                    }));
                }
            }
        }
        let Some(first) = first else { return Ok(()) };
        shown.sort_unstable();
        for of_video in shown.chunk_by(|a, b| a.video == b.video) {
            frames.clear();
            frames.extend(of_video.iter().map(|s| s.frame));
            frames.dedup();
            let mut groups = of_video.chunk_by(|a, b| a.frame == b.frame);
            first.set.visit(of_video[0].video, frames, |rgb| {
                for at in groups.next().unwrap_or_default() {
                    let (clip, out) = &mut clips[at.clip as usize];
                    let [_, height, width] = clip.size();
                    let length = height * width * 3;
                    clip.draw(rgb, &mut out[at.place as usize * length..][..length], steps)?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// The clips of one sample: one, or those on item axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Clips {
    /// Lengths of the item axes.
    pub axes: Vec<usize>,
    pub items: Vec<Clip>,
}

impl From<Clip> for Clips {
    fn from(clip: Clip) -> Clips {
        Clips { axes: Vec::new(), items: vec![clip] }
    }
}

impl Clips {
    /// On one item axis.
    pub fn on_axis(items: Vec<Clip>) -> Clips {
        Clips { axes: vec![items.len()], items }
    }
    /// The one clip there is. Error: there are item axes.
    pub fn single(self) -> Result<Clip> {
        match <[Clip; 1]>::try_from(self.items) {
            Ok([clip]) if self.axes.is_empty() => Ok(clip),
            _ => bail!("one clip was expected, and these have item axes {:?}", self.axes),
        }
    }
    /// Time, height and width of each.
    pub fn size(&self) -> [usize; 3] {
        self.items.first().map_or([0; 3], Clip::size)
    }
    /// `[items..., T, H, W, 3]`
    pub fn shape(&self) -> Vec<usize> {
        self.axes.iter().copied().chain(self.size()).chain([3]).collect()
    }
    /// Of one axis, one item.
    pub(crate) fn select(&self, axis: usize, index: usize) -> Clips {
        let inner: usize = self.axes[axis + 1..].iter().product();
        let length = self.axes[axis];
        let mut axes = self.axes.clone();
        axes.remove(axis);
        let items = self.items.iter().enumerate().filter(|(i, _)| i / inner % length == index).map(|(_, clip)| clip.clone());
        Clips { axes, items: items.collect() }
    }
    /// One item of the first axes.
    pub(crate) fn item(&self, axes: usize, item: usize) -> Clips {
        let inner: usize = self.axes[axes..].iter().product();
        Clips { axes: self.axes[axes..].to_vec(), items: self.items[item * inner..(item + 1) * inner].to_vec() }
    }
    /// Their pixels `[items..., T, H, W, 3]`.
    pub fn pixels(&self) -> Result<Array<u8>> {
        let mut data = vec![0; self.items.iter().map(Clip::bytes).sum()];
        paint(&mut self.places(&mut data).collect::<Vec<_>>())?;
        Ok(Array::new(self.shape(), data))
    }
    /// Each clip with its place among the bytes of all.
    pub(crate) fn places<'a>(&'a self, mut bytes: &'a mut [u8]) -> impl Iterator<Item = (&'a Clip, &'a mut [u8])> {
        self.items.iter().map(move |clip| {
            let (own, rest) = std::mem::take(&mut bytes).split_at_mut(clip.bytes());
            bytes = rest;
            (clip, own)
        })
    }
}
