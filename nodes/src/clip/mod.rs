//! Which frames of a video make a clip.

pub mod at;
pub mod stage_prototype;
pub mod uniform;

use dv_graph::kind::{In, Inputs};
use dv_graph::port::{Axis, Dim, Port, Type};
use dv_graph::settings::SettingFaults;
use dv_train::batch::NodeEntry;

pub static NODES: &[NodeEntry] =
    &[NodeEntry::sample::<stage_prototype::StagePrototype>(), NodeEntry::sample::<uniform::Uniform>(), NodeEntry::sample::<at::At>()];

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
