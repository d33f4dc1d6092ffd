//! UCF101's lists: `classInd.txt` (`1 ApplyEyeMakeup`), and for each split a file such as `trainlist01.txt`
//! (`ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1`) or `testlist01.txt` (the same, no number needed).

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Context, Result};

use super::{lines, name_of, paths, read_text, Entry, List, Lists};

/// What a list without a number may be called. With a number it may have any name: `onelist01.txt`.
const KINDS: [&str; 7] = ["train", "test", "val", "valid", "validation", "trainval", "all"];

/// The split of a list's file: `train01` of `trainlist01.txt`.
pub(super) fn split_of(file: &str) -> Option<String> {
    let (kind, number) = file.strip_suffix(".txt")?.split_once("list")?;
    let numbered = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let named = KINDS.contains(&kind) || (numbered && !kind.is_empty() && !kind.starts_with('.'));
    (named && (numbered || number.is_empty())).then(|| format!("{kind}{number}"))
}

pub(super) fn read(dir: &Path, files: Vec<(String, PathBuf)>) -> Result<Lists> {
    let classes = read_classes(&dir.join("classInd.txt"))?;
    let splits = files.into_iter().map(|(name, file)| read_list(name, &file, &classes)).collect::<Result<_>>()?;
    Ok(Lists { classes, splits, ..Lists::default() })
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
    let file = name_of(path);
    let places: HashMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut entries = Vec::new();
    for (number, line) in lines(&text) {
        let at = || format!("{}:{number}", path.display());
        let (video, label) = parts(line);
        let video = paths::clean(video).with_context(at)?;
        let folder = video.split_once('/').map(|(folder, _)| folder);
        let by_folder = folder.and_then(|folder| places.get(folder).copied());
        let class = match label {
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
            None => {
                let near = folder.filter(|_| by_folder.is_none());
                let near = near.and_then(|folder| Some((folder, classes.iter().find(|class| class.eq_ignore_ascii_case(folder))?)));
                if let Some((folder, class)) = near {
                    bail!("{}: the folder {folder} is no class of classInd.txt, which has {class}: write both alike", at());
                }
                by_folder
            }
        };
        if let Some(first) = seen.insert(video.clone(), number) {
            bail!("{}: {video} is listed twice, first on line {first}", at());
        }
        entries.push(Entry { path: video, class, line: format!("{file}:{number}") });
    }
    Ok(List { name, entries })
}

/// The video of a line and its label. A path may hold spaces; a last word that is a number is the label.
fn parts(line: &str) -> (&str, Option<&str>) {
    let number = |word: &str| {
        let digits = word.trim_start_matches(['-', '+']);
        word.eq_ignore_ascii_case("nan") || (digits.starts_with(|c: char| c.is_ascii_digit()) && digits.parse::<f64>().is_ok())
    };
    match line.rsplit_once(char::is_whitespace) {
        Some((video, label)) if number(label) => (video, Some(label)),
        _ => (line, None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::written;
    use super::*;

    #[test]
    fn classes_splits_and_paths() {
        let dir = written(&[
            ("classInd.txt", "\u{feff}1 Punch\r\n\r\n2 YoYo\r\n"),
            ("trainlist02.txt", "YoYo/a.avi 2\n"),
            ("testlist01.txt", "YoYo/a.avi\n./Other//x.avi"),
            ("trainlist01.txt", "\nPunch/b c.avi 1\r\nYoYo\\d 7.avi\n"),
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
        let test = &lists.splits[1].entries;
        assert_eq!((test[1].path.as_str(), test[1].class), ("Other/x.avi", None));
    }

    #[test]
    fn which_files_are_lists() {
        for (file, split) in [
            ("trainlist01.txt", Some("train01")),
            ("onelist03.txt", Some("one03")),
            ("testlist.txt", Some("test")),
            ("playlist.txt", None),
            ("list.txt", None),
            ("list01.txt", None),
            (".trainlist01.txt", None),
            ("trainlist01.csv", None),
            ("trainlist_a.txt", None),
        ] {
            assert_eq!(split_of(file).as_deref(), split, "{file}");
        }
    }

    #[test]
    fn faults_say_where() {
        let classes = ("classInd.txt", "1 Punch\n2 YoYo\n");
        for (files, text) in [
            ([classes, ("trainlist01.txt", "Punch/a.avi 1\nPunch/b.avi 3\n")], "trainlist01.txt:2: class number 3 is not"),
            ([classes, ("trainlist01.txt", "Punch/a.avi 0\n")], "trainlist01.txt:1: class number 0 is not"),
            ([classes, ("trainlist01.txt", "Punch/a.avi -1\n")], "trainlist01.txt:1: class number -1 is not"),
            ([classes, ("trainlist01.txt", "Punch/a.avi NaN\n")], "trainlist01.txt:1: class number NaN is not"),
            ([classes, ("trainlist01.txt", "Punch/a.avi 1.0\n")], "trainlist01.txt:1: class number 1.0 is not"),
            ([classes, ("trainlist01.txt", "Punch/a.avi 2\n")], "class number 2 is YoYo, but the video's folder is Punch"),
            ([classes, ("trainlist01.txt", "Punch/a.avi 1\n\n.\\Punch//a.avi 1\n")], ":3: Punch/a.avi is listed twice, first on line 1"),
            ([classes, ("trainlist01.txt", "/data/Punch/a.avi 1\n")], "trainlist01.txt:1: /data/Punch/a.avi must lie below --videos"),
            (
                [classes, ("testlist01.txt", "punch/a.avi\n")],
                "testlist01.txt:1: the folder punch is no class of classInd.txt, which has Punch",
            ),
            ([classes, ("testlist01.txt", "\n\r\n")], "the split test01 in"),
            ([("classInd.txt", "1 A\n3 B\n"), ("trainlist01.txt", "")], "classInd.txt:2: expected class number 2"),
            ([("classInd.txt", "Punch\n"), ("trainlist01.txt", "")], "classInd.txt:1: expected a number and"),
            ([classes, ("train.txt", "")], "no split list in"),
            ([("x.txt", ""), ("trainlist01.txt", "")], "cannot read"),
        ] {
            let dir = written(&files);
            let error = format!("{:#}", Lists::read(dir.path()).unwrap_err());
            assert!(error.contains(text), "{error}");
        }
    }
}
