//! What the ending of a file's name says it is, and folders of frames, which are refused by name.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::walk::Found;

/// Pictures, as frames are stored.
const PICTURES: [&str; 13] = ["jpg", "jpeg", "png", "bmp", "webp", "tif", "tiff", "ppm", "pgm", "pnm", "avif", "heic", "jp2"];
/// What lies beside videos and is none.
const BESIDE: [&str; 18] =
    ["txt", "csv", "tsv", "json", "xml", "yaml", "yml", "md", "html", "srt", "vtt", "ass", "nfo", "part", "npy", "npz", "pkl", "log"];

fn ending(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.rsplit_once('.').map_or(String::new(), |(_, ending)| ending.to_ascii_lowercase())
}

fn is_picture(path: &str) -> bool {
    PICTURES.contains(&ending(path).as_str())
}

/// Whether a file may be a video by its name: neither a picture nor a text.
pub(super) fn may_be_video(path: &str) -> bool {
    !is_picture(path) && !BESIDE.contains(&ending(path).as_str())
}

/// Why a folder of frames is refused.
fn refuse(folder: &str, count: usize, first: &str) -> String {
    format!(
        "{folder} is a folder of pictures ({count}, such as {first}): folders of frames are unsupported; \
         give --videos the folder of the video files that the frames were taken from"
    )
}

/// The first folder that holds several pictures and nothing that may be a video, as an error says it.
pub(super) fn frames(found: &Found) -> Option<String> {
    let mut folders: BTreeMap<&str, (usize, usize, &str)> = BTreeMap::new();
    for (path, _) in &found.files {
        let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
        // Counters beside frames have no ending: `n_frames`.
        let video = may_be_video(path) && name.contains('.');
        let (pictures, videos, first) = folders.entry(folder).or_insert((0, 0, name));
        if is_picture(path) {
            *first = if *pictures == 0 { name } else { first };
            *pictures += 1;
        }
        *videos += usize::from(video);
    }
    let (folder, (count, _, first)) = folders.into_iter().find(|(_, (pictures, videos, _))| *pictures > 1 && *videos == 0)?;
    Some(refuse(folder, count, first))
}

/// The same of one folder that a list names.
pub(super) fn listed_frames(folder: &str, at: &Path) -> Option<String> {
    let names = fs::read_dir(at).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut pictures: Vec<String> = names.filter(|name| is_picture(name)).collect();
    pictures.sort();
    Some(refuse(folder, pictures.len(), pictures.first()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(paths: &[&str]) -> Option<String> {
        let files = paths.iter().map(|path| (path.to_string(), Path::new("v").join(path))).collect();
        frames(&Found { files, ..Found::default() })
    }

    #[test]
    fn folders_of_frames_are_named() {
        let said_of = said(&["A/v1/image_00001.JPG", "A/v1/image_00002.JPG", "A/v1/n_frames", "A/v1/x.txt"]).unwrap();
        assert!(said_of.starts_with("A/v1 is a folder of pictures (2, such as image_00001.JPG)"), "{said_of}");
        assert!(said(&["1.png", "2.png"]).unwrap().starts_with(". is a folder"));
        for none in [&["A/x.avi", "A/1.jpg", "A/2.jpg"][..], &["A/1.jpg", "B/2.jpg"], &["A/1.gif", "A/2.gif"], &[]] {
            assert_eq!(said(none), None);
        }
    }
}
