//! Which frames of a video make a clip.

pub mod at;
pub mod random;
pub mod random_padded;
pub mod stage_prototype;
pub mod trim;
pub mod tuple;
pub mod uniform;
pub mod windows;

use anyhow::{ensure, Result};
use dv_graph::host::SampleIo;
use dv_graph::kind::{In, Inputs};
use dv_graph::port::{Axis, Dim, Port, Type};
use dv_train::exec::batch::NodeEntry;

pub static NODES: &[NodeEntry] = &[
    NodeEntry::sample::<stage_prototype::StagePrototype>(),
    NodeEntry::sample::<random::Random>(),
    NodeEntry::sample::<random_padded::RandomPadded>(),
    NodeEntry::sample::<tuple::Tuple>(),
    NodeEntry::sample::<uniform::Uniform>(),
    NodeEntry::sample::<windows::Windows>(),
    NodeEntry::sample::<at::At>(),
    NodeEntry::sample::<trim::Trim>(),
];

const FRAMES: In = In::new("frames", &[Type::Video], "3 frames H W", "the video");

/// A port of clips of so many frames, as large as the video's.
fn clip_port(inputs: &Inputs, length: usize) -> Port {
    let shape = &inputs.port("frames").shape;
    Port::bytes([3.into(), Dim::Known(length), shape[2].clone(), shape[3].clone()])
}

fn with_clips(port: Port, clips: usize) -> Port {
    port.with_axis(Axis::counted("clip", clips))
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

/// A draw `start`: uniform over the frames at which so many in a row begin that lie within the video, 0 where it is too short.
fn random_start(io: &mut SampleIo, total: usize, span: usize) -> Result<usize> {
    let drawn = io.draw_index("start", &[1], |rng| vec![rng.below((total + 1).saturating_sub(span).max(1)) as i64])?;
    let start = usize::try_from(drawn[0]).unwrap_or(total);
    ensure!(start < total, "`start` must lie in 0..{total}, the video's frames");
    Ok(start)
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
