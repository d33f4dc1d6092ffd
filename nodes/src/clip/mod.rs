//! Which frames of a video make a clip.

use crate::prelude::*;

family! {
    sample stage_prototype::StagePrototype,
    sample random::Random,
    sample random_padded::RandomPadded,
    sample tuple::Tuple,
    sample uniform::Uniform,
    sample windows::Windows,
    sample spread::Spread,
    sample pace::Pace,
    sample at::At,
    sample trim::Trim,
}

#[derive(Ports)]
pub struct OneClip<P: Plane> {
    /// `3 length H W` the clip
    pub clips: P::Bytes,
}

#[derive(Ports)]
pub struct SeveralClips<P: Plane> {
    /// `clip.. 3 length H W` the clips, on an item axis `clip`, in the order of time
    pub clips: P::Bytes,
}

#[derive(Ports)]
pub struct Start<P: Plane> {
    /// `1` the first frame that is taken, in frames of the video
    #[range("frames")]
    pub start: P::Index,
}

/// From the first to the last frame of a clip, in frames of the video.
fn span(length: usize, stride: usize) -> usize {
    (length - 1) * stride + 1
}

/// Every `stride`-th frame from `start` on; the last one is repeated.
fn clamped(total: usize, start: usize, length: usize, stride: usize) -> impl Iterator<Item = usize> {
    (0..length).map(move |j| (start + j * stride).min(total - 1))
}

/// Of a video too short for a clip: every `stride`-th frame from `start` on, the rest of the clip its first frame before them
/// or its last behind.
fn padded(total: usize, start: usize, length: usize, stride: usize, before: bool) -> Vec<usize> {
    let there: Vec<usize> = (0..length).map(|j| start + j * stride).take_while(|p| *p < total).collect();
    let fill = length - there.len();
    match before {
        true => std::iter::repeat_n(0, fill).chain(there).collect(),
        false => there.into_iter().chain(std::iter::repeat_n(total - 1, fill)).collect(),
    }
}

/// Uniform over the frames at which so many in a row begin that lie within the video, 0 where it is too short.
fn random_start(rng: &mut Rng, total: usize, span: usize) -> Vec<i64> {
    vec![rng.below((total + 1).saturating_sub(span).max(1)) as i64]
}

/// A frame that an edge or a feed may have brought.
fn frame(drawn: i64, total: usize, name: &str) -> Result<usize> {
    let frame = usize::try_from(drawn).unwrap_or(total);
    ensure!(frame < total, "`{name}` must lie in 0..{total}, the video's frames");
    Ok(frame)
}

#[cfg(test)]
pub mod tests {
    use dv_datasets::{PackedSet, SetOptions, SetWriter, VideoMeta};
    use dv_graph::host::Video;
    use std::sync::Arc;

    /// A video of so many frames of 2 x 2 pixels, each of which holds the frame's number (its remainder by 256).
    pub fn video(frames: usize) -> Video {
        let folder = tempfile::tempdir().unwrap();
        let mut options = SetOptions::new("numbers", 2, 2);
        options.fsync = false;
        let mut writer = SetWriter::create(&folder.path().join("numbers"), options).unwrap();
        let meta = VideoMeta { path: "v.avi".into(), splits: vec!["train".into()], ..VideoMeta::default() };
        writer.add_video(meta, (0..frames).map(|f| vec![f as u8; 2 * 2 * 3])).unwrap();
        writer.finish().unwrap();
        Video::new(Arc::new(PackedSet::open(&folder.path().join("numbers")).unwrap()), 0).unwrap()
    }
}
