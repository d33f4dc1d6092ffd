//! What splits share though they should not: test videos that are training videos make a result look better than it is. All of it is
//! reported and none of it refused, since a set may be made so on purpose.

use std::collections::{HashMap, HashSet};

use anyhow::Result;

use crate::PackedSet;

/// A video, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    pub path: &'a str,
    /// Of the source file, where it is known: 32 bytes.
    pub sha256: Option<&'a [u8]>,
    pub group: &'a str,
}

/// What two splits share. A video stands in the first list that it fits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shared {
    /// Videos of both.
    pub paths: Vec<String>,
    /// Videos of the second split whose file has the SHA-256 of another video of the first; then that one.
    pub files: Vec<[String; 2]>,
    /// Videos of the second split whose group has videos of the first; then the group.
    pub groups: Vec<[String; 2]>,
}

/// What the second list shares with the first.
pub fn shared<'a>(first: impl IntoIterator<Item = Item<'a>>, second: impl IntoIterator<Item = Item<'a>>) -> Shared {
    let (mut paths, mut files, mut groups) = (HashSet::new(), HashMap::new(), HashSet::new());
    for item in first {
        paths.insert(item.path);
        groups.insert(item.group);
        if let Some(sha256) = item.sha256 {
            files.entry(sha256).or_insert(item.path);
        }
    }
    let mut shared = Shared::default();
    let mut seen = HashSet::new();
    for item in second.into_iter().filter(|item| seen.insert(item.path)) {
        let both = |other: &str| [item.path.to_owned(), other.to_owned()];
        if paths.contains(item.path) {
            shared.paths.push(item.path.to_owned());
        } else if let Some(other) = item.sha256.and_then(|sha256| files.get(sha256)) {
            shared.files.push(both(other));
        } else if groups.contains(item.group) {
            shared.groups.push(both(item.group));
        }
    }
    shared
}

/// The same of two sets, whose paths and groups say nothing of each other: files with one SHA-256.
pub fn same_files<'a>(first: impl IntoIterator<Item = Item<'a>>, second: impl IntoIterator<Item = Item<'a>>) -> Shared {
    let files: HashMap<&[u8], &str> = first.into_iter().filter_map(|item| Some((item.sha256?, item.path))).collect();
    let same = |item: Item| Some([item.path.to_owned(), (*files.get(item.sha256?)?).to_owned()]);
    Shared { files: second.into_iter().filter_map(same).collect(), ..Shared::default() }
}

impl Shared {
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty() && self.files.is_empty() && self.groups.is_empty()
    }

    /// A sentence for each sort, with the names of the two lists.
    pub fn lines(&self, first: &str, second: &str) -> Vec<String> {
        let mut lines = Vec::new();
        let videos = |count: usize| if count == 1 { "1 video".to_owned() } else { format!("{count} videos") };
        let is = |count: usize| if count == 1 { "is" } else { "are" };
        if let Some(path) = self.paths.first() {
            let count = self.paths.len();
            lines.push(format!("{} of {second} {} in {first} too, the first {path}", videos(count), is(count)));
        }
        if let Some([path, other]) = self.files.first() {
            let count = self.files.len();
            lines.push(format!(
                "{} of {second} {} in {first} as the same file (SHA-256), the first {path} as {other}",
                videos(count),
                is(count)
            ));
        }
        if let Some([path, group]) = self.groups.first() {
            let count = self.groups.len();
            lines.push(format!(
                "{} of {second} {} of a group that {first} has videos of, the first {path} of {group}",
                videos(count),
                is(count)
            ));
        }
        lines
    }
}

/// Videos of a set, by their places.
pub fn items<'a>(set: &'a PackedSet, videos: &[usize]) -> Result<Vec<Item<'a>>> {
    videos.iter().map(|video| Ok(Item { path: set.path(*video)?, sha256: set.sha256(*video)?, group: set.group(*video)? })).collect()
}

/// What each training split of a set shares with each test split of the same number: `train01` and `test01`, `train` and `val`.
pub fn of_splits(set: &PackedSet) -> Result<Vec<(String, String, Shared)>> {
    let names = set.split_names();
    let mut all = Vec::new();
    for first in names.iter().filter(|name| !is_test(name)) {
        for second in names.iter().filter(|name| is_test(name) && digits(name) == digits(first)) {
            let (Some(a), Some(b)) = (set.split(first)?, set.split(second)?) else { continue };
            let shared = shared(items(set, &a)?, items(set, &b)?);
            if !shared.is_empty() {
                all.push((first.to_string(), second.to_string(), shared));
            }
        }
    }
    Ok(all)
}

fn is_test(split: &str) -> bool {
    let split = split.to_lowercase();
    !split.contains("train") && ["test", "val", "query", "dev"].iter().any(|word| split.contains(word))
}

fn digits(split: &str) -> Vec<u8> {
    split.bytes().filter(u8::is_ascii_digit).collect()
}

/// Videos whose file (by SHA-256) is in the set under another class too: each with the first of the other class.
pub fn two_classes(set: &PackedSet) -> Result<Vec<[String; 2]>> {
    let mut first: HashMap<&[u8], usize> = HashMap::new();
    let mut all = Vec::new();
    for video in 0..set.len() {
        let (Some(sha256), Some(class)) = (set.sha256(video)?, set.class(video)?) else { continue };
        let other = *first.entry(sha256).or_insert(video);
        if set.class(other)? != Some(class) {
            all.push([set.path(video)?.to_owned(), set.path(other)?.to_owned()]);
        }
    }
    Ok(all)
}

/// A sentence on [`two_classes`].
pub fn two_classes_line(videos: &[[String; 2]]) -> Option<String> {
    let [path, other] = videos.first()?;
    let count = videos.len();
    let videos = if count == 1 { "1 video is the same file".to_owned() } else { format!("{count} videos are the same files") };
    Some(format!("{videos} (SHA-256) as one of another class, the first {path} and {other}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item<'a>(path: &'a str, sha256: &'a str, group: &'a str) -> Item<'a> {
        Item { path, sha256: Some(sha256.as_bytes()).filter(|s| !s.is_empty()), group }
    }

    #[test]
    fn each_video_counts_once() {
        let train = [item("a", "1", "g"), item("b", "2", "b"), item("c", "", "c")];
        let test = [item("a", "1", "g"), item("a", "1", "g"), item("x", "2", "g"), item("y", "9", "g"), item("z", "", "z")];
        let shared = shared(train, test);
        assert_eq!(shared.paths, ["a"]);
        assert_eq!(shared.files, [["x".to_owned(), "b".to_owned()]]);
        assert_eq!(shared.groups, [["y".to_owned(), "g".to_owned()]]);
        assert_eq!(
            shared.lines("train01", "test01"),
            [
                "1 video of test01 is in train01 too, the first a",
                "1 video of test01 is in train01 as the same file (SHA-256), the first x as b",
                "1 video of test01 is of a group that train01 has videos of, the first y of g",
            ]
        );
        assert!(super::shared(train, [item("z", "", "z")]).is_empty());
    }

    #[test]
    fn which_splits_are_compared() {
        for (train, test, pair) in [
            ("train01", "test01", true),
            ("train01", "test02", false),
            ("one01", "test01", true),
            ("train", "validate", true),
            ("trainval", "test", true),
            ("train_1", "val_1", true),
            ("test", "val", false),
            ("all", "rest", false),
        ] {
            assert_eq!(!is_test(train) && is_test(test) && digits(train) == digits(test), pair, "{train} {test}");
        }
    }
}
