//! The rows of a split are those of its list, and groups come from lists, tables and names, whatever decodes. A script stands in for ffmpeg.

mod common;

use std::fs;
use std::path::Path;

use common::{options, pretend, Whole};
use dv_datasets::{pack, PackOptions, PackedSet, SplitRows};

/// One frame of each file but those with `bad` in their names.
const BODY: &str = "case \"$*\" in *bad*) exit 1;; esac; printf 'P6\\n2 1\\n255\\nabcdef'";

fn files(root: &Path, names: &[&str]) {
    for name in names {
        let file = root.join("in").join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "a video").unwrap();
    }
}

fn packing(root: &Path, splits: Option<&str>) -> PackOptions {
    let mut options = options(&pretend(root, BODY), "folder", &root.join("in"), &root.join("set"));
    options.splits = splits.map(|splits| root.join(splits));
    options.allow_missing = true;
    options
}

/// Packs with each number of threads; the set is the same.
fn packed(options: &PackOptions) -> PackedSet {
    let fingerprints = [1, 3, 16].map(|threads| {
        let _ = fs::remove_dir_all(&options.out);
        pack(&PackOptions { threads, ..options.clone() }, &|_| ()).unwrap().fingerprint
    });
    assert!(fingerprints.iter().all(|f| *f == fingerprints[0]), "{fingerprints:?}");
    PackedSet::open(&options.out).unwrap()
}

fn refused(options: &PackOptions) -> String {
    let _ = fs::remove_dir_all(&options.out);
    format!("{:#}", pack(options, &|_| ()).unwrap_err())
}

/// Rows as `(row, path)`: those in the set, then those that are missing.
fn rows(set: &PackedSet, split: &str) -> (Vec<(usize, String)>, Vec<(usize, String)>) {
    let SplitRows { videos, missing, rows } = set.split_rows(split).unwrap().unwrap();
    assert_eq!(videos.len() + missing.len(), rows);
    (videos.iter().map(|(row, video)| (*row, set.all()[*video].path.clone())).collect(), missing)
}

fn pairs(list: &[(usize, &str)]) -> Vec<(usize, String)> {
    list.iter().map(|(row, path)| (*row, path.to_string())).collect()
}

#[test]
fn a_list_keeps_its_rows() {
    let temp = tempfile::tempdir().unwrap();
    files(temp.path(), &["A/c.avi", "A/a.avi", "A/bad.avi", "A/unlisted.avi"]);
    let lists = temp.path().join("lists");
    fs::create_dir(&lists).unwrap();
    fs::write(lists.join("classInd.txt"), "1 A\n").unwrap();
    fs::write(lists.join("trainlist01.txt"), "A/gone.avi 1\nA/c.avi 1\n\nA/bad.avi 1\nA/a.avi 1\n").unwrap();
    fs::write(lists.join("testlist01.txt"), "A/bad.avi\nA/a.avi\n").unwrap();
    fs::write(lists.join("groups.txt"), "A/a.avi one\nA/c.avi one\nA/other.avi two\n").unwrap();
    let options = packing(temp.path(), Some("lists"));
    let set = packed(&options);
    let train = (pairs(&[(1, "A/c.avi"), (3, "A/a.avi")]), pairs(&[(0, "A/gone.avi"), (2, "A/bad.avi")]));
    assert_eq!(rows(&set, "train01"), train);
    assert_eq!(rows(&set, "test01"), (pairs(&[(1, "A/a.avi")]), pairs(&[(0, "A/bad.avi")])));
    let all = set.all();
    let groups: Vec<_> = all.iter().map(|v| (v.path.as_str(), v.group.as_str())).collect();
    assert_eq!(groups, [("A/a.avi", "one"), ("A/c.avi", "one")]);

    fs::write(lists.join("groups.txt"), "A/a.avi one\nA/c.avi one\nA/a.avi two\n").unwrap();
    assert!(refused(&options).contains("groups.txt:3: A/a.avi has group `two` here and `one` on line 1"));
    fs::write(lists.join("groups.txt"), "UCF/A/a.avi one\n").unwrap();
    assert!(refused(&options).contains("groups.txt names none of the listed files: it has paths such as UCF/A/a.avi"));
}

#[test]
fn a_table_keeps_its_rows_and_names_groups() {
    let temp = tempfile::tempdir().unwrap();
    files(temp.path(), &["v_A_g01_c01.avi", "v_A_g01_c02.avi", "bad.avi", "x.avi"]);
    let table = temp.path().join("set.csv");
    let text =
        "path,class,split,group\nbad.avi,A,train,g\nx.avi,A,train, the group \nv_A_g01_c02.avi,A,train,own\nv_A_g01_c01.avi,A,train,\n\
                x.avi,A,test,\ngone.avi,A,test,g\n";
    fs::write(&table, text).unwrap();
    let options = packing(temp.path(), Some("set.csv"));
    let set = packed(&options);
    let train = pairs(&[(1, "x.avi"), (2, "v_A_g01_c02.avi"), (3, "v_A_g01_c01.avi")]);
    assert_eq!(rows(&set, "train"), (train, pairs(&[(0, "bad.avi")])));
    assert_eq!(rows(&set, "test"), (pairs(&[(0, "x.avi")]), pairs(&[(1, "gone.avi")])));
    let all = set.all();
    let groups: Vec<_> = all.iter().map(|v| (v.path.as_str(), v.group.as_str())).collect();
    assert_eq!(groups, [("v_A_g01_c01.avi", "v_A_g01"), ("v_A_g01_c02.avi", "own"), ("x.avi", "the group")]);

    fs::write(&table, text.replace("x.avi,A,test,", "x.avi,A,test,another")).unwrap();
    assert!(refused(&options).contains("set.csv:6: x.avi has group `another` here and `the group` on line 3"));
}

#[test]
fn without_lists_the_rows_are_the_files() {
    let temp = tempfile::tempdir().unwrap();
    files(temp.path(), &["b.avi", "A/v_A_g01_c02.avi", "c.avi", "A/v_A_g01_c01.avi", "a bad one.avi"]);
    let options = packing(temp.path(), None);
    let set = packed(&options);
    let videos = pairs(&[(0, "A/v_A_g01_c01.avi"), (1, "A/v_A_g01_c02.avi"), (3, "b.avi"), (4, "c.avi")]);
    assert_eq!(rows(&set, "all"), (videos, pairs(&[(2, "a bad one.avi")])));
    assert_eq!(set.groups().unwrap(), 3);
    // A file that no longer decodes or cannot be reached keeps its row, so that all others keep theirs.
    fs::remove_file(temp.path().join("in/c.avi")).unwrap();
    std::os::unix::fs::symlink("nowhere", temp.path().join("in/c.avi")).unwrap();
    let ffmpeg = Some(pretend(temp.path(), &BODY.replace("*bad*", "*bad*|*file:b.avi*")));
    let again = packed(&PackOptions { ffmpeg, ..options.clone() });
    let videos = pairs(&[(0, "A/v_A_g01_c01.avi"), (1, "A/v_A_g01_c02.avi")]);
    assert_eq!(rows(&again, "all"), (videos, pairs(&[(2, "a bad one.avi"), (3, "b.avi"), (4, "c.avi")])));
    assert_ne!(again.fingerprint, set.fingerprint);
}
