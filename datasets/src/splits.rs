//! Which video belongs to which split, class and group, as the lists of a data set say.
//!
//! One file a form: UCF101's lists, HMDB51's, Kinetics' tables, DualVar's tables, and dv's own table. All clean paths alike (`paths`), name
//! the file and line of a fault, and refuse a list without a row. docs/videos.md describes each for users.

mod classes;
mod csv;
mod dualvar;
mod groups;
mod held_out;
mod hmdb51;
mod kinetics;
mod paths;
mod table;
mod ucf101;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Context, Result};

use crate::file::{self, Limit, Unreadable, Why};
pub use groups::group_of;
pub use held_out::held_out;
pub(crate) use paths::stem;

/// A million rows of a table take less than half of it.
const LIMIT: Limit = Limit::new(256_000_000, "a split list");

/// What lists say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lists {
    /// In the order of their labels, which count from 0.
    pub classes: Vec<String>,
    /// In the order in which the set has them.
    pub splits: Vec<List>,
    /// The groups that the lists give, by path; the other videos' are [`group_of`] their paths.
    pub groups: HashMap<String, String>,
    /// How entries name their files.
    pub named: Named,
    /// What a user should know of the lists though it is no fault, such as columns that are not read.
    pub notes: Vec<String>,
}

/// How an entry of a list names its file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Named {
    /// By its path below the folder of videos.
    #[default]
    Path,
    /// By its path, perhaps without the ending.
    Stem,
    /// By its name without the ending, in any folder; the entry's own folder is preferred.
    Name,
}

/// One list.
#[derive(Clone, Debug, PartialEq)]
pub struct List {
    /// `train01`.
    pub name: String,
    pub entries: Vec<Entry>,
}

/// One row of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Of the video, as [`Named`] says.
    pub path: String,
    /// Place in [`Lists::classes`].
    pub class: Option<u32>,
    /// Where it stands: `trainlist01.txt:3`.
    pub line: String,
}

/// The forms that a folder of lists may have, by its files' names.
#[derive(Default)]
struct Folder {
    /// `trainlist01.txt`: split and file.
    ucf101: Vec<(String, PathBuf)>,
    /// `brush_hair_test_split1.txt`: class, number of the split and file.
    hmdb51: Vec<(String, u32, PathBuf)>,
    /// `train_split01.csv`: split and file.
    dualvar: Vec<(String, PathBuf)>,
    /// Other tables.
    tables: Vec<PathBuf>,
    /// Lists by their names, but of no split: `playlist.txt`.
    other: Vec<String>,
}

impl Lists {
    /// Reads the lists in the folder, or the table in the file, `at`. Blank lines, CRLF and a byte-order mark are ignored. Errors name
    /// file and line: unknown or contradicting classes, a path listed twice in one list, a path outside the folder of videos, a stray
    /// quote; and what has no row or no known form.
    pub fn read(at: &Path) -> Result<Lists> {
        let lists = if at.is_file() { read_file(at)? } else { read_folder(at)? };
        for list in &lists.splits {
            ensure!(!list.entries.is_empty(), "the split {} in {} names no video", list.name, at.display());
        }
        Ok(lists)
    }

    /// The group that the lists give a file.
    pub fn group(&self, path: &str) -> Option<&String> {
        self.groups.get(path).or_else(|| self.groups.get(stem(path)).filter(|_| self.named != Named::Path))
    }
}

fn read_file(at: &Path) -> Result<Lists> {
    let extension = at.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    if extension == "txt" && (ucf101::split_of(&name_of(at)).is_some() || hmdb51::split_of(&name_of(at)).is_some()) {
        bail!("{} is one list: give the folder that holds all of them (UCF101's with classInd.txt)", at.display());
    }
    let table = csv::Table::read(at)?;
    match kinetics::is(&table) {
        true => kinetics::read(vec![table]),
        false => table::read(&table),
    }
}

