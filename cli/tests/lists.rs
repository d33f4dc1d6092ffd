//! Packing by lists as users do it: what is printed, exit statuses, and the commands of `docs/videos.md`. A script stands in for ffmpeg.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// One frame of each file but those with `bad` in their names.
const FFMPEG: &str =
    "#!/bin/sh\n[ \"$1\" = -version ] && echo ffmpeg version 7.0 && exit\ncase \"$*\" in *bad*) exit 1;; esac\nprintf 'P6\\n2 1\\n255\\nabcdef'\n";

struct Place(PathBuf);

impl Place {
    /// An empty folder for one test, with these files; each holds its own name where no text is given.
    fn new(name: &str, files: &[(&str, &str)]) -> Place {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lists").join(name);
        let _ = fs::remove_dir_all(&dir);
        let place = Place(dir);
        place.write("ffmpeg", FFMPEG);
        fs::set_permissions(place.0.join("ffmpeg"), fs::Permissions::from_mode(0o755)).unwrap();
        files.iter().for_each(|(name, text)| place.write(name, if text.is_empty() { name } else { text }));
        place
    }

    fn write(&self, name: &str, text: &str) {
        let file = self.0.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    /// Runs a command line of `dv`. Its exit status, stdout and stderr.
    fn dv(&self, line: &str) -> (Option<i32>, String, String) {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec '{}' {line}", env!("CARGO_BIN_EXE_dv"))]);
        let Output { status, stdout, stderr } = command.current_dir(&self.0).env("DV_FFMPEG", self.0.join("ffmpeg")).output().unwrap();
        (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }
}

const PACK: &str = "pack folder --size 8x8 --filter bilinear --videos in";

#[test]
fn the_summary() {
    let mut files: Vec<(String, String)> = (0..20).map(|i| (format!("in/A/{i:02}bad.avi"), String::new())).collect();
    files.extend((0..15).map(|i| (format!("in/C{i:02}/1.avi"), String::new())));
    files.extend(["in/top.avi", "in/notes/a.bad"].map(|name| (name.to_owned(), String::new())));
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let place = Place::new("summary", &files);
    let (status, out, said) = place.dv(&format!("{PACK} --out set"));
    assert_eq!((status, out.as_str()), (Some(0), ""), "{said}");
    for line in [
        "note: no class is made of folders in which no video decoded: A, notes\n",
        "class: C11: 1\nclass: and 3 more (dv inspect --json lists all)\n",
        "unlabelled: 1 of 16 videos have no class: top.avi\n",
        "split: all: 16 videos, 21 of its 37 rows missing\n",
        "lengths: 1 to 1 frames, median 1\n",
        "rates: unknown\n",
        "rejected: A/11bad.avi: no frame decodes",
        "rejected: and 9 more (dv inspect --json lists all)\n",
        "set: 16 videos, 16 frames of 8x8, 0.0 MB, 21 rejected (",
    ] {
        assert!(said.contains(line), "`{line}` is not in\n{said}");
    }
    assert!(!said.contains("class: C12") && !said.contains("A/12bad.avi"), "{said}");
    let json: serde_json::Value = serde_json::from_str(&place.dv("inspect set --json").1).unwrap();
    assert_eq!((json["rejected"].as_array().unwrap().len(), json["class_videos"].as_array().unwrap().len()), (21, 15));
    assert_eq!((json["unlabelled"][0].as_str(), json["lengths"]["median"].as_f64()), (Some("top.avi"), Some(1.0)));
}

#[test]
fn two_sets() {
    let rows = "path,class,split\nA/1.avi,A,train\nB/2.avi,B,train\nB/3.avi,B,test\n";
    let place = Place::new("two", &[("in/A/1.avi", ""), ("in/B/2.avi", ""), ("in/B/3.avi", ""), ("one.csv", rows)]);
    place.write("two.csv", &rows.replace("A/1.avi,A", "A/1.avi,B").replace("B/3.avi,B,test\n", "A/1.avi,B,test\n"));
    for (splits, out) in [("one", "a"), ("one", "same"), ("two", "b")] {
        let (status, _, said) = place.dv(&format!("{PACK} --splits {splits}.csv --out {out}"));
        assert_eq!(status, Some(0), "{said}");
    }
    let (status, out, _) = place.dv("inspect a same");
    assert_eq!(status, Some(0));
    assert!(out.starts_with("a and same have the same content: fingerprint "), "{out}");
    let (status, out, said) = place.dv("inspect a b");
    assert_eq!((status, said.as_str()), (Some(1), ""), "{out}");
    let want = "a, the first set, and b, the second, differ:\nclasses of the first set only (1)\n  A\nvideos of the first set only (1)\n  B/3.avi\n\
        other labels (1)\n  A/1.avi: A, then B\nrows of the split test of the first set only (1)\n  B/3.avi\n\
        rows of the split test of the second set only (1)\n  A/1.avi\n";
    assert_eq!(out, want);
    let (status, out, _) = place.dv("inspect a b --json");
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (status, json["equal"].as_bool(), json["differences"][2]["items"][0].as_str()),
        (Some(1), Some(false), Some("A/1.avi: A, then B"))
    );
    assert_eq!(place.dv("inspect a none").0, Some(1));
    // The other set's videos overlap, which pack reports and does not refuse.
    let (_, out, _) = place.dv("inspect b");
    assert!(out.contains("overlap      1 video of test is in train too, the first A/1.avi\n"), "{out}");
}

/// Each command of the guide runs, on a folder as the guide describes it.
#[test]
fn the_commands_of_the_guide() {
    let kinetics = "label,youtube_id,time_start,time_end,split\nair drumming,-x,1,11,train\nair drumming,gone,1,11,train\n";
    let csv = "path,class,split\njump/a.mp4,jump,train\njump/b.avi,jump,test\nrun/c.mkv,run,train\nunlabelled.mp4,,train\n";
    let place = Place::new(
        "guide",
        &[
            ("clips/jump/a.mp4", ""),
            ("clips/jump/b.avi", ""),
            ("clips/run/c.mkv", ""),
            ("clips/unlabelled.mp4", ""),
            ("clips.csv", csv),
            ("UCF-101/YoYo/v_YoYo_g08_c01.avi", ""),
            ("UCF-101/YoYo/v_YoYo_g01_c01.avi", ""),
            ("ucfTrainTestlist/classInd.txt", "1 YoYo\n"),
            ("ucfTrainTestlist/trainlist01.txt", "YoYo/v_YoYo_g08_c01.avi 1\n"),
            ("ucfTrainTestlist/testlist01.txt", "YoYo/v_YoYo_g01_c01.avi\n"),
            ("hmdb51/brush_hair/VIDEO.avi", ""),
            ("hmdb51/brush_hair/b.avi", ""),
            ("testTrainMulti_7030_splits/brush_hair_test_split1.txt", "VIDEO.avi 1\nb.avi 2\n"),
            ("kinetics400/train/air drumming/-x_000001_000011.mp4", ""),
            ("annotations/train.csv", kinetics),
            ("process_data/data/ucf101/train_split01.csv", "/data/UCF101/frame/YoYo/v_YoYo_g08_c01/,205\n"),
        ],
    );
    let guide = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/videos.md")).unwrap();
    let commands: Vec<&str> =
        guide.lines().filter_map(|line| line.strip_prefix("dv ")).filter(|c| c.starts_with("pack ") || c.starts_with("inspect ")).collect();
    assert_eq!(commands.iter().filter(|c| c.starts_with("pack ")).count(), 7, "{commands:?}");
    for command in commands {
        if let Some((_, out)) = command.split_once("--out ").filter(|_| command.starts_with("pack") && !command.ends_with("--update")) {
            let _ = fs::remove_dir_all(place.0.join(out));
        }
        let (status, _, said) = place.dv(command);
        assert_eq!(status, Some(0), "dv {command}: {said}");
    }
}
