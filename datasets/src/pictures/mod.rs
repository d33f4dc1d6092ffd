//! Folders of numbered pictures, each the frames of one video: decoded here, without ffmpeg.

mod names;
mod rgb;

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{bail, Result};
use sha2::{Digest, Sha256};

use crate::decode::{Decoded, Frame, Limits, Outcome};
use crate::file::{self, Limit, Why};

pub(crate) use names::{is_picture, order, Fault};

/// Largest file of a picture.
const PICTURE: Limit = Limit::new(256_000_000, "a picture");

/// What the files of a folder are together.
pub(crate) struct Source {
    /// Of all pictures.
    pub bytes: u64,
    /// SHA-256, in hex, of each picture's name, a zero byte, its length as 8 bytes, the lowest first, and its bytes.
    pub sha256: String,
    pub outcome: Outcome,
}

/// Decodes the pictures of a folder in the order of their numbers. `each` gets every frame; its error ends decoding and is returned. A picture
/// that does not decode, or is of another size than the first, is no error but the folder's rejection. Errors: a file that cannot be read.
pub(crate) fn decode(folder: &Path, each: &mut dyn FnMut(Frame) -> Result<()>) -> Result<Source> {
    let names = match names_in(folder) {
        Ok(names) => names,
        Err(e) => bail!("the folder cannot be read: {e}"),
    };
    let rejected = |reason: String| Ok(Source { bytes: 0, sha256: String::new(), outcome: Outcome::Rejected(reason) });
    let names = match order(names.iter().map(String::as_str)) {
        Ok(names) => names.into_iter().map(str::to_owned).collect::<Vec<_>>(),
        Err(fault) => return rejected(fault.to_string()),
    };
    let most = Limits::default().frames as usize;
    if names.len() > most {
        return rejected(format!("it has more than {most} pictures: split it into several folders"));
    }
    let mut hasher = Sha256::new();
    let (mut bytes, mut first, mut rgb) = (0, None, Vec::new());
    for name in &names {
        let content = match file::read(&folder.join(name), PICTURE) {
            Ok(content) => content,
            Err(e) => match e.why {
                Why::Io(e) => bail!("the picture {name} cannot be read: {e}"),
                why => return rejected(format!("the picture {name} cannot be read: {why}")),
            },
        };
        add(&mut hasher, name, &content);
        bytes += content.len() as u64;
        let size = match rgb::decode(&content, &mut rgb) {
            Ok(size) => size,
            Err(why) => return rejected(format!("the picture {name} does not decode: {why}")),
        };
        let (height, width) = *first.get_or_insert(size);
        if size != (height, width) {
            let (h, w) = size;
            return rejected(format!("the picture {name} is {w}x{h} pixels, and the first is {width}x{height}"));
        }
        each(Frame::of_rgb(&rgb, size))?;
    }
    let (height, width) = first.unwrap_or_default();
    let decoded = Decoded { frames: names.len() as u32, height, width, fps: None, note: None };
    let sha256 = hasher.finalize().iter().map(|b| format!("{b:02x}")).collect();
    Ok(Source { bytes, sha256, outcome: Outcome::Decoded(decoded) })
}

/// The SHA-256 that [`decode`] gives of a folder; `None` where it would reject it or fail.
pub(crate) fn sha256(folder: &Path) -> Option<[u8; 32]> {
    let names = names_in(folder).ok()?;
    let mut hasher = Sha256::new();
    for name in order(names.iter().map(String::as_str)).ok()? {
        add(&mut hasher, name, &file::read(&folder.join(name), PICTURE).ok()?);
    }
    Some(hasher.finalize().into())
}

fn add(hasher: &mut Sha256, name: &str, content: &[u8]) {
    hasher.update(name.as_bytes());
    hasher.update([0]);
    hasher.update((content.len() as u64).to_le_bytes());
    hasher.update(content);
}

/// Names of the files in a folder that are not hidden.
pub(crate) fn names_in(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if !name.as_encoded_bytes().starts_with(b".") && !entry.path().is_dir() {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}
