//! Which videos come from the same source. Clips of one source are alike, so that figures over them must not count each clip as
//! independent.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{bail, ensure, Context, Result};

use super::{lines, paths, read_text};

/// The group that a video's file name gives: of `v_CLASS_gNN_cMM.EXT`, as UCF101 names its files, the name up to and including
/// `gNN` (`v_Punch_g08`); of any other name the whole path, a group of its own.
pub fn group_of(path: &str) -> &str {
    ucf101_group(path).unwrap_or(path)
}

fn ucf101_group(path: &str) -> Option<&str> {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let file = path.rsplit('/').next()?;
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let (group, _) = stem.rsplit_once("_c").filter(|(_, clip)| number(clip))?;
    let (class, _) = group.rsplit_once("_g").filter(|(_, group)| number(group))?;
    (class.len() > 2 && class.starts_with("v_")).then_some(group)
}

/// Reads `groups.txt`: on each line a video's path and its group, the last word. Gives the group of each path.
pub(super) fn read(file: &Path) -> Result<HashMap<String, String>> {
    let mut groups: HashMap<String, (String, usize)> = HashMap::new();
    for (number, line) in lines(&read_text(file)?) {
        let at = || format!("{}:{number}", file.display());
        let Some((path, group)) = line.rsplit_once(char::is_whitespace) else {
            bail!("{}: expected a video's path and its group, found `{line}`", at());
        };
        let path = paths::clean(path).with_context(at)?;
        let (before, first) = groups.entry(path.clone()).or_insert_with(|| (group.to_owned(), number));
        ensure!(before == group, "{}: {path} has group `{group}` here and `{before}` on line {first}", at());
    }
    Ok(groups.into_iter().map(|(path, (group, _))| (path, group)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_ucf101_have_groups() {
        for (path, group) in [
            ("ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi", "v_ApplyEyeMakeup_g08"),
            ("v_Punch_g1_c12.mkv", "v_Punch_g1"),
            ("a/b/v_two_words_g03_c04", "v_two_words_g03"),
            ("x/v_Old_g01_c02_g05_c06.mp4", "v_Old_g01_c02_g05"),
        ] {
            assert_eq!(group_of(path), group);
        }
        for path in [
            "Punch/Punch_g01_c01.avi",
            "v__g01_c01.avi",
            "v_Punch_g_c01.avi",
            "v_Punch_g01_c.avi",
            "v_Punch_g01.avi",
            "v_Punch_g01_c01_x.avi",
            "v_Punch_gA1_c01.avi",
            "v_Punch_g01_c01/1.avi",
            "",
        ] {
            assert_eq!(group_of(path), path);
        }
    }

    #[test]
    fn a_file_of_groups() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("groups.txt");
        let read = |text: &str| {
            std::fs::write(&file, text).unwrap();
            super::read(&file).map_err(|e| format!("{e:#}"))
        };
        let groups = read("\u{feff}./a/b c.avi  one\r\n\nd.avi two\na/b c.avi one\n").unwrap();
        assert_eq!(groups, HashMap::from([("a/b c.avi", "one"), ("d.avi", "two")].map(|(p, g)| (p.to_owned(), g.to_owned()))));
        let error = read("a.avi one\n\na.avi two\n").unwrap_err();
        assert!(error.contains("groups.txt:3: a.avi has group `two` here and `one` on line 1"), "{error}");
        assert!(read("a.avi\n").unwrap_err().contains("groups.txt:1: expected a video's path and its group, found `a.avi`"));
    }
}
