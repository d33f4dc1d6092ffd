//! Sets from a CSV table of splits.

mod common;

use std::fs;

use common::{ffmpegs, make, options, Whole};
use dv_datasets::{pack, PackedSet};

#[test]
fn a_set_from_a_table() {
    for ffmpeg in ffmpegs() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("my videos");
        let first = root.join("one, two/ä b.avi");
        assert!(make(&ffmpeg, "-f lavfi -i testsrc=size=32x24:rate=25:duration=0.2 -c:v mpeg4", &first));
        for name in ["flat.avi", "Punch/wave.avi", "Wave/unlabelled.avi", ".hidden/x.avi", "extra.avi"] {
            fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs::copy(&first, root.join(name)).unwrap();
        }
        fs::write(root.join("words.avi"), "words\n".repeat(99)).unwrap();
        std::os::unix::fs::symlink("nowhere", root.join("broken.avi")).unwrap();
        let table = root.join("my set.csv");
        let rows =
            "\u{feff}path,class,split\r\nPunch/wave.avi,Wave,train\r\n\"one, two/ä b.avi\",Punch,train\r\nWave/unlabelled.avi,,train\r\n\
            gone.avi,Punch,train\r\nwords.avi,Punch,test\r\nflat.avi,\"Übung, 1\",test\r\n.hidden/x.avi,Wave,test\r\nPunch,Wave,test\r\n\
            broken.avi,Wave,test\r\ngone.avi,Punch,test\r\nPunch/wave.avi,Wave,test\r\n";
        fs::write(&table, rows).unwrap();
        let mut options = options(&ffmpeg, "folder", &root, &temp.path().join("set"));
        options.splits = Some(table.clone());
        let error = format!("{:#}", pack(&options, &|_| ()).unwrap_err());
        assert!(
            error.starts_with("4 rows name no file below ") && error.contains(": 1 of the 4 rows of train, 3 of the 7 rows of test\n"),
            "{error}"
        );
        assert!(error.contains("\n  my set.csv:9: Punch: it is a folder, not a file") && error.contains("--allow-missing"), "{error}");
        assert!(!options.out.exists());
        options.allow_missing = true;
        let summary = pack(&options, &|_| ()).unwrap();
        let set = PackedSet::open(&options.out).unwrap();

        assert_eq!(set.classes, ["Punch", "Wave", "Übung, 1"]);
        let all = set.all();
        let names = |split: &str| set.split(split).unwrap().unwrap().iter().map(|v| all[*v].path.as_str()).collect::<Vec<_>>();
        assert_eq!(set.split_names(), ["train", "test"]);
        assert_eq!(names("train"), ["Punch/wave.avi", "one, two/ä b.avi", "Wave/unlabelled.avi"]);
        assert_eq!(names("test"), ["flat.avi", ".hidden/x.avi", "Punch/wave.avi"]);
        // The table's classes alone count: a folder's name is none.
        let classes: Vec<_> = all.iter().map(|v| (v.path.as_str(), v.class)).collect();
        let want = [(".hidden/x.avi", 1), ("Punch/wave.avi", 1), ("Wave/unlabelled.avi", 9), ("flat.avi", 2), ("one, two/ä b.avi", 0)];
        assert_eq!(classes, want.map(|(path, class)| (path, Some(class).filter(|c| *c < 9))));

        let gone = set.gone();
        let rejected: Vec<_> = gone.iter().map(|r| (r.path.as_str(), r.reason.as_str())).collect();
        assert_eq!((summary.rejected, summary.missing), (3, 4));
        assert_eq!(rejected[0], ("Punch", "it is a folder, not a file; listed in my set.csv:9"));
        assert!(rejected[1].0 == "broken.avi" && rejected[1].1.starts_with("it cannot be read: No such file"), "{rejected:?}");
        assert!(rejected[1].1.ends_with("; listed in my set.csv:10"), "{rejected:?}");
        assert_eq!(rejected[2], ("gone.avi", "there is no such file; listed in my set.csv:5; listed in my set.csv:11"));
        assert!(rejected[3].0 == "words.avi" && rejected[3].1.ends_with("; listed in my set.csv:6"), "{rejected:?}");
        assert_eq!(rejected.len(), 4);

        // What is wrong with the table is told before anything is decoded or made.
        fs::write(&table, "path,class,split\nflat.avi,A,train\nflat.avi,B,test\n").unwrap();
        options.out = temp.path().join("other");
        let error = format!("{:#}", pack(&options, &|_| ()).unwrap_err());
        assert!(error.contains("my set.csv:3: flat.avi has class `B` here and `A` on line 2"), "{error}");
        fs::write(&table, "path,class,split\nnone.avi,A,train\n").unwrap();
        let error = format!("{:#}", pack(&options, &|_| ()).unwrap_err());
        assert!(error.contains("the one video of the split train is not below") && error.contains("my set.csv:2: none.avi"), "{error}");
        assert!(!options.out.exists());
    }
}
