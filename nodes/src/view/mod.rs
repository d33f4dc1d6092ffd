//! What becomes of pixels: crops, sizes, colours.

use crate::prelude::*;

mod box_filter;
mod colour;

family! {
    both random_crop::RandomCrop,
    both center_crop::CenterCrop,
    both corner_crop::CornerCrop,
    both random_sized_crop::RandomSizedCrop,
    both resize::Resize,
    both mirror::Mirror,
    batch color_jitter::ColorJitter,
    batch color_jitter_frames::ColorJitterFrames,
    batch gaussian_blur::GaussianBlur,
    batch grayscale::Grayscale,
    batch normalize::Normalize,
    batch residual::Residual,
    both repeat_frame::RepeatFrame,
    batch choose::Choose,
}

/// The fault of a square that is larger than the frame, where the frame's size is known.
fn fits(clips: &Port, side: usize, setting: &str) -> Result<(), PortFault> {
    let [height, width] = [&clips.shape[2], &clips.shape[3]];
    if [height, width].iter().any(|length| length.known().is_some_and(|length| side > length)) {
        return Err(PortFault::setting(setting, format!("a square of {side} does not fit in {height}x{width}")));
    }
    Ok(())
}

/// The same for frames that are there.
fn check_fits(side: usize, [height, width]: [usize; 2]) -> Result<()> {
    ensure!(side <= height.min(width), "a square of {side} does not fit in {height}x{width}");
    Ok(())
}
