//! What becomes of pixels: crops, sizes, colours.

pub mod center_crop;
pub mod choose;
pub mod color_jitter;
pub mod color_jitter_frames;
pub mod corner_crop;
pub mod crop;
pub mod gaussian_blur;
pub mod mirror;
pub mod normalize;
pub mod random_crop;
pub mod random_sized_crop;
pub mod repeat_frame;
pub mod residual;
pub mod resize;

use dv_graph::kind::{In, Out};
use dv_train::exec::batch::NodeEntry;

pub static NODES: &[NodeEntry] = &[
    NodeEntry::both::<random_crop::RandomCrop>(),
    NodeEntry::both::<center_crop::CenterCrop>(),
    NodeEntry::both::<corner_crop::CornerCrop>(),
    NodeEntry::both::<random_sized_crop::RandomSizedCrop>(),
    NodeEntry::both::<resize::Resize>(),
    NodeEntry::both::<mirror::Mirror>(),
    NodeEntry::batch::<color_jitter::ColorJitter>(),
    NodeEntry::batch::<color_jitter_frames::ColorJitterFrames>(),
    NodeEntry::batch::<gaussian_blur::GaussianBlur>(),
    NodeEntry::batch::<normalize::Normalize>(),
    NodeEntry::batch::<residual::Residual>(),
    NodeEntry::both::<repeat_frame::RepeatFrame>(),
    NodeEntry::batch::<choose::Choose>(),
];

const CLIPS: In = In::new("clips", crate::pixels::PIXELS, "3 T H W", "clips");
const SQUARE: Out = Out::new("clips", "3 T size size", "the clips at that size, of the type that came in");
