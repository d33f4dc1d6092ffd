//! HMDB51's lists: a file for each class and split, `brush_hair_test_split1.txt`, with a line for each video of the class: its file and
//! 0 (unused), 1 (training) or 2 (test). The classes are those of the files, in alphabetical order.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use anyhow::{bail, Context, Result};

use super::{lines, name_of, paths, read_text, Entry, List, Lists};

/// Class and number of the split of a list's file.
pub(super) fn split_of(file: &str) -> Option<(&str, u32)> {
    let (class, number) = file.strip_suffix(".txt")?.rsplit_once("_test_split")?;
    let digits = number.bytes().all(|b| b.is_ascii_digit());
    (digits && !class.is_empty()).then_some((class, number.parse().ok()?))
}

/// Reads the lists; the splits are `train01` and `test01` of each number.
pub(super) fn read(files: Vec<(String, u32, PathBuf)>) -> Result<Lists> {
    let mut classes: Vec<String> = files.iter().map(|(class, ..)| class.clone()).collect();
    classes.sort();
    classes.dedup();
    let places: HashMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
    let mut files: Vec<(u32, u32, &str, &PathBuf)> = files.iter().map(|(c, n, file)| (*n, places[c.as_str()], c.as_str(), file)).collect();
    files.sort();
    let mut numbers: BTreeMap<u32, [Vec<Entry>; 2]> = BTreeMap::new();
    for (number, place, class, path) in &files {
        let [train, test] = numbers.entry(*number).or_default();
        let mut seen: HashMap<String, usize> = HashMap::new();
        for (number, line) in lines(&read_text(path)?) {
            let at = || format!("{}:{number}", path.display());
            let Some((video, part)) = line.rsplit_once(char::is_whitespace) else {
                bail!("{}: expected a video's file and 0, 1 or 2, found `{line}`", at());
            };
            let video = format!("{class}/{}", paths::clean(video).with_context(at)?);
            if let Some(first) = seen.insert(video.clone(), number) {
                bail!("{}: {video} is listed twice, first on line {first}", at());
            }
            let entry = Entry { path: video, class: Some(*place), line: format!("{}:{number}", name_of(path)) };
            match part {
                "0" => {}
                "1" => train.push(entry),
                "2" => test.push(entry),
                _ => bail!(
                    "{}: expected 0 (unused), 1 (training) or 2 (test) after the file, as HMDB51's lists have it, found `{part}`",
                    at()
                ),
            }
        }
    }
    let mut notes = Vec::new();
    for number in numbers.keys() {
        let lacking: Vec<&str> =
            classes.iter().map(String::as_str).filter(|c| !files.iter().any(|f| f.0 == *number && f.2 == *c)).collect();
        if let Some(first) = lacking.first() {
            notes.push(format!("split {number} has no list for {} of {} classes, the first {first}", lacking.len(), classes.len()));
        }
    }
    let splits = numbers.into_iter().flat_map(|(number, [train, test])| {
        [List { name: format!("train{number:02}"), entries: train }, List { name: format!("test{number:02}"), entries: test }]
    });
    Ok(Lists { splits: splits.collect(), classes, notes, ..Lists::default() })
}

#[cfg(test)]
mod tests {
    use super::super::written;
    use super::*;

    #[test]
    fn one_two_and_unused() {
        let dir = written(&[
            ("run_test_split1.txt", "a!_run_1.avi 1 \r\nb_run_2.avi 2 \r\nc.avi 0 \r\n"),
            ("brush_hair_test_split1.txt", "x y.avi 2 \nz.avi 1 \n"),
            ("run_test_split2.txt", "a!_run_1.avi 2 \nb_run_2.avi 1 \n"),
            ("brush_hair_test_split2.txt", "z.avi 1\n"),
        ]);
        let lists = Lists::read(dir.path()).unwrap();
        assert_eq!((lists.classes.as_slice(), lists.notes.len()), (&["brush_hair".to_owned(), "run".to_owned()][..], 0));
        let rows = |i: usize| {
            let entries = lists.splits[i].entries.iter().map(|e| (e.path.as_str(), e.class.unwrap()));
            (lists.splits[i].name.as_str(), entries.collect::<Vec<_>>())
        };
        assert_eq!(rows(0), ("train01", vec![("brush_hair/z.avi", 0), ("run/a!_run_1.avi", 1)]));
        assert_eq!(rows(1), ("test01", vec![("brush_hair/x y.avi", 0), ("run/b_run_2.avi", 1)]));
        assert_eq!(rows(2), ("train02", vec![("brush_hair/z.avi", 0), ("run/b_run_2.avi", 1)]));
        assert_eq!(rows(3), ("test02", vec![("run/a!_run_1.avi", 1)]));
        assert_eq!(lists.splits[3].entries[0].line, "run_test_split2.txt:1");
    }

    #[test]
    fn faults_say_where() {
        for (text, want) in [
            ("a.avi 3\n", "run_test_split1.txt:1: expected 0 (unused), 1 (training) or 2 (test)"),
            ("a.avi 1\nb.avi\n", "run_test_split1.txt:2: expected a video's file and 0, 1 or 2"),
            ("a.avi 1\na.avi 2\n", "run_test_split1.txt:2: run/a.avi is listed twice, first on line 1"),
            ("a.avi 0\n", "the split train01 in"),
        ] {
            let dir = written(&[("run_test_split1.txt", text)]);
            let error = format!("{:#}", Lists::read(dir.path()).unwrap_err());
            assert!(error.contains(want), "{error}");
        }
        let dir = written(&[("a_test_split1.txt", "x.avi 1\ny.avi 2\n"), ("b_test_split2.txt", "x.avi 1\ny.avi 2\n")]);
        let notes = Lists::read(dir.path()).unwrap().notes;
        assert_eq!(notes[0], "split 1 has no list for 1 of 2 classes, the first b");
    }
}
