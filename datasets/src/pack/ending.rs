//! What the ending of a file's name says it is, and folders of frames: those that are videos, and those that are refused by name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::pictures::{is_picture, names_in, order, Fault};
use crate::walk::Found;

/// What lies beside videos and is none.
const BESIDE: [&str; 18] =
    ["txt", "csv", "tsv", "json", "xml", "yaml", "yml", "md", "html", "srt", "vtt", "ass", "nfo", "part", "npy", "npz", "pkl", "log"];
/// Files that hold others.
const ARCHIVES: [&str; 8] = ["zip", "tar", "tgz", "gz", "bz2", "xz", "7z", "rar"];

fn ending(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.rsplit_once('.').map_or(String::new(), |(_, ending)| ending.to_ascii_lowercase())
}

/// Whether a file may be a video by its name: neither a picture nor a text.
pub(super) fn may_be_video(path: &str) -> bool {
    !is_picture(path) && !BESIDE.contains(&ending(path).as_str())
}

/// Puts in the place of the files of each folder that holds several pictures, and nothing that may be a video, the folder itself. What lies
/// beside the pictures, such as their number in a file, goes with them. Of those that are stored in a way that is unsupported, the path and
/// why; of pictures that lie in the given folder itself, which can be no video, with an empty path.
pub(super) fn gather(found: &mut Found) -> Vec<(String, String)> {
    let mut folders: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (path, _) in &found.files {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let (pictures, videos) = folders.entry(folder).or_default();
        *pictures += usize::from(is_picture(path));
        // Counters beside frames have no ending: `n_frames`.
        *videos += usize::from(may_be_video(path) && name.contains('.'));
    }
    folders.retain(|_, (pictures, videos)| *pictures > 1 && *videos == 0);
    let mut names: BTreeMap<String, (PathBuf, Vec<String>)> = BTreeMap::new();
    let mut files = Vec::with_capacity(found.files.len());
    let folders: Vec<String> = folders.into_keys().map(str::to_owned).collect();
    for (path, at) in std::mem::take(&mut found.files) {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        match at.parent().filter(|_| folders.binary_search_by(|other| other.as_str().cmp(folder)).is_ok()) {
            Some(parent) => {
                let parent = parent.to_owned();
                names.entry(folder.to_owned()).or_insert((parent, Vec::new())).1.push(name.to_owned());
            }
            None => files.push((path, at)),
        }
    }
    let mut faults = Vec::new();
    for (folder, (at, names)) in names {
        if folder.is_empty() {
            let why = "they are one video, whose folder must lie in that of --videos: give the folder above";
            faults.push((folder, refuse(&at.display().to_string(), &names, why)));
            continue;
        }
        if let Err(Fault::Unsupported(why)) = order(names.iter().map(String::as_str)) {
            faults.push((folder.clone(), refuse(&folder, &names, &why)));
        }
        files.push((folder, at));
    }
    files.sort();
    found.files = files;
    faults
}

fn refuse(folder: &str, names: &[String], why: &str) -> String {
    let mut pictures = names.iter().filter(|name| is_picture(name)).peekable();
    let first = pictures.peek().map_or("none", |name| name.as_str());
    format!("{folder} is a folder of pictures (such as {first}), {} in number: {why}", pictures.count())
}

/// Whether a folder that a list names holds pictures, be it one alone; and if they are unsupported, why.
pub(super) fn listed_frames(folder: &str, at: &Path) -> Option<Result<(), String>> {
    let names = names_in(at).ok().filter(|names| names.iter().any(|name| is_picture(name)))?;
    Some(match order(names.iter().map(String::as_str)) {
        Err(Fault::Unsupported(why)) => Err(refuse(folder, &names, &why)),
        _ => Ok(()),
    })
}

/// Why a folder is refused in which there are archives and no videos.
pub(super) fn archives(found: &Found) -> Option<String> {
    let is_archive = |path: &str| ARCHIVES.contains(&ending(path).as_str());
    let (first, _) = found.files.iter().find(|(path, _)| is_archive(path))?;
    let other = |(path, at): &(String, PathBuf)| !is_archive(path) && (at.is_dir() || (may_be_video(path) && path.contains('.')));
    (!found.files.iter().any(other)).then(|| format!("{first} is an archive, and there is no video beside it: unpack it first"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(paths: &[&str]) -> (Vec<String>, Vec<String>) {
        let files = paths.iter().map(|path| (path.to_string(), Path::new("v").join(path))).collect();
        let mut found = Found { files, ..Found::default() };
        let faults = gather(&mut found);
        (found.files.into_iter().map(|file| file.0).collect(), faults.into_iter().map(|fault| fault.1).collect())
    }

    #[test]
    fn folders_of_frames_are_videos() {
        let (files, faults) = gathered(&["A/v1/image_00001.JPG", "A/v1/image_00002.JPG", "A/v1/n_frames", "A/v1/x.txt", "A/v2.avi"]);
        assert_eq!((files, faults), (vec!["A/v1".to_owned(), "A/v2.avi".to_owned()], vec![]));
        for none in [&["A/1.jpg", "A/2.jpg", "A/x.avi"][..], &["A/1.jpg", "B/2.jpg"], &["A/1.gif", "A/2.gif"], &[]] {
            assert_eq!(gathered(none), (none.iter().map(|path| path.to_string()).collect(), vec![]));
        }
        for (paths, said) in [
            (&["1.png", "2.png"][..], "v is a folder of pictures (such as 1.png), 2 in number: they are one video"),
            (&["A/v/1.jpg", "A/v/2.png"], "A/v is a folder of pictures (such as 1.jpg), 2 in number: its pictures are of several formats"),
            (
                &["A/v/flow_x_1.jpg", "A/v/flow_y_1.jpg"],
                "A/v is a folder of pictures (such as flow_x_1.jpg), 2 in number: pictures of optical",
            ),
        ] {
            let faults = gathered(paths).1;
            assert!(faults.len() == 1 && faults[0].starts_with(said), "{faults:?}");
        }
        let archives = |paths: &[&str]| {
            let files = paths.iter().map(|path| (path.to_string(), Path::new("v").join(path))).collect();
            archives(&Found { files, ..Found::default() })
        };
        assert!(archives(&["A/v1.zip", "A/v2.zip", "readme.txt"]).unwrap().starts_with("A/v1.zip is an archive"));
        assert_eq!(archives(&["A/v1.zip", "A/v2.avi"]), None);
    }
}
