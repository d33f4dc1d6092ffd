//! The forms of lists that `docs/videos.md` describes, each packed; and lists whose files are not there, which are an error before
//! anything is decoded. A script stands in for ffmpeg.

mod common;

use std::fs;
use std::path::PathBuf;

use common::{options, pretend, Whole};
use dv_datasets::{inspect_json, inspect_text, overlap, pack, prepare, PackOptions, PackedSet};
use tempfile::TempDir;

/// One frame of each file but those with `bad` in their names; each call leaves a line in `decoded`.
const BODY: &str = "echo x >> \"${0%/*}/decoded\"; case \"$*\" in *bad*) exit 1;; esac; printf 'P6\\n2 1\\n255\\nabcdef'";

struct Place(TempDir);

impl Place {
    /// A folder `in` of files, each of its own content, and a folder `lists`.
    fn new(files: &[&str], lists: &[(&str, &str)]) -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        for name in files {
            place.write(&format!("in/{name}"), name);
        }
        for (name, text) in lists {
            place.write(&format!("lists/{name}"), text);
        }
        place
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    fn write(&self, below: &str, text: &str) {
        fs::create_dir_all(self.path(below).parent().unwrap()).unwrap();
        fs::write(self.path(below), text).unwrap();
    }

    fn options(&self, splits: &str) -> PackOptions {
        let mut options = options(&pretend(self.0.path(), BODY), "folder", &self.path("in"), &self.path("set"));
        options.splits = (!splits.is_empty()).then(|| self.path(splits));
        options
    }

    fn packed(&self, options: &PackOptions) -> PackedSet {
        let _ = fs::remove_dir_all(&options.out);
        pack(options, &|_| ()).unwrap();
        PackedSet::open(&options.out).unwrap()
    }

    /// The error of a pack that ends before anything is decoded.
    fn refused(&self, options: &PackOptions) -> String {
        let error = format!("{:#}", pack(options, &|_| ()).unwrap_err());
        assert!(!self.path("decoded").exists(), "decoded before the error: {error}");
        error
            .replace(&self.0.path().canonicalize().unwrap().display().to_string(), "HERE")
            .replace(&self.0.path().display().to_string(), "HERE")
    }
}

/// A split's videos and labels.
fn split(set: &PackedSet, name: &str) -> Vec<(String, Option<u32>)> {
    let videos = set.split(name).unwrap().unwrap_or_else(|| panic!("no split {name}: {:?}", set.split_names()));
    videos.into_iter().map(|v| (set.all()[v].path.clone(), set.all()[v].class)).collect()
}

fn rows(list: &[(&str, u32)]) -> Vec<(String, Option<u32>)> {
    list.iter().map(|(path, class)| (path.to_string(), Some(*class))).collect()
}

#[test]
fn ucf101_in_three_splits() {
    let files = ["YoYo/v_YoYo_g01_c01.avi", "YoYo/v_YoYo_g02_c01.avi", "Punch/v_Punch_g01_c01.avi", "Punch/x.avi", "readme.txt"];
    let classes = ("classInd.txt", "1 Rope\n2 YoYo\n3 Punch\n");
    let line = |i: usize, label: &str| format!("{}{label}\n", files[i]);
    let place = Place::new(&files, &[classes]);
    for (number, train, test) in [(1, 0, 1), (2, 1, 2), (3, 2, 0)] {
        let label = if train == 2 { " 3" } else { " 2" };
        place.write(&format!("lists/trainlist{number:02}.txt"), &line(train, label));
        place.write(&format!("lists/testlist{number:02}.txt"), &line(test, ""));
    }
    let options = place.options("lists");
    let notes = prepare(&options).unwrap().notes().to_vec();
    assert_eq!(notes, ["2 files are in no split of the lists, and not packed; the first: Punch/x.avi"]);
    let set = place.packed(&options);
    // The lists' classes, in their order, though one has no video here.
    assert_eq!(set.classes, ["Rope", "YoYo", "Punch"]);
    assert_eq!(set.split_names(), ["train01", "test01", "train02", "test02", "train03", "test03"]);
    assert_eq!(split(&set, "train01"), rows(&[(files[0], 1)]));
    assert_eq!(split(&set, "test02"), rows(&[(files[2], 2)]));
    assert_eq!((set.all().len(), set.gone().len()), (3, 0));
}

