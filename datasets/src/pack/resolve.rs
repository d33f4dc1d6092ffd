//! Which file each row of the lists is, before anything is decoded.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Result};

use super::ending::{listed_frames, may_be_video};
use super::missing::{self, Missing};
use crate::inspect::NO_FILE;
use crate::splits::{stem, Lists, Named};
use crate::walk::Found;
use crate::Rejected;

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Resolved {
    /// Rows without a file.
    pub missing: usize,
    /// Files that no list puts into a split, which are not packed.
    pub unlisted: Vec<String>,
}

/// Gives each row the path of its file, and leaves of what was found only the files of rows. Found are also those that the search passes
/// by: hidden ones, a second way to a folder. Errors: a split of which no file is there; with `allow_missing` not given, any row without
/// one; a row that several files fit; a row that names frames that are unsupported.
pub(super) fn resolve(lists: &mut Lists, videos: &Path, found: &mut Found, allow_missing: bool) -> Result<Resolved> {
    let files = std::mem::take(&mut found.files);
    let index = Index::new(&files, lists.named);
    let refused: HashMap<String, String> = found.rejected.iter().map(|r| (r.path.clone(), r.reason.clone())).collect();
    let mut listed: HashSet<usize> = HashSet::new();
    let mut passed_by: BTreeMap<String, PathBuf> = BTreeMap::new();
    // Of each split: the place of a row without a file, and why.
    let mut absent: Vec<Vec<(usize, String)>> = Vec::new();
    for list in &mut lists.splits {
        let mut without = Vec::new();
        for (row, entry) in list.entries.iter_mut().enumerate() {
            match index.find(&entry.path)[..] {
                [place] => {
                    listed.insert(place);
                    entry.path.clone_from(&files[place].0);
                }
                [] => match beside(&entry.path, videos, refused.get(&entry.path))? {
                    Ok(at) if lists.named != Named::Name => {
                        passed_by.insert(entry.path.clone(), at);
                    }
                    Ok(_) => without.push((row, NO_FILE.to_owned())),
                    Err(reason) => without.push((row, reason)),
                },
                [a, b, ..] => {
                    bail!("{}: {} may be {} or {}: leave one of them below --videos", entry.line, entry.path, files[a].0, files[b].0)
                }
            }
        }
        absent.push(without);
    }
    let missing: Vec<Missing> = lists
        .splits
        .iter()
        .zip(&absent)
        .filter(|(_, absent)| !absent.is_empty())
        .map(|(list, absent)| Missing {
            split: &list.name,
            rows: list.entries.len(),
            entries: absent.iter().map(|(row, reason)| (&list.entries[*row], reason.clone())).collect(),
        })
        .collect();
    let none = missing.iter().find(|m| m.entries.len() == m.rows);
    let some = !missing.is_empty() && !allow_missing;
    ensure!(none.is_none() && !some, "{}", missing::tell(&missing, none, videos, &files, lists.named));
    let reasons = missing.iter().flat_map(|m| &m.entries).filter(|(entry, reason)| reason != NO_FILE && !refused.contains_key(&entry.path));
    let unusable: BTreeMap<String, String> = reasons.map(|(entry, reason)| (entry.path.clone(), reason.clone())).collect();
    let missing = missing.iter().map(|m| m.entries.len()).sum();
    let mut resolved = Resolved { missing, unlisted: Vec::new() };
    for (place, (path, at)) in files.into_iter().enumerate() {
        match listed.contains(&place) {
            true => found.files.push((path, at)),
            false => resolved.unlisted.push(path),
        }
    }
    found.files.extend(passed_by);
    found.files.sort();
    // Of what cannot be a video only what is listed concerns the set.
    let paths: HashSet<&str> = lists.splits.iter().flat_map(|list| &list.entries).map(|entry| entry.path.as_str()).collect();
    let (kept, left): (Vec<Rejected>, Vec<Rejected>) =
        std::mem::take(&mut found.rejected).into_iter().partition(|rejected| paths.contains(rejected.path.as_str()));
    found.rejected = kept;
    found.rejected.extend(unusable.into_iter().map(|(path, reason)| Rejected { path, reason }));
    resolved.unlisted.extend(left.into_iter().map(|rejected| rejected.path));
    Ok(resolved)
}

/// A file, or a folder of frames, that the search did not give, or why there is none. Frames that are unsupported are an error.
fn beside(path: &str, videos: &Path, refused: Option<&String>) -> Result<std::result::Result<PathBuf, String>> {
    let at = videos.join(path);
    if let Some(reason) = refused {
        return Ok(Err(reason.clone()));
    }
    Ok(match fs::metadata(&at) {
        Ok(meta) if meta.is_file() => Ok(at),
        Ok(meta) if meta.is_dir() => match listed_frames(path, &at) {
            Some(Ok(())) => Ok(at),
            Some(Err(why)) => bail!("{why}"),
            None => Err("it is a folder, not a file".to_owned()),
        },
        Ok(_) => Err("it is not a regular file".to_owned()),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Err(NO_FILE.to_owned()),
        Err(e) => Err(format!("it cannot be read: {e}")),
    })
}

/// The files by what rows name.
struct Index<'a> {
    named: Named,
    exact: HashMap<&'a str, usize>,
    /// By path, or name, without the ending.
    stems: HashMap<&'a str, Vec<usize>>,
    /// Files whose own names hold backslashes, by their paths as lists are cleaned.
    backslashes: HashMap<String, usize>,
    files: &'a [(String, PathBuf)],
}

impl<'a> Index<'a> {
    fn new(files: &'a [(String, PathBuf)], named: Named) -> Index<'a> {
        let mut index = Index { named, exact: HashMap::new(), stems: HashMap::new(), backslashes: HashMap::new(), files };
        for (place, (path, _)) in files.iter().enumerate() {
            index.exact.insert(path, place);
            if path.contains('\\') {
                index.backslashes.insert(path.replace('\\', "/"), place);
            }
            let stem = stem(path);
            match named {
                Named::Path => {}
                _ if !may_be_video(path) => {}
                Named::Stem => index.stems.entry(stem).or_default().push(place),
                Named::Name => index.stems.entry(name(stem)).or_default().push(place),
            }
        }
        index
    }

    /// The files that a row may name.
    fn find(&self, path: &str) -> Vec<usize> {
        if let Some(place) = self.exact.get(path).or_else(|| self.backslashes.get(path)) {
            return vec![*place];
        }
        let key = if self.named == Named::Name { name(path) } else { path };
        let all = self.stems.get(key).cloned().unwrap_or_default();
        if self.named != Named::Name || all.len() < 2 {
            return all;
        }
        // The row's own folder, where one of several copies lies in it.
        let own = format!("/{path}");
        let inside = |place: &usize| format!("/{}", stem(&self.files[*place].0)).ends_with(&own);
        let near: Vec<usize> = all.iter().copied().filter(inside).collect();
        if near.is_empty() {
            all
        } else {
            near
        }
    }
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}
