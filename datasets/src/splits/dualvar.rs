//! DualVar's tables, as its code (and CoCLR's, from which it comes) writes them: for each split a file such as `train_split01.csv` whose
//! rows are the folder of a video's frames and how many there are: `/data/frame/YoYo/v_YoYo_g08_c01/,205`. A row names the video
//! `YoYo/v_YoYo_g08_c01`, whatever its ending; what stands before does not count, and neither do the frames.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Context, Result};

use super::csv::Table;
use super::{classes, lines, name_of, paths, read_text, Entry, List, Lists, Named};

/// The split of a table's file: `train01` of `train_split01.csv`.
pub(super) fn split_of(file: &str) -> Option<String> {
    let (kind, number) = file.strip_suffix(".csv")?.split_once("_split")?;
    let digits = number.bytes().all(|b| b.is_ascii_digit());
    (digits && !kind.is_empty()).then(|| format!("{kind}{number}"))
}

pub(super) fn read(dir: &Path, files: Vec<(String, PathBuf)>) -> Result<Lists> {
    let mut splits = Vec::new();
    let mut folders: Vec<(String, String)> = Vec::new();
    for (name, path) in files {
        let table = Table::read(&path)?;
        let mut entries = Vec::new();
        let mut seen: HashMap<String, usize> = HashMap::new();
        for row in &table.rows {
            let at = || table.at(row.line);
            let frames = row.fields.len() > 1 && row.get(1).parse::<u64>().is_ok();
            ensure!(frames, "{}: expected a video's folder and its number of frames, as DualVar's tables have it", at());
            let parts = paths::parts(row.get(0));
            let [.., class, video] = parts[..] else {
                bail!("{}: {} has no class: expected .../CLASS/VIDEO", at(), row.get(0));
            };
            let path = format!("{class}/{video}");
            if let Some(first) = seen.insert(path.clone(), row.line) {
                bail!("{}: {path} is listed twice, first on line {first}", at());
            }
            let line = format!("{}:{}", name_of(&table.file), row.line);
            folders.push((class.to_owned(), at()));
            entries.push(Entry { path, class: None, line });
        }
        splits.push(List { name, entries });
    }
    let classes = match class_file(dir)? {
        Some(file) => read_classes(&file)?,
        None => {
            let rows = folders.iter().map(|(class, _)| class.as_str()).zip(0..);
            classes::ordered(rows, &|row| folders[row].1.clone())?
        }
    };
    let places: HashMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
    for (entry, (class, at)) in splits.iter_mut().flat_map(|s| &mut s.entries).zip(&folders) {
        let Some(place) = places.get(class.as_str()) else {
            bail!("{at}: the class {class} is not in ClassInd.txt");
        };
        entry.class = Some(*place);
    }
    Ok(Lists { splits, classes, named: Named::Stem, ..Lists::default() })
}

/// `ClassInd.txt`, in any case.
fn class_file(dir: &Path) -> Result<Option<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| name_of(path).eq_ignore_ascii_case("classInd.txt") && path.is_file());
    paths.sort();
    Ok(paths.into_iter().next())
}

/// A class a line, perhaps with its number before it: `YoYo`, `101,YoYo`, `101 YoYo`.
fn read_classes(path: &Path) -> Result<Vec<String>> {
    let mut classes: Vec<String> = Vec::new();
    for (number, line) in lines(&read_text(path)?) {
        let class = match line.split_once(|c: char| c == ',' || c.is_whitespace()) {
            Some((id, class)) if id.parse::<u32>().is_ok() => class.trim(),
            _ => line,
        };
        ensure!(!classes.iter().any(|c| c == class), "{}:{number}: class {class} is there twice", path.display());
        classes.push(class.to_owned());
    }
    ensure!(!classes.is_empty(), "{} names no class", path.display());
    Ok(classes)
}

#[cfg(test)]
mod tests {
    use super::super::written;
    use super::*;

    #[test]
    fn folders_of_frames_name_videos() {
        let files = [
            ("train_split01.csv", "../../data/HMDB51/frame/run/a!__b_1/,438\r\n/x/frame/clap/c.d_2,31\r\n"),
            ("test_split01.csv", "frame\\run\\e_3\\,7\n"),
        ];
        for (classes, want, labels) in [
            (None, ["clap", "run"], [1, 0, 1]),
            (Some("run\nclap\n"), ["run", "clap"], [0, 1, 0]),
            (Some("1,run\n2,clap\n"), ["run", "clap"], [0, 1, 0]),
            (Some("1 run\n2 clap\n"), ["run", "clap"], [0, 1, 0]),
        ] {
            let dir = written(&files);
            if let Some(text) = classes {
                fs::write(dir.path().join("ClassInd.txt"), text).unwrap();
            }
            let lists = Lists::read(dir.path()).unwrap();
            assert_eq!((lists.named, lists.classes), (Named::Stem, want.map(str::to_owned).to_vec()));
            let names: Vec<&str> = lists.splits.iter().map(|s| s.name.as_str()).collect();
            assert_eq!(names, ["train01", "test01"]);
            let rows: Vec<_> = lists.splits.iter().flat_map(|s| &s.entries).map(|e| (e.path.as_str(), e.class.unwrap())).collect();
            assert_eq!(rows, [("run/a!__b_1", labels[0]), ("clap/c.d_2", labels[1]), ("run/e_3", labels[2])]);
        }
    }

    #[test]
    fn faults_say_where() {
        for (text, want) in [
            ("a/b/c/,1\na/b/c,1\n", "train_split.csv:2: b/c is listed twice, first on line 1"),
            ("path,frames\n", "train_split.csv:1: expected a video's folder and its number of frames"),
            ("a/b,3\nc,3\n", "train_split.csv:2: c has no class"),
            ("a/b,3\nx/c,3\n", "train_split.csv:2: the class x is not in ClassInd.txt"),
            ("\n", "the split train in"),
        ] {
            let dir = written(&[("train_split.csv", text), ("classind.txt", "a\nb\n")]);
            let error = format!("{:#}", Lists::read(dir.path()).unwrap_err());
            assert!(error.contains(want), "{error}");
        }
    }
}