#[test]
fn hmdb51() {
    let files = ["run/a!_run_1.avi", "run/b_2.avi", "run/unused.avi", "brush_hair/c_3.avi"];
    let lists = [
        ("run_test_split1.txt", "a!_run_1.avi 1 \nb_2.avi 2 \nunused.avi 0 \n"),
        ("brush_hair_test_split1.txt", "c_3.avi 1 \n"),
        ("run_test_split2.txt", "a!_run_1.avi 2 \nb_2.avi 1 \nunused.avi 0 \n"),
        ("brush_hair_test_split2.txt", "c_3.avi 2 \n"),
    ];
    let place = Place::new(&files, &lists);
    let set = place.packed(&place.options("lists"));
    assert_eq!(set.classes, ["brush_hair", "run"]);
    assert_eq!(split(&set, "train01"), rows(&[("brush_hair/c_3.avi", 0), ("run/a!_run_1.avi", 1)]));
    assert_eq!(split(&set, "test02"), rows(&[("brush_hair/c_3.avi", 0), ("run/a!_run_1.avi", 1)]));
    assert_eq!(set.all().len(), 3);
}

#[test]
fn kinetics_with_videos_that_are_gone() {
    let files = ["air drumming/-0aB_000110_000120.mp4", "air drumming/-0aB_000110_000120.json", "val/zumba/x_y_000000_000010.mkv"];
    let head = "label,youtube_id,time_start,time_end,split,is_cc\n";
    let train = format!("{head}air drumming,-0aB,110,120,train,0\nzumba,gone,5,15,train,0\n");
    let validate = format!("{head}zumba,x_y,0,10,validate,0\n");
    let place = Place::new(&files, &[("train.csv", &train), ("validate.csv", &validate)]);
    let mut options = place.options("lists");
    let error = place.refused(&options);
    assert!(
        error.starts_with("1 row names no file below HERE/in: 1 of the 2 rows of train\n  train.csv:3: zumba/gone_000005_000015"),
        "{error}"
    );
    assert!(error.ends_with("or give --allow-missing to keep them as missing rows"), "{error}");
    options.allow_missing = true;
    let set = place.packed(&options);
    assert_eq!(set.classes, ["air drumming", "zumba"]);
    assert_eq!(split(&set, "train"), rows(&[(files[0], 0)]));
    assert_eq!(split(&set, "validate"), rows(&[(files[2], 1)]));
    assert_eq!(set.split_rows("train").unwrap().unwrap().missing, [(1, "zumba/gone_000005_000015".to_owned())]);
    let text = inspect_text(&set).unwrap();
    assert!(text.contains("missing      train: 1 of 2 rows have no file: zumba/gone_000005_000015\n"), "{text}");
    // One file of a release: its own splits only.
    let set = place.packed(&PackOptions { splits: Some(place.path("lists/validate.csv")), ..options });
    assert_eq!((&set.classes, set.len()), (&vec!["zumba".to_owned()], 1));
}

#[test]
fn dualvars_tables() {
    let files = ["run/a_1.avi", "run/a_1.txt", "clap/b.c_2.mp4"];
    let lists =
        [("train_split01.csv", "../../data/HMDB51/frame/run/a_1/,438\n"), ("test_split01.csv", "../../data/HMDB51/frame/clap/b.c_2/,31\n")];
    let place = Place::new(&files, &lists);
    let set = place.packed(&place.options("lists"));
    assert_eq!(set.classes, ["clap", "run"]);
    assert_eq!(split(&set, "train01"), rows(&[("run/a_1.avi", 1)]));
    assert_eq!(split(&set, "test01"), rows(&[("clap/b.c_2.mp4", 0)]));

    place.write("in/run/a_1.mkv", "another");
    fs::remove_file(place.path("decoded")).unwrap();
    fs::remove_dir_all(place.path("set")).unwrap();
    let error = place.refused(&place.options("lists"));
    assert_eq!(error, "train_split01.csv:1: run/a_1 may be run/a_1.avi or run/a_1.mkv: leave one of them below --videos");
    // Frames that are unsupported are refused by name.
    for name in ["in/run/a_1.avi", "in/run/a_1.mkv"] {
        fs::remove_file(place.path(name)).unwrap();
    }
    place.write("in/run/a_1/flow_x_00001.jpg", "");
    let error = place.refused(&place.options("lists"));
    assert!(
        error.starts_with("run/a_1 is a folder of pictures (such as flow_x_00001.jpg), 1 in number: pictures of optical flow"),
        "{error}"
    );
}

