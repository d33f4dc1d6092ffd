//! Which video belongs to which split, class and group: UCF101's own list files or one CSV table, and numpy's held-out draws.

mod csv;
mod groups;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Context, Result};

use crate::file::{self, Limit, Unreadable, Why};
use crate::mt19937::Mt19937;
pub use groups::group_of;

/// A million rows of a table take less than half of it.
const LIMIT: Limit = Limit::new(256_000_000, "a split list");

/// Either the lists of a folder: `classInd.txt` (`1 ApplyEyeMakeup`), and for each split a `<split>list<NN>.txt` such as
/// `trainlist01.txt` (`ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1`) or `testlist01.txt` (the same, no number needed); where file
/// names do not give the groups, `groups.txt` may (a path and a group on each line). Or a CSV file whose first line is
/// `path,class,split` (in any order, with or without `group`), a row for each video and split; RFC 4180, so a field with a comma is quoted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lists {
    /// In `classInd.txt`'s order, whose numbers count from 1; of a table: by name.
    pub classes: Vec<String>,
    /// By name, `train01` before `test01` and both before `train02`; of a table: as they first appear.
    pub splits: Vec<List>,
    /// The groups that the lists give, by path; the other videos' are [`group_of`] their paths.
    pub groups: HashMap<String, String>,
    /// Whether the set is to hold the listed videos alone: of a table.
    pub only_listed: bool,
}

/// One list.
#[derive(Clone, Debug, PartialEq)]
pub struct List {
    /// `train01`.
    pub name: String,
    pub entries: Vec<Entry>,
}

/// One line of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Of the video, below the folder that holds the class folders.
    pub path: String,
    /// Place in [`Lists::classes`].
    pub class: Option<u32>,
    /// Where it stands: `trainlist01.txt:3`.
    pub line: String,
}

impl Lists {
    /// Reads the lists in the folder, or the table in the file, `at`. Blank lines, CRLF and a byte-order mark are ignored. Errors say
    /// file and line: a class number that `classInd.txt` lacks or that contradicts the folder's name, a path listed twice in one list, no
    /// list at all; unknown columns, a video of two classes or groups, a stray quote.
    pub fn read(at: &Path) -> Result<Lists> {
        if at.is_file() {
            return csv::read(at);
        }
        Lists::read_folder(at)
    }

    fn read_folder(dir: &Path) -> Result<Lists> {
        let entries = fs::read_dir(dir).with_context(|| format!("cannot read the splits {}", dir.display()))?;
        let mut files: Vec<(String, PathBuf)> = Vec::new();
        for entry in entries {
            let path = entry.with_context(|| dir.display().to_string())?.path();
            let Some(file) = path.file_name().and_then(|n| n.to_str()) else { continue };
            let Some((kind, number)) = file.strip_suffix(".txt").and_then(|f| f.split_once("list")) else { continue };
            if !kind.is_empty() && !kind.starts_with('.') && path.is_file() {
                files.push((format!("{kind}{number}"), path));
            }
        }
        ensure!(!files.is_empty(), "no split list in {}: expected files such as trainlist01.txt and testlist01.txt", dir.display());
        // By number, then train before test.
        files.sort_by_key(|(name, _)| {
            let kind = name.trim_end_matches(|c: char| c.is_ascii_digit());
            let number = name[kind.len()..].parse::<u64>().unwrap_or(0);
            (number, kind != "train", name.clone())
        });
        let classes = read_classes(&dir.join("classInd.txt"))?;
        let splits = files.into_iter().map(|(name, path)| read_list(name, &path, &classes));
        let splits = splits.collect::<Result<_>>()?;
        let groups = match dir.join("groups.txt") {
            file if file.is_file() => groups::read(&file)?,
            _ => HashMap::new(),
        };
        Ok(Lists { classes, splits, groups, only_listed: false })
    }

    /// The class of a video that no list names a class for: that of its first folder.
    pub fn class_of(&self, path: &str) -> Option<u32> {
        folder_class(path, &self.classes)
    }
}

