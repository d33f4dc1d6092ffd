//! What split lists say of the files that were found: which are packed, their classes and groups, their splits.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{ensure, Result};

use crate::splits::Lists;
use crate::walk::Found;
use crate::{Rejected, Row, SetWriter, VideoMeta};

/// Stands in the reason of what is listed but not packed, before the list's file and line.
pub(super) const LISTED: &str = "; listed in ";

/// Leaves of what was found the files that a table lists, and adds those that it lists though [`crate::walk`] passes them by
/// (hidden ones, a second way to a folder). The others are rejected.
pub(super) fn keep_listed(lists: &Lists, videos: &Path, found: &mut Found) {
    let mut listed: HashSet<&str> = lists.splits.iter().flat_map(|s| &s.entries).map(|e| e.path.as_str()).collect();
    found.rejected.iter().for_each(|rejected| {
        listed.remove(rejected.path.as_str());
    });
    let (kept, left): (Vec<_>, Vec<_>) = std::mem::take(&mut found.files).into_iter().partition(|(path, _)| listed.remove(path.as_str()));
    found.files = kept;
    let reject = |path: String, reason: &str| Rejected { path, reason: reason.to_owned() };
    found.rejected.extend(left.into_iter().map(|(path, _)| reject(path, "the table of splits does not list it")));
    for path in listed {
        let at = videos.join(path);
        match fs::metadata(&at) {
            Ok(meta) if meta.is_file() => found.files.push((path.to_owned(), at)),
            Ok(_) => found.rejected.push(reject(path.to_owned(), "it is a folder, not a file")),
            // That there is none is told with its line.
            Err(_) => {}
        }
    }
    found.files.sort();
}

/// The first folders below the root, sorted: the classes where no list names them.
pub(super) fn first_folders(found: &Found) -> Vec<String> {
    let folders = found.files.iter().filter_map(|(path, _)| Some(path.split_once('/')?.0.to_owned()));
    let mut folders: Vec<String> = folders.collect();
    folders.sort();
    folders.dedup();
    folders
}

/// Path, class and group of each file. An error where two lists disagree, or where `groups.txt` names none of the files.
pub(super) fn describe(lists: Option<&Lists>, classes: &[String], found: &Found) -> Result<Vec<VideoMeta>> {
    let mut listed: HashMap<&str, (u32, &str)> = HashMap::new();
    for entry in lists.iter().flat_map(|l| &l.splits).flat_map(|s| &s.entries) {
        let Some(class) = entry.class else { continue };
        let (before, line) = *listed.entry(&entry.path).or_insert((class, &entry.line));
        ensure!(before == class, "{} and {line} give {} different classes", entry.line, entry.path);
    }
    if let Some(path) = lists.filter(|lists| !lists.only_listed).and_then(|lists| lists.groups.keys().min()) {
        let known = |(path, _): &(String, PathBuf)| lists.is_some_and(|lists| lists.groups.contains_key(path));
        ensure!(found.files.iter().any(known), "groups.txt names none of the files below --videos: it has paths such as {path}");
    }
    let folder = |path: &str| {
        if lists.is_some_and(|lists| lists.only_listed) {
            return None;
        }
        let folder = path.split_once('/')?.0;
        classes.iter().position(|c| c == folder).map(|c| c as u32)
    };
    let describe = |(path, _): &(String, PathBuf)| VideoMeta {
        path: path.clone(),
        class: listed.get(path.as_str()).map(|l| l.0).or_else(|| folder(path)),
        group: lists.and_then(|lists| lists.groups.get(path)).cloned(),
        ..VideoMeta::default()
    };
    Ok(found.files.iter().map(describe).collect())
}

/// Sets the split `all`, whose rows are the files that were found and what should be one, in the order of their paths.
pub(super) fn set_all(files: &[(String, PathBuf)], broken: &[String], writer: &mut SetWriter) {
    let places = places(writer);
    let mut paths: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).chain(broken.iter().map(String::as_str)).collect();
    paths.sort();
    writer.set_split("all", paths.into_iter().map(|path| row(&places, path)));
}

/// Sets the splits of the lists. Listed videos that are not in the set join the rejected ones.
pub(super) fn set_splits(lists: &Lists, mut rejected: Vec<(String, String)>, writer: &mut SetWriter) -> Vec<(String, String)> {
    let places = places(writer);
    let mut known: HashMap<String, usize> = rejected.iter().enumerate().map(|(i, r)| (r.0.clone(), i)).collect();
    for list in &lists.splits {
        for entry in list.entries.iter().filter(|entry| !places.contains_key(&entry.path)) {
            if let Some(at) = known.get(&entry.path) {
                rejected[*at].1 += &format!("{LISTED}{}", entry.line);
            } else {
                known.insert(entry.path.clone(), rejected.len());
                let reason = format!("there is no such file{LISTED}{}", entry.line);
                rejected.push((entry.path.clone(), reason));
            }
        }
        writer.set_split(&list.name, list.entries.iter().map(|entry| row(&places, &entry.path)));
    }
    rejected
}

/// Each packed video's place, by path.
fn places(writer: &SetWriter) -> HashMap<String, u32> {
    writer.videos().iter().enumerate().map(|(i, v)| (v.path.clone(), i as u32)).collect()
}

fn row(places: &HashMap<String, u32>, path: &str) -> Row {
    places.get(path).map_or_else(|| Row::Missing(path.to_owned()), |place| Row::Video(*place))
}
