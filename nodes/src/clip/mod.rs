//! Which frames of a video make a clip.

pub mod at;
pub mod random_padded;
pub mod stage_prototype;
pub mod uniform;
pub mod windows;

use dv_graph::kind::{In, Inputs};
use dv_graph::port::{Axis, Dim, Port, Type};
use dv_graph::settings::SettingFaults;
use dv_train::batch::NodeEntry;

pub static NODES: &[NodeEntry] =
    &[NodeEntry::sample::<stage_prototype::StagePrototype>(), NodeEntry::sample::<random_padded::RandomPadded>(), NodeEntry::sample::<uniform::Uniform>(), NodeEntry::sample::<windows::Windows>(), NodeEntry::sample::<at::At>()];

const FRAMES: In = In::new("frames", &[Type::Video], "3 frames H W", "the video");

/// A port of clips of so many frames, as large as the video's.
fn clip_port(inputs: &Inputs, length: usize) -> Port {
    let shape = &inputs.port("frames").shape;
    Port::bytes([3.into(), Dim::Known(length), shape[2].clone(), shape[3].clone()])
}

fn with_clips(port: Port, clips: usize) -> Port {
    port.with_axis(Axis::counted("clip", clips))
}

fn check_length_and_stride(length: usize, stride: usize, faults: &mut SettingFaults) {
    faults.require(length > 0, "length", "must be at least 1 frame");
    faults.require(stride > 0, "stride", "must be at least 1 frame");
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