fn folder_class(path: &str, classes: &[String]) -> Option<u32> {
    let folder = path.split_once('/')?.0;
    classes.iter().position(|c| c == folder).map(|c| c as u32)
}

/// The lines that hold something, with their numbers from 1.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(i, line)| (i + 1, line.trim()));
    lines.filter(|(_, line)| !line.is_empty())
}

/// A path of a list file as the set names it.
fn list_path(path: &str) -> &str {
    let path = path.trim_end();
    path.strip_prefix("./").unwrap_or(path)
}

/// A text file without its byte-order mark.
fn read_text(path: &Path) -> Result<String> {
    match file::read_text(path, LIMIT) {
        Ok(text) if text.starts_with('\u{feff}') => Ok(text['\u{feff}'.len_utf8()..].to_owned()),
        Ok(text) => Ok(text),
        Err(Unreadable { why: Why::NotText { line }, .. }) => bail!("{}:{line}: is not UTF-8 text: save it as UTF-8", path.display()),
        Err(e) => Err(e.into()),
    }
}

fn read_classes(path: &Path) -> Result<Vec<String>> {
    let text = read_text(path)?;
    let mut classes: Vec<String> = Vec::new();
    for (number, line) in lines(&text) {
        let at = || format!("{}:{number}", path.display());
        let Some((id, name)) = line.split_once(char::is_whitespace) else {
            bail!("{}: expected a number and a class name, found `{line}`", at());
        };
        let expected = classes.len() + 1;
        ensure!(id.parse() == Ok(expected), "{}: expected class number {expected}, found `{id}`", at());
        let name = name.trim();
        ensure!(!classes.iter().any(|c| c == name), "{}: class {name} is there twice", at());
        classes.push(name.to_owned());
    }
    ensure!(!classes.is_empty(), "{} names no class", path.display());
    Ok(classes)
}

fn read_list(name: String, path: &Path, classes: &[String]) -> Result<List> {
    let text = read_text(path)?;
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut entries = Vec::new();
    for (number, line) in lines(&text) {
        let at = || format!("{}:{number}", path.display());
        // A path may hold spaces; a last word that is a number is the label.
        let (video, label) = match line.rsplit_once(char::is_whitespace) {
            Some((video, label)) if label.bytes().all(|b| b.is_ascii_digit()) => (video, Some(label)),
            _ => (line, None),
        };
        let video = list_path(video).to_owned();
        let by_folder = folder_class(&video, classes);
        let class = match label {
            None => by_folder,
            Some(label) => {
                let class = label.parse::<u32>().ok().and_then(|l| l.checked_sub(1));
                let class = class.filter(|c| (*c as usize) < classes.len());
                let Some(class) = class else {
                    bail!("{}: class number {label} is not in classInd.txt (1 to {})", at(), classes.len());
                };
                if let Some(folder) = by_folder.filter(|f| *f != class) {
                    let (label_name, folder) = (&classes[class as usize], &classes[folder as usize]);
                    bail!("{}: class number {label} is {label_name}, but the video's folder is {folder}", at());
                }
                Some(class)
            }
        };
        if let Some(first) = seen.insert(video.clone(), number) {
            bail!("{}: {video} is listed twice, first on line {first}", at());
        }
        let line = format!("{file}:{number}");
        entries.push(Entry { path: video, class, line });
    }
    Ok(List { name, entries })
}

