//! Rows of lists that name no file: how many, which, and what they may be meant to name.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::splits::{stem, Entry, Named};

/// How many rows an error names.
const ROWS: usize = 3;
/// How many files are looked at for a name that is merely like another.
const LOOKED_AT: usize = 100_000;

/// The rows of a split that name no file.
pub(super) struct Missing<'a> {
    pub split: &'a str,
    /// How many rows the split has.
    pub rows: usize,
    /// The row and why it has no file.
    pub entries: Vec<(&'a Entry, String)>,
}

/// In what a path differs from one that is there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum How {
    Case,
    Ending,
    /// The file lies in this folder, below the one that was given.
    Deeper(String),
    /// The list's paths begin with this folder.
    Leading(String),
    Folder,
    Like,
}

impl How {
    fn of(listed: &str, there: &str, named: Named) -> How {
        let (list, file) = (listed.to_ascii_lowercase(), there.to_ascii_lowercase());
        if named == Named::Path && list == file {
            return How::Case;
        }
        let list = if named == Named::Path { stem(&list).to_owned() } else { list };
        let file = stem(&file);
        let end = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
        let before = |long: &str, short: &str, whole: &str| {
            let folder = long.strip_suffix(short).filter(|folder| folder.ends_with('/'))?;
            whole.get(..folder.len() - 1).map(str::to_owned)
        };
        if list == file {
            if stem(there).ends_with(if named == Named::Path { stem(listed) } else { listed }) {
                How::Ending
            } else {
                How::Case
            }
        } else if let Some(folder) = before(file, &list, there) {
            How::Deeper(folder)
        } else if let Some(folder) = before(&list, file, listed) {
            How::Leading(folder)
        } else if end(&list) == end(file) {
            How::Folder
        } else {
            How::Like
        }
    }

    fn say(&self) -> &'static str {
        match self {
            How::Case => "another case",
            How::Ending => "another ending",
            How::Deeper(_) => "in a deeper folder",
            How::Leading(_) => "in a higher folder",
            How::Folder => "in another folder",
            How::Like => "a name like it",
        }
    }

    /// What to do where most rows differ so.
    fn help(&self, videos: &Path) -> String {
        match self {
            How::Case | How::Ending => "write the lists' paths as the files are called".to_owned(),
            How::Deeper(folder) => format!("give --videos {}", videos.join(folder).display()),
            How::Leading(folder) => match above(videos, folder) {
                Some(above) => format!("give --videos {}", above.display()),
                None => format!("take `{folder}/` off the lists' paths, or put the videos into a folder of that name"),
            },
            How::Folder | How::Like => "correct the lists, or --videos".to_owned(),
        }
    }
}

/// The folder above `videos` where that ends with `folder`.
fn above(videos: &Path, folder: &str) -> Option<PathBuf> {
    let real = videos.canonicalize().ok()?;
    if !real.ends_with(folder) {
        return None;
    }
    let parts = folder.split('/').count();
    let given = videos.ends_with(folder).then(|| videos.ancestors().nth(parts).map(Path::to_owned)).flatten();
    let given = given.map(|path| if path.as_os_str().is_empty() { PathBuf::from(".") } else { path });
    given.or_else(|| real.ancestors().nth(parts).map(Path::to_owned))
}

/// The files below the folder, to look for names.
struct Files<'a> {
    paths: Vec<&'a str>,
    by_name: HashMap<String, Vec<usize>>,
    named: Named,
}

