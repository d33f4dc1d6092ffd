//! Every file below a folder, in an order that depends on nothing but their names.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};

use crate::Rejected;

/// The files below a folder.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Relative path with `/` between its parts, and where the file is; sorted by the former.
    pub files: Vec<(String, PathBuf)>,
    /// What cannot be a video: unreadable folders, broken links, names that are not UTF-8.
    pub rejected: Vec<Rejected>,
    /// Of these, paths of what may be a file elsewhere or at another time, such as broken links.
    pub broken: Vec<String>,
}

/// Finds every file below `root` that is not hidden (no part of its path begins with a dot). Links are followed, each
/// folder is entered once. Errors: `root` is no readable folder.
pub(crate) fn walk(root: &Path) -> Result<Found> {
    ensure!(!root.is_file(), "{} is a file: give the folder that holds the videos", root.display());
    ensure!(root.is_dir(), "no folder of videos at {}", root.display());
    fs::read_dir(root).with_context(|| format!("cannot read {}", root.display()))?;
    let mut found = Found::default();
    let mut seen = HashSet::new();
    enter(root, "", &mut seen, &mut found);
    found.files.sort();
    found.rejected.sort();
    Ok(found)
}

fn enter(dir: &Path, below: &str, seen: &mut HashSet<PathBuf>, found: &mut Found) {
    let mut reject = |path: &str, reason: String| {
        let path = path.to_owned();
        found.rejected.push(Rejected { path, reason });
    };
    let entries = dir.canonicalize().and_then(|real| if seen.insert(real) { fs::read_dir(dir).map(Some) } else { Ok(None) });
    let mut entries: Vec<_> = match entries {
        Ok(Some(entries)) => entries.filter_map(|e| Some(e.ok()?.file_name())).collect(),
        Ok(None) => return reject(below, "a link to a folder that is packed already".to_owned()),
        Err(e) => return reject(below, format!("the folder cannot be read: {e}")),
    };
    // Sorted, so that of two ways to one folder the same one counts every time.
    entries.sort();
    let mut folders = Vec::new();
    for name in entries {
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let at = dir.join(&name);
        let path = format!("{below}{}", name.to_string_lossy());
        let mut reject = |reason: String| found.rejected.push(Rejected { path: path.clone(), reason });
        match fs::metadata(&at) {
            _ if name.to_str().is_none() => reject("its name is not UTF-8: rename it".to_owned()),
            Ok(meta) if meta.is_dir() => folders.push((at, format!("{path}/"), name)),
            Ok(meta) if meta.is_file() => found.files.push((path, at)),
            Ok(_) => reject("not a regular file".to_owned()),
            Err(e) => {
                reject(format!("it cannot be read: {e}"));
                found.broken.push(path);
            }
        }
    }
    // Real folders before links to folders: the link is the one to leave out.
    folders.sort_by_key(|(at, _, name)| (at.is_symlink(), name.clone()));
    for (at, path, _) in folders {
        enter(&at, &path, seen, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_links_and_hidden_files() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join("b/deep")).unwrap();
        fs::create_dir_all(root.join(".hidden")).unwrap();
        for file in ["b/deep/2.avi", "b/1.avi", "-x.avi", ".hidden/3.avi", ".4.avi", "ü ñ.avi"] {
            fs::write(root.join(file), "").unwrap();
        }
        std::os::unix::fs::symlink("..", root.join("b/up")).unwrap();
        std::os::unix::fs::symlink("b", root.join("a")).unwrap();
        std::os::unix::fs::symlink("nowhere", root.join("broken.avi")).unwrap();
        std::os::unix::fs::symlink("b/1.avi", root.join("linked.avi")).unwrap();
        let found = walk(root).unwrap();
        let files: Vec<&str> = found.files.iter().map(|f| f.0.as_str()).collect();
        assert_eq!(files, ["-x.avi", "b/1.avi", "b/deep/2.avi", "linked.avi", "ü ñ.avi"]);
        let rejected: Vec<&str> = found.rejected.iter().map(|r| r.path.as_str()).collect();
        assert_eq!(rejected, ["a/", "b/up/", "broken.avi"]);
        assert_eq!(found.broken, ["broken.avi"]);
        assert!(walk(&root.join("-x.avi")).is_err());
    }
}