/// `count` of `n` rows, drawn as `numpy.random.RandomState(seed).permutation(n)[:count]` does, which is what pandas'
/// `sample(n=count, random_state=seed)` takes (published validation splits: seed 666). All `n` where `count` is larger.
pub fn held_out(n: usize, count: usize, seed: u32) -> Vec<usize> {
    let mut order = Mt19937::new(seed).permutation(n);
    order.truncate(count);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    #[test]
    fn ucf101_lists() {
        let dir = folder(&[
            ("classInd.txt", "\u{feff}1 Punch\r\n\r\n2 YoYo\r\n"),
            ("trainlist02.txt", "YoYo/a.avi 2\n"),
            ("testlist01.txt", "YoYo/a.avi\n"),
            ("trainlist01.txt", "\nPunch/b c.avi 1\r\nYoYo/d 7.avi\n"),
            ("notes.txt", "nothing"),
        ]);
        let lists = Lists::read(dir.path()).unwrap();
        assert_eq!(lists.classes, ["Punch", "YoYo"]);
        let names: Vec<_> = lists.splits.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["train01", "test01", "train02"]);
        let train = &lists.splits[0].entries;
        let (path, line) = ("Punch/b c.avi".to_owned(), "trainlist01.txt:2".to_owned());
        assert_eq!(train[0], Entry { path, class: Some(0), line });
        assert_eq!((train[1].path.as_str(), train[1].class), ("YoYo/d 7.avi", Some(1)));
        assert_eq!(lists.class_of("YoYo/x.avi"), Some(1));
        assert_eq!(lists.class_of("YoYo"), None);
    }

    #[test]
    fn faults_say_where() {
        let classes = ("classInd.txt", "1 Punch\n2 YoYo\n");
        for (files, text) in [
            ([classes, ("trainlist01.txt", "Punch/a.avi 1\nPunch/b.avi 3\n")], "trainlist01.txt:2: class number 3 is not"),
            ([classes, ("trainlist01.txt", "Punch/a.avi 0\n")], "trainlist01.txt:1: class number 0 is not"),
            ([classes, ("trainlist01.txt", "Punch/a.avi 2\n")], "class number 2 is YoYo, but the video's folder is Punch"),
            ([classes, ("trainlist01.txt", "Punch/a.avi 1\n\nPunch/a.avi 1\n")], ":3: Punch/a.avi is listed twice, first on line 1"),
            ([("classInd.txt", "1 A\n3 B\n"), ("trainlist01.txt", "")], "classInd.txt:2: expected class number 2"),
            ([("classInd.txt", "Punch\n"), ("trainlist01.txt", "")], "classInd.txt:1: expected a number and"),
            ([classes, ("train.txt", "")], "no split list in"),
            ([("x.txt", ""), ("trainlist01.txt", "")], "cannot read"),
        ] {
            let dir = folder(&files);
            let error = format!("{:#}", Lists::read(dir.path()).unwrap_err());
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn held_out_is_numpys() {
        // numpy 2.4.6: order = np.random.RandomState(seed).permutation(n); order[:3], order[-3:], (order * np.arange(1, n + 1)).sum()
        for (seed, n, first, last, sum) in [
            (0, 9537, [1842, 1824, 8095], [4859, 3264, 2732], 216_363_959_962),
            (0, 3570, [1014, 1846, 1632], [1653, 2607, 2732], 11_465_059_268),
            (0, 10, [2, 8, 4], [3, 0, 5], 230),
            (1, 9537, [3618, 4247, 9245], [905, 5192, 235], 216_912_299_351),
            (1, 3570, [2501, 2782, 605], [1096, 235, 1061], 11_436_666_541),
            (1, 10, [2, 9, 6], [7, 8, 5], 257),
            (666, 9537, [8307, 6647, 1225], [2878, 7597, 6380], 217_233_334_075),
            (666, 3570, [3082, 2192, 1375], [3501, 1922, 2284], 11_353_616_899),
            (666, 10, [5, 7, 0], [1, 6, 2], 232),
            (u32::MAX, 9537, [5331, 2071, 8791], [506, 4310, 290], 216_150_667_387),
            (u32::MAX, 3570, [3275, 1126, 1611], [3084, 290, 2467], 11_300_554_111),
            (u32::MAX, 10, [6, 9, 5], [4, 2, 3], 212),
        ] {
            let order = held_out(n, n, seed);
            assert_eq!((&order[..3], &order[n - 3..]), (&first[..], &last[..]), "seed {seed}, {n} rows");
            assert_eq!(order.iter().zip(1..).map(|(row, place)| row * place).sum::<usize>(), sum, "seed {seed}, {n} rows");
            assert_eq!(held_out(n, 7, seed), order[..7]);
        }
        assert_eq!(held_out(3, 9, 1).len(), 3);
        assert!(held_out(0, 5, 666).is_empty());
    }
}
