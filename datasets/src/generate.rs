//! The generated data set: videos whose classes only motion tells apart.
//!
//! Every frame is a window on one endless texture. Place, angle and zoom of the window have the same distribution in
//! every single frame of every class, so that a still picture says nothing about the class.

mod encode;
mod field;
mod math;
mod motion;
mod smoke;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{bail, Context, Result};
use rayon::prelude::*;

use crate::Ffmpeg;
use field::Field;
pub use motion::{Motion, CLASSES};
pub use smoke::{smoke_set, SmokeSpec};

/// Height and width of a frame.
pub const SIDE: usize = 64;
/// Frames of a video.
pub const FRAMES: usize = 64;
/// Frames a second, as the files say.
pub const FPS: u32 = 25;
/// As in UCF101, a video's name has a group, and a group is in one split only: the first half tests. Each clip of a group is drawn by
/// itself, however, so `groups.txt` makes each a group of its own.
pub const GROUPS: usize = 10;
/// Clips of a group.
pub const CLIPS: usize = 4;
/// Videos of the set.
pub const VIDEOS: usize = CLASSES.len() * GROUPS * CLIPS;

/// What to generate, and where.
pub struct MotionSet<'a> {
    /// Draws the videos; the texture does not depend on it.
    pub seed: u64,
    /// The folder to make.
    pub out: &'a Path,
    /// None: one a core. Changes nothing but the speed.
    pub threads: Option<usize>,
    pub ffmpeg: &'a Ffmpeg,
    /// Told how many videos are done and how many there will be.
    pub progress: &'a (dyn Fn(usize, usize) + Sync),
}

/// One video of the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Video {
    /// Index into [`CLASSES`].
    pub class: usize,
    /// From 1.
    pub group: usize,
    /// From 1.
    pub clip: usize,
}

impl Video {
    /// All videos, in the order of the lists.
    pub fn all() -> Vec<Self> {
        let clips = |class, group| (1..=CLIPS).map(move |clip| Self { class, group, clip });
        let groups = |class| (1..=GROUPS).flat_map(move |group| clips(class, group));
        (0..CLASSES.len()).flat_map(groups).collect()
    }

    /// Path below `videos`, in UCF101's form.
    pub fn path(&self) -> String {
        let class = CLASSES[self.class].name();
        format!("{class}/v_{class}_g{:02}_c{:02}.avi", self.group, self.clip)
    }

    fn tests(&self) -> bool {
        self.group <= GROUPS / 2
    }

    /// All frames, RGB, a pure function of the seed and the video's path.
    fn frames(&self, field: &Field, seed: u64) -> Vec<u8> {
        let mut draw = math::Draw::new(seed, &self.path());
        let mut window = motion::Window::draw(&mut draw);
        let course = CLASSES[self.class].draw(&mut draw);
        let mut frames = Vec::with_capacity(FRAMES * SIDE * SIDE * 3);
        for frame in 0..FRAMES {
            field.render(&window, SIDE, SIDE, &mut frames);
            window.step(course.at(frame));
        }
        frames
    }
}

/// Writes the set: `videos/<Class>/v_<Class>_gNN_cNN.avi` and `splits/{classInd,trainlist01,testlist01,groups}.txt`.
/// The folder appears at once when all is done. Gives the number of videos.
pub fn motion(set: &MotionSet) -> Result<usize> {
    if set.out.symlink_metadata().is_ok() {
        bail!("{} exists: remove it, or name another folder", set.out.display());
    }
    let part = part_folder(set.out)?;
    let videos = Video::all();
    write_splits(&part.join("splits"), &videos)?;
    for class in CLASSES {
        make_dir(&part.join("videos").join(class.name()))?;
    }
    let field = Field::new();
    let done = AtomicUsize::new(0);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(set.threads.unwrap_or(0)).build()?;
    let form = encode::Form { side: SIDE, frames: FRAMES, fps: FPS };
    let write = |videos: &[Video]| {
        let dir = part.join(format!("{}-{}", videos[0].class, videos[0].group));
        make_dir(&dir)?;
        let mut encoder = encode::Encoder::start(set.ffmpeg, &dir, form, videos.len())?;
        for video in videos {
            encoder.push(&video.frames(&field, set.seed))?;
            (set.progress)(done.fetch_add(1, Ordering::Relaxed) + 1, VIDEOS);
        }
        for (file, video) in encoder.finish()?.iter().zip(videos) {
            rename(file, &part.join("videos").join(video.path()))?;
        }
        std::fs::remove_dir(&dir).with_context(|| format!("cannot remove {}", dir.display()))
    };
    pool.install(|| videos.par_chunks(CLIPS * GROUPS / 2).try_for_each(write))?;
    rename(&part, set.out)?;
    Ok(videos.len())
}

/// An empty folder beside `out`, for what is not finished yet.
fn part_folder(out: &Path) -> Result<PathBuf> {
    let Some(name) = out.file_name() else { bail!("--out {}: not a folder's name", out.display()) };
    let mut part = std::ffi::OsString::from(".");
    part.push(name);
    part.push(".part");
    let part = out.with_file_name(part);
    if part.exists() {
        std::fs::remove_dir_all(&part).with_context(|| format!("cannot remove {}", part.display()))?;
    }
    make_dir(&part)?;
    Ok(part)
}

fn make_dir(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to).with_context(|| format!("cannot rename {} to {}", from.display(), to.display()))
}

fn write_splits(dir: &Path, videos: &[Video]) -> Result<()> {
    make_dir(dir)?;
    let write = |name: &str, text: String| {
        let path = dir.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    let (test, train): (Vec<&Video>, Vec<&Video>) = videos.iter().partition(|video| video.tests());
    let classes = CLASSES.iter().enumerate();
    write("classInd.txt", classes.map(|(i, class)| format!("{} {}\n", i + 1, class.name())).collect())?;
    write("groups.txt", videos.iter().map(|video| format!("{0} {0}\n", video.path())).collect())?;
    write("trainlist01.txt", train.iter().map(|video| format!("{} {}\n", video.path(), video.class + 1)).collect())?;
    write("testlist01.txt", test.iter().map(|video| format!("{}\n", video.path())).collect())
}

#[cfg(test)]
mod tests;