#[test]
fn a_split_without_a_file_says_what_may_be_meant() {
    let list = |path: &str| format!("{path} 1\n");
    for (file, listed, videos, near, help) in [
        ("yoyo/a.avi", "YoYo/a.avi", "in", "there is yoyo/a.avi (another case)", "write the lists' paths as the files are called"),
        ("YoYo/a.avi", "YoYo/a.AVI", "in", "there is YoYo/a.avi (another case)", "write the lists' paths"),
        ("YoYo/a.mp4", "YoYo/a.avi", "in", "there is YoYo/a.mp4 (another ending)", "write the lists' paths"),
        (
            "HandStandPushups/v_1.avi",
            "HandstandPushups/v_1.avi",
            "in",
            "there is HandStandPushups/v_1.avi (another case)",
            "write the lists'",
        ),
        ("UCF-101/YoYo/a.avi", "YoYo/a.avi", "in", "there is UCF-101/YoYo/a.avi (in a deeper folder)", "give --videos HERE/in/UCF-101;"),
        ("UCF-101/YoYo/a.avi", "YoYo/a.avi", "in/UCF-101/YoYo", "there is a.avi (in a higher folder)", "give --videos HERE/in/UCF-101;"),
        ("UCF-101/YoYo/a.avi", "UCF-101/YoYo/a.avi", "in/UCF-101", "there is YoYo/a.avi (in a higher folder)", "give --videos HERE/in;"),
        ("YoYo/a.avi", "x/YoYo/a.avi", "in", "there is YoYo/a.avi (in a higher folder)", "take `x/` off the lists' paths"),
        ("Punch/a.avi", "YoYo/a.avi", "in", "there is Punch/a.avi (in another folder)", "correct the lists, or --videos"),
        (
            "YoYo/v_YoYo_g1_c01.avi",
            "YoYo/v_YoYo_g01_c01.avi",
            "in",
            "there is YoYo/v_YoYo_g1_c01.avi (a name like it)",
            "correct the lists",
        ),
        ("other.avi", "YoYo/something_else.avi", "in", "YoYo/something_else.avi: there is no such file", "correct the lists"),
    ] {
        let place = Place::new(&[file], &[("classInd.txt", "1 Any\n"), ("trainlist01.txt", &list(listed))]);
        let error = place.refused(&PackOptions { videos: place.path(videos), ..place.options("lists") });
        let head = format!("the one video of the split train01 is not below HERE/{videos}\n  trainlist01.txt:1: {listed}");
        assert!(error.starts_with(&head) && error.contains(near), "{error}");
        assert!(error.contains(&format!("\n  help: {help}")), "{error}");
        // What is allowed is a few that are missing, not all.
        let error = place.refused(&PackOptions { videos: place.path(videos), allow_missing: true, ..place.options("lists") });
        assert!(error.starts_with(&head), "{error}");
    }
}

