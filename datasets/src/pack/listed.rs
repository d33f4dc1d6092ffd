//! What is known of the files before they are decoded: their classes and groups; and afterwards the rows of the splits.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::{ensure, Result};

use crate::inspect::NO_FILE;
use crate::splits::Lists;
use crate::walk::Found;
use crate::{Listed, Row, SetWriter, VideoMeta};

/// Stands in the reason of what is listed but not packed, before the list's file and line.
pub(super) const LISTED: &str = "; listed in ";

/// The first folders below the root, sorted: the classes where no list names them, of which those without a video are dropped at the end.
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
    if let Some(path) = lists.and_then(|lists| lists.groups.keys().min()) {
        let known = |(path, _): &(String, PathBuf)| lists.is_some_and(|lists| lists.group(path).is_some());
        ensure!(found.files.iter().any(known), "groups.txt names none of the listed files: it has paths such as {path}");
    }
    let places: HashMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
    let folder = |path: &str| places.get(path.split_once('/')?.0).copied().filter(|_| lists.is_none());
    let describe = |(path, _): &(String, PathBuf)| VideoMeta {
        path: path.clone(),
        class: listed.get(path.as_str()).map(|l| l.0).or_else(|| folder(path)),
        group: lists.and_then(|lists| lists.group(path)).cloned(),
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
                rejected.push((entry.path.clone(), format!("{NO_FILE}{LISTED}{}", entry.line)));
            }
        }
        let listed = |line: &str| line.rsplit_once(':').and_then(|(file, line)| Some((file.to_owned(), line.parse().ok()?)));
        writer.set_list(&list.name, list.entries.iter().map(|e| Listed { row: row(&places, &e.path), list: listed(&e.line) }));
    }
    rejected
}

/// Each packed video's place, by path.
fn places(writer: &SetWriter) -> HashMap<String, u32> {
    writer.videos().enumerate().map(|(i, v)| (v.path.clone(), i as u32)).collect()
}

fn row(places: &HashMap<String, u32>, path: &str) -> Row {
    places.get(path).map_or_else(|| Row::Missing(path.to_owned()), |place| Row::Video(*place))
}
