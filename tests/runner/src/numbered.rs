//! A packed set of one video whose frames show their numbers in their colours, so that clips tell which frames they are.

use anyhow::Result;
use dv_datasets::{SetOptions, SetWriter, VideoMeta};
use std::path::Path;

/// Height and width of its frames.
const SIDE: u32 = 8;

pub fn write(out: &Path, frames: usize) -> Result<()> {
    if let Some(folder) = out.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = SetOptions::new("numbered", SIDE, SIDE);
    options.fsync = false;
    options.classes = vec!["Video".into()];
    let mut writer = SetWriter::create(out, options)?;
    let meta = VideoMeta { path: "Video/numbered.avi".into(), class: Some(0), splits: vec!["all".into()], ..VideoMeta::default() };
    let pixels = |n: usize| [(n >> 16) as u8, (n >> 8) as u8, n as u8].repeat((SIDE * SIDE) as usize);
    writer.add_video(meta, (0..frames).map(pixels))?;
    writer.finish().map(drop)
}