#[test]
fn rows_without_a_file_are_an_error_unless_they_are_expected() {
    let files = ["A/1.avi", "A/2.avi", "A/3.avi"];
    let gone: String = (4..10).map(|i| format!("A/{i}.avi 1\n")).collect();
    let lists = [("classInd.txt", "1 A\n"), ("trainlist01.txt", &format!("A/1.avi 1\na/2.avi 1\n{gone}")), ("testlist01.txt", "A/3.avi\n")];
    let place = Place::new(&files, &lists);
    let mut options = place.options("lists");
    let error = place.refused(&options);
    assert!(error.starts_with("7 rows name no file below HERE/in: 7 of the 8 rows of train01\n"), "{error}");
    assert!(
        error.contains("\n  trainlist01.txt:2: a/2.avi: there is A/2.avi (another case)\n") && error.contains("\n  and 4 more\n"),
        "{error}"
    );
    options.allow_missing = true;
    let summary = pack(&options, &|_| ()).unwrap();
    assert_eq!((summary.videos, summary.rejected, summary.missing), (2, 0, 7));
    let set = PackedSet::open(&options.out).unwrap();
    assert_eq!(set.split_rows("train01").unwrap().unwrap().rows, 8);
    let text = inspect_text(&set).unwrap();
    assert!(text.contains("missing      train01: 7 of 8 rows have no file: a/2.avi, A/4.avi, A/5.avi, and 4 more\n"), "{text}");
    assert_eq!(inspect_json(&set).unwrap()["splits"][0]["missing"].as_array().unwrap().len(), 7);
}

/// All forms take paths alike.
#[test]
fn paths_are_cleaned_alike() {
    for path in ["./A/x y.avi", "A//x y.avi", "A\\x y.avi", ".\\A\\.\\x y.avi"] {
        let lists = [
            ("classInd.txt", "1 A\n"),
            ("trainlist01.txt", &format!("{path} 1\n")),
            ("set.csv", &format!("path,class,split\n{path},A,train01\n")),
        ];
        let place = Place::new(&["A/x y.avi"], &lists);
        for splits in ["lists", "lists/set.csv"] {
            let set = place.packed(&place.options(splits));
            assert_eq!(split(&set, "train01"), rows(&[("A/x y.avi", 0)]), "{path}");
        }
    }
    let place = Place::new(&["A/odd\\name.avi"], &[("set.csv", "path,class,split\nA/odd\\name.avi,A,train\n")]);
    assert_eq!(split(&place.packed(&place.options("lists/set.csv")), "train"), rows(&[("A/odd\\name.avi", 0)]));
}

