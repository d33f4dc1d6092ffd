//! Tiny packed sets, made without ffmpeg: what `dv run --smoke` puts in the place of real ones.

use std::path::Path;

use anyhow::{bail, Result};

use super::field::Field;
use super::math::Draw;
use super::motion::Window;
use super::{CLASSES, FPS};
use crate::{SetOptions, SetWriter, VideoMeta};

/// What a smoke set is to look like.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SmokeSpec {
    pub height: u32,
    pub width: u32,
    pub splits: Vec<String>,
    /// How many classes the set names, as the real one does; its videos take them in turn.
    pub classes: usize,
    pub videos_per_split: usize,
    pub frames: usize,
}

/// Writes a packed set of moving textures into the folder `out`, which must not be there.
pub fn smoke_set(out: &Path, spec: &SmokeSpec) -> Result<()> {
    let Some(name) = out.file_name().and_then(|name| name.to_str()) else {
        bail!("{}: not a folder's name", out.display());
    };
    if spec.classes == 0 {
        bail!("a smoke set needs a class");
    }
    let mut options = SetOptions::new(name, spec.height, spec.width);
    options.fsync = false;
    options.classes = (0..spec.classes).map(|class| format!("Class{:03}", class + 1)).collect();
    let mut writer = SetWriter::create(out, options)?;
    let field = Field::new();
    let (height, width) = (spec.height as usize, spec.width as usize);
    for split in &spec.splits {
        for number in 0..spec.videos_per_split {
            let class = number % spec.classes;
            let path = format!("Class{:03}/{split}_{number:03}.avi", class + 1);
            let mut draw = Draw::new(0, &path);
            let mut window = Window::draw(&mut draw);
            let course = CLASSES[class % CLASSES.len()].draw(&mut draw);
            let frames = (0..spec.frames).map(|frame| {
                let mut pixels = Vec::with_capacity(height * width * 3);
                field.render(&window, height, width, &mut pixels);
                window.step(course.at(frame));
                pixels
            });
            let meta = VideoMeta {
                path,
                class: Some(class as u32),
                splits: vec![split.clone()],
                fps: Some(f64::from(FPS)),
                ..VideoMeta::default()
            };
            writer.add_video(meta, frames)?;
        }
    }
    writer.finish().map(drop)
}