fn read_folder(dir: &Path) -> Result<Lists> {
    let files = Folder::of(dir)?;
    let (mut kinetics, mut own) = (Vec::new(), None);
    if files.ucf101.is_empty() && files.hmdb51.is_empty() && files.dualvar.is_empty() {
        for file in &files.tables {
            match csv::Table::read(file)? {
                table if kinetics::is(&table) => kinetics.push(table),
                table => own = own.or(table::is(&table).then(|| file.clone())),
            }
        }
    }
    let forms = [
        (!files.ucf101.is_empty(), "UCF101's (trainlist01.txt)"),
        (!files.hmdb51.is_empty(), "HMDB51's (brush_hair_test_split1.txt)"),
        (!files.dualvar.is_empty(), "DualVar's (train_split01.csv)"),
    ];
    let held: Vec<&str> = forms.iter().filter(|(is, _)| *is).map(|(_, form)| *form).collect();
    ensure!(held.len() < 2, "{} holds lists of several forms: {}: give a folder with one of them", dir.display(), held.join(", "));
    let mut lists = match forms.iter().position(|(is, _)| *is) {
        Some(0) => ucf101::read(dir, files.ucf101)?,
        Some(1) => hmdb51::read(files.hmdb51)?,
        Some(_) => dualvar::read(dir, files.dualvar)?,
        None if !kinetics.is_empty() => kinetics::read(kinetics)?,
        None => match own {
            Some(file) => bail!("{} is a folder: give the table itself, --splits {}", dir.display(), file.display()),
            None => bail!(
                "no split list in {}: expected UCF101's form (classInd.txt, trainlist01.txt, testlist01.txt), HMDB51's \
                 (CLASS_test_split1.txt), DualVar's (train_split01.csv), or Kinetics' (CSV files with a column youtube_id); \
                 any other set: a CSV file that begins with the line path,class,split",
                dir.display()
            ),
        },
    };
    if let Some(first) = files.other.first() {
        lists.notes.push(format!("{first} is read as no list: a list is named as trainlist01.txt, or train, val or testlist.txt"));
    }
    let groups = dir.join("groups.txt");
    if groups.is_file() {
        lists.groups = groups::read(&groups)?;
    }
    Ok(lists)
}

impl Folder {
    fn of(dir: &Path) -> Result<Folder> {
        let entries = fs::read_dir(dir).with_context(|| format!("cannot read the splits {}", dir.display()))?;
        let paths = entries.map(|entry| Ok(entry.with_context(|| dir.display().to_string())?.path()));
        let mut paths: Vec<PathBuf> = paths.collect::<Result<_>>()?;
        paths.sort();
        let mut files = Folder::default();
        for path in paths {
            let name = name_of(&path);
            if name.starts_with('.') || !path.is_file() {
                continue;
            }
            if let Some((class, number)) = hmdb51::split_of(&name) {
                files.hmdb51.push((class.to_owned(), number, path));
            } else if let Some(split) = ucf101::split_of(&name) {
                files.ucf101.push((split, path));
            } else if let Some(split) = dualvar::split_of(&name) {
                files.dualvar.push((split, path));
            } else if name.ends_with(".csv") {
                files.tables.push(path);
            } else if name.ends_with("list.txt") {
                files.other.push(name);
            }
        }
        for lists in [&mut files.ucf101, &mut files.dualvar] {
            lists.sort_by_key(|(name, _)| order(name));
        }
        Ok(files)
    }
}

/// The place of a split among others: by number, then training before test.
fn order(split: &str) -> (u64, bool, String) {
    let kind = split.trim_end_matches(|c: char| c.is_ascii_digit());
    (split[kind.len()..].parse().unwrap_or(0), kind != "train", split.to_owned())
}

/// A file's own name.
fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The lines that hold something, with their numbers from 1.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(i, line)| (i + 1, line.trim()));
    lines.filter(|(_, line)| !line.is_empty())
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

/// Files of a folder of lists, for tests.
#[cfg(test)]
fn written(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_form() {
        let table = ("set.csv", "path,class,split\na,b,c\n");
        let ucf101 = [("classInd.txt", "1 A\n"), ("trainlist01.txt", "A/a.avi 1\n")];
        let error = |files: &[(&str, &str)]| {
            let dir = written(files);
            format!("{:#}", Lists::read(dir.path()).unwrap_err()).replace(&format!("{}/", dir.path().display()), "")
        };
        assert!(error(&[table]).ends_with("give the table itself, --splits set.csv"));
        assert!(error(&[("notes.txt", "")]).contains("no split list in"));
        let both = error(&[ucf101[0], ucf101[1], ("a_test_split1.txt", "x.avi 1\n")]);
        assert!(both.contains("lists of several forms: UCF101's (trainlist01.txt), HMDB51's"), "{both}");
        let dir = written(&[ucf101[0], ucf101[1], table, ("playlist.txt", "A/a.avi\n"), ("groups.txt", "A\\a.avi g\n")]);
        let lists = Lists::read(dir.path()).unwrap();
        assert_eq!((lists.splits.len(), lists.notes.len()), (1, 1), "{:?}", lists.notes);
        assert!(lists.notes[0].starts_with("playlist.txt is read as no list"));
        assert_eq!(lists.group("A/a.avi").unwrap(), "g");
        let one = format!("{:#}", Lists::read(&dir.path().join("trainlist01.txt")).unwrap_err());
        assert!(one.contains("is one list: give the folder"), "{one}");
    }
}