impl<'a> Files<'a> {
    fn new(found: &'a [(String, PathBuf)], named: Named) -> Files<'a> {
        let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (place, path) in paths.iter().enumerate() {
            by_name.entry(key(stem(path))).or_default().push(place);
        }
        Files { paths, by_name, named }
    }

    /// The file with the same name, but for case and ending, whose path is nearest.
    fn same_name(&self, listed: &str) -> Option<(&'a str, How)> {
        let name = if self.named == Named::Path { stem(listed) } else { listed };
        let places = self.by_name.get(&key(name))?;
        let near = places.iter().take(50).map(|place| self.paths[*place]).min_by_key(|path| strsim::levenshtein(path, listed))?;
        Some((near, How::of(listed, near, self.named)))
    }

    /// The file whose path is least different, if that is by few letters.
    fn like(&self, listed: &str) -> Option<(&'a str, How)> {
        let most = (listed.len() / 6).clamp(1, 6);
        let near = self.paths.iter().take(LOOKED_AT).filter(|path| path.len().abs_diff(listed.len()) <= most + 4);
        let near =
            near.map(|path| (strsim::levenshtein(if self.named == Named::Path { path } else { stem(path) }, listed), *path)).min()?;
        (near.0 <= most).then_some((near.1, How::Like))
    }
}

/// A file's name, in small letters.
fn key(path: &str) -> String {
    path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase()
}

/// Says what is missing: `none`, where that is all of a split.
pub(super) fn tell(missing: &[Missing], none: Option<&Missing>, videos: &Path, found: &[(String, PathBuf)], named: Named) -> String {
    let files = Files::new(found, named);
    let entries: Vec<&(&Entry, String)> =
        none.map_or_else(|| missing.iter().flat_map(|m| &m.entries).collect(), |m| m.entries.iter().collect());
    let near: Vec<Option<(&str, How)>> = entries.iter().map(|(entry, _)| files.same_name(&entry.path)).collect();
    let (below, all) = (videos.display(), missing.iter().map(|m| m.entries.len()).sum::<usize>());
    let mut out = match none {
        Some(Missing { split, rows: 1, .. }) => format!("the one video of the split {split} is not below {below}"),
        Some(Missing { split, rows, .. }) => format!("none of the {rows} videos of the split {split} is below {below}"),
        None => {
            let splits: Vec<String> =
                missing.iter().map(|m| format!("{} of the {} rows of {}", m.entries.len(), m.rows, m.split)).collect();
            format!("{all} rows name no file below {below}: {}", splits.join(", ")).replacen(
                "1 rows name",
                "1 row names",
                usize::from(all == 1),
            )
        }
    };
    // Those first of which something can be said.
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by_key(|i| near[*i].is_none());
    for i in order.iter().take(ROWS) {
        let (entry, reason) = entries[*i];
        let near = near[*i].clone().or_else(|| files.like(&entry.path));
        let near = near.map_or(reason.clone(), |(path, how)| format!("there is {path} ({})", how.say()));
        let _ = write!(out, "\n  {}: {}: {near}", entry.line, entry.path);
    }
    if entries.len() > ROWS {
        let _ = write!(out, "\n  and {} more", entries.len() - ROWS);
    }
    let mut causes: BTreeMap<&How, usize> = BTreeMap::new();
    near.iter().flatten().for_each(|(_, how)| *causes.entry(how).or_default() += 1);
    let cause = causes.iter().max_by_key(|(_, count)| **count).map(|(how, _)| how.help(videos));
    let allow = match none {
        Some(_) => "or remove the split from the lists if none of its videos is there",
        None => "or give --allow-missing to keep them as missing rows",
    };
    let help = cause.unwrap_or_else(|| {
        if found.is_empty() {
            format!("there is no file below {below}: correct --videos")
        } else {
            "correct the lists, or --videos".to_owned()
        }
    });
    let _ = write!(out, "\n  help: {help}; {allow}");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_what_paths_differ() {
        let folder = |name: &str| name.to_owned();
        for (listed, there, named, how) in [
            ("YoYo/a.avi", "yoyo/a.avi", Named::Path, How::Case),
            ("HandStandPushups/v_a.avi", "HandstandPushups/v_a.avi", Named::Path, How::Case),
            ("YoYo/a.AVI", "YoYo/a.avi", Named::Path, How::Case),
            ("YoYo/a.avi", "YoYo/a.mp4", Named::Path, How::Ending),
            ("YoYo/a.avi", "UCF-101/YoYo/a.avi", Named::Path, How::Deeper(folder("UCF-101"))),
            ("UCF-101/YoYo/a.avi", "YoYo/a.avi", Named::Path, How::Leading(folder("UCF-101"))),
            ("x/UCF-101/YoYo/a.avi", "yoyo/a.mp4", Named::Path, How::Leading(folder("x/UCF-101"))),
            ("YoYo/a.avi", "a.avi", Named::Path, How::Leading(folder("YoYo"))),
            ("YoYo/a.avi", "Punch/a.avi", Named::Path, How::Folder),
            ("YoYo/a.avi", "YoYo/b.avi", Named::Path, How::Like),
            ("run/a.b", "Run/a.b.avi", Named::Stem, How::Case),
            ("run/a.b", "x/run/a.b.avi", Named::Stem, How::Deeper(folder("x"))),
        ] {
            assert_eq!(How::of(listed, there, named), how, "{listed} {there}");
        }
    }

    #[test]
    fn one_level_off() {
        let dir = tempfile::tempdir().unwrap();
        let videos = dir.path().join("UCF-101");
        std::fs::create_dir(&videos).unwrap();
        assert_eq!(above(&videos, "UCF-101").unwrap(), dir.path());
        assert_eq!(above(&videos, "UCF101"), None);
        assert_eq!(above(&videos.join("."), "UCF-101").unwrap(), dir.path());
    }
}