#[test]
fn classes_are_folders_in_which_a_video_decoded() {
    let files = ["Annotations/a.txt", "B/1.avi", "B/2.avi", "Bad/bad.avi", "C/deep/1.avi", "top.avi", "splits/list.txt"];
    let place = Place::new(&files, &[]);
    fs::create_dir_all(place.path("in/Empty")).unwrap();
    // `splits/list.txt` and its like do not decode.
    let script = BODY.replace("*bad*", "*bad*|*.txt*");
    let mut options = place.options("");
    options.ffmpeg = Some(pretend(place.0.path(), &script));
    let summary = pack(&options, &|_| ()).unwrap();
    assert_eq!(summary.notes, ["no class is made of folders in which no video decoded: Annotations, Bad, splits"]);
    let set = PackedSet::open(&options.out).unwrap();
    assert_eq!(set.classes, ["B", "C"]);
    let all = set.all();
    let labels: Vec<_> = all.iter().map(|v| (v.path.as_str(), v.class)).collect();
    assert_eq!(labels, [("B/1.avi", Some(0)), ("B/2.avi", Some(0)), ("C/deep/1.avi", Some(1)), ("top.avi", None)]);
    let text = inspect_text(&set).unwrap();
    for line in [
        "class        B: 2\n",
        "class        C: 1\n",
        "unlabelled   1 of 4 videos have no class: top.avi\n",
        "lengths      1 to 1 frames, median 1\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn one_level_off_is_said_before_decoding() {
    let place = Place::new(&["UCF-101/YoYo/1.avi", "UCF-101/Punch/2.avi", "splits/classInd.txt"], &[]);
    let notes = |videos: &str| {
        let options = PackOptions { videos: place.path(videos), ..place.options("") };
        let notes = prepare(&options).unwrap().notes().to_vec();
        notes.join("\n").replace(&place.0.path().display().to_string(), "HERE")
    };
    assert!(notes("in").ends_with("such as UCF-101; for those below it give --videos HERE/in/UCF-101"), "{}", notes("in"));
    assert!(notes("in/UCF-101/YoYo").starts_with("all files lie right in HERE/in/UCF-101/YoYo, so no video has a class"));
    assert_eq!(notes("in/UCF-101"), "");
}

#[test]
fn folders_of_frames_and_stills() {
    let place = Place::new(&["A/v1/1.webp", "A/v1/2.webp", "B/x.avi"], &[]);
    let error = place.refused(&place.options(""));
    assert!(error.starts_with("A/v1 is a folder of pictures (such as 1.webp), 2 in number: frames as .webp are unsupported"), "{error}");
    // Pictures beside videos are rejected, whatever they are called.
    let place = Place::new(&["A/x.avi"], &[]);
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\0IDAT";
    let gif = b"GIF89a\x01\0\x01\0\0\0\0\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0\x3b";
    for (name, bytes) in [
        ("1.png", &png[..]),
        ("2.avi", png),
        ("3.gif", gif),
        ("4.avif", b"\0\0\0\x1cftypavif\0\0\0\0"),
        ("5.jpg", b"\xff\xd8\xff\xe0\xff\xd9"),
    ] {
        fs::write(place.path("in/A").join(name), bytes).unwrap();
    }
    let set = place.packed(&place.options(""));
    assert_eq!(set.all().len(), 1);
    let reasons: Vec<String> = set.gone().into_iter().map(|r| r.reason).collect();
    assert_eq!(reasons, ["PNG", "PNG", "GIF", "AVIF or HEIF", "JPEG"].map(|sort| format!("it is a still picture ({sort}), not a video")));
}

#[test]
fn overlaps_are_reported() {
    let files = ["A/v_A_g01_c01.avi", "A/v_A_g01_c02.avi", "A/same.avi", "B/copy.avi", "B/other.avi"];
    let lists = [
        ("classInd.txt", "1 A\n2 B\n"),
        ("trainlist01.txt", "A/v_A_g01_c01.avi 1\nA/same.avi 1\nB/other.avi 2\n"),
        ("testlist01.txt", "A/v_A_g01_c02.avi\nB/copy.avi\nB/other.avi\n"),
        ("trainlist02.txt", "A/same.avi 1\n"),
        ("testlist02.txt", "B/other.avi\n"),
    ];
    let place = Place::new(&files, &lists);
    place.write("in/B/copy.avi", "A/same.avi");
    let set = place.packed(&place.options("lists"));
    let overlaps = overlap::of_splits(&set).unwrap();
    assert_eq!(overlaps.len(), 1);
    let (train, test, shared) = &overlaps[0];
    assert_eq!((train.as_str(), test.as_str()), ("train01", "test01"));
    assert_eq!(shared.paths, ["B/other.avi"]);
    assert_eq!(shared.files, [["B/copy.avi", "A/same.avi"].map(String::from)]);
    assert_eq!(shared.groups, [["A/v_A_g01_c02.avi", "v_A_g01"].map(String::from)]);
    assert_eq!(overlap::two_classes(&set).unwrap(), [["B/copy.avi", "A/same.avi"].map(String::from)]);
    let text = inspect_text(&set).unwrap();
    let line = "overlap      1 video is the same file (SHA-256) as one of another class, the first B/copy.avi and A/same.avi\n";
    assert!(text.contains(line) && text.matches("\noverlap ").count() == 4, "{text}");
    assert_eq!(inspect_json(&set).unwrap()["overlaps"][0]["paths"][0], "B/other.avi");
}

#[test]
fn what_is_listed_in_other_forms() {
    let place =
        Place::new(&["A/1.avi"], &[("train_split01.csv", "x/A/1/,3\n"), ("trainlist01.txt", "A/1.avi 1\n"), ("classInd.txt", "1 A\n")]);
    assert!(place.refused(&place.options("lists")).contains("holds lists of several forms"));
    let place = Place::new(&["A/1.avi"], &[("videos.txt", "A/1.avi\n")]);
    let error = place.refused(&place.options("lists"));
    for form in ["UCF101's", "HMDB51's", "DualVar's", "Kinetics'", "path,class,split"] {
        assert!(error.contains(form), "{error}");
    }
}
