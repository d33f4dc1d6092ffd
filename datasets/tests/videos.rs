//! Real videos pack to exactly the frames that decode. Needs `../shared/videos` beside the workspace, and ffmpeg.

mod common;

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use common::{ffmpegs, options, videos, Whole};
use dv_datasets::{inspect_json, inspect_text, pack, verify, Codec, PackOptions, PackedSet};

/// Path (below `prefix`), bytes, SHA-256 and decoded frames (`None`: no video) from the manifest.
fn manifest(dir: &Path, prefix: &str) -> HashMap<String, (u64, String, Option<u32>)> {
    let text = fs::read_to_string(dir.join("MANIFEST.tsv")).unwrap();
    let rows = text.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
    let rows =
        rows.filter_map(|row| Some((row[0].strip_prefix(prefix)?.to_owned(), (row[1].parse().ok()?, row[2].into(), row[9].parse().ok()))));
    rows.collect()
}

/// Packs, and compares every video with the manifest.
fn pack_and_compare(dir: &Path, prefix: &str, options: &PackOptions) -> PackedSet {
    let summary = pack(options, &|_| ()).unwrap();
    let set = PackedSet::open(&options.out).unwrap();
    let mut want = manifest(dir, prefix);
    for video in set.all() {
        let (bytes, sha256, frames) = want.remove(&video.path).unwrap_or_else(|| panic!("{} is not in the manifest", video.path));
        assert_eq!(Some(video.frames), frames, "{}", video.path);
        assert_eq!((video.source_bytes, video.source_sha256.as_ref()), (bytes, Some(&sha256)));
    }
    for (path, (_, _, frames)) in want {
        assert_eq!(frames, None, "{path} is missing");
        assert!(set.gone().iter().any(|r| r.path == path), "{path} is neither packed nor rejected");
    }
    assert_eq!(summary.frames, set.all().iter().map(|v| v.frames as u64).sum::<u64>());
    assert_eq!(verify(&options.out, &|_, _| ()), []);
    println!("{}", inspect_text(&set).unwrap());
    set
}

#[test]
fn ucf101_by_its_lists() {
    let Some(dir) = videos() else { return };
    for ffmpeg in ffmpegs() {
        let temp = tempfile::tempdir().unwrap();
        let mut options = options(&ffmpeg, "ucf101", &dir.join("ucf101/UCF-101"), &temp.path().join("ucf101"));
        options.splits = Some(dir.join("ucf101/splits"));
        let set = pack_and_compare(&dir, "ucf101/UCF-101/", &options);
        assert_eq!(set.classes, ["ApplyEyeMakeup", "BaseballPitch", "Punch", "YoYo"]);
        assert_eq!((set.height, set.width), (171, 128));
        assert_eq!(set.split_names(), ["train01", "test01"]);
        let test = set.split("test01").unwrap().unwrap();
        assert_eq!(set.all()[test[0]].path, "Punch/v_Punch_g01_c01.avi");
        let all = set.all();
        let (place, pitch) = all.iter().enumerate().find(|(_, v)| v.path.starts_with("BaseballPitch")).unwrap();
        assert_eq!((pitch.fps, &set.splits_of_videos().unwrap()[&place][..]), (Some(30000.0 / 1001.0), &["train01"][..]));
        assert_eq!((pitch.source_height, pitch.source_width), (240, 320));
        assert_eq!(set.gone(), []);
        let document = inspect_json(&set).unwrap();
        assert_eq!(document["videos"][0]["class"], "ApplyEyeMakeup");
        let punches: Vec<_> = all.iter().filter(|v| v.path.starts_with("Punch/")).map(|v| &v.group).collect();
        assert!(punches.iter().all(|group| group.starts_with("v_Punch_g") && group.len() == 11), "{punches:?}");
        assert!(set.groups().unwrap() < set.all().len() && set.groups().unwrap() > 30, "{}", set.groups().unwrap());
    }
}

#[test]
fn ut_interaction_where_headers_lie() {
    let Some(dir) = videos() else { return };
    for ffmpeg in ffmpegs() {
        let temp = tempfile::tempdir().unwrap();
        let mut options = options(&ffmpeg, "ucf101_iic", &dir.join("ut_interaction"), &temp.path().join("ut"));
        options.splits = Some(dir.join("ut_interaction/splits"));
        let set = pack_and_compare(&dir, "ut_interaction/", &options);
        assert_eq!(set.all().len(), 60);
        assert_eq!(set.split("train01").unwrap().unwrap().len() + set.split("test01").unwrap().unwrap().len(), 60);
        assert_eq!(set.gone(), [], "the lists lie below --videos too, and are in no list");
    }
}

#[test]
fn asl_and_odd_as_folders_for_any_thread_count() {
    let Some(dir) = videos() else { return };
    for ffmpeg in ffmpegs() {
        let temp = tempfile::tempdir().unwrap();
        let set = pack_and_compare(&dir, "asl/", &options(&ffmpeg, "folder", &dir.join("asl"), &temp.path().join("asl")));
        assert_eq!((set.classes.len(), set.split("all").unwrap().unwrap().len()), (20, 20));
        assert_eq!(set.all()[3].class, Some(3));

        let mut options = options(&ffmpeg, "folder", &dir.join("odd"), &temp.path().join("odd"));
        let set = pack_and_compare(&dir, "odd/", &options);
        assert!(set.classes.is_empty() && set.all().iter().all(|v| v.class.is_none()));
        assert_eq!(set.gone().len(), 1);
        assert_eq!(set.gone()[0].reason, "it has no video stream");
        let times = |path: &str| {
            let video = set.all().iter().position(|v| v.path == path).unwrap();
            set.timestamps(video).unwrap().unwrap()
        };
        assert!(times("nasa_13013.mp4").windows(2).all(|t| (t[1] - t[0] - 0.04).abs() < 1e-5));
        let steps: Vec<i64> = times("var_fps_video.mp4").windows(2).map(|t| ((t[1] - t[0]) * 1e3).round() as i64).collect();
        assert!(steps.iter().min() < steps.iter().max() && steps.iter().all(|s| *s > 0), "{steps:?}");

        (options.threads, options.out, options.shard_bytes) = (1, temp.path().join("again"), 300_000);
        let again = pack(&options, &|_| ()).unwrap();
        assert_eq!(again.fingerprint, set.fingerprint);
        (options.codec, options.out, options.block_frames) = (Codec::Yuv420, temp.path().join("yuv"), 4);
        let yuv = pack_and_compare(&dir, "odd/", &options);
        assert_ne!(yuv.fingerprint, set.fingerprint);
        let nasa = set.all().iter().position(|v| v.path == "nasa_13013.mp4").unwrap();
        let (mut a, mut b) = (vec![0; set.frame_len()], vec![0; set.frame_len()]);
        set.read_frames(nasa, &[7], &mut a).unwrap();
        yuv.read_frames(nasa, &[7], &mut b).unwrap();
        let mean = a.iter().zip(&b).map(|(a, b)| a.abs_diff(*b) as f64).sum::<f64>() / a.len() as f64;
        println!("4:2:0 against RGB: {mean:.3} grey levels");
        assert!(mean < 5.0, "4:2:0 is {mean} grey levels off");
    }
}

#[test]
fn damaged_foreign_and_oddly_named_files() {
    let Some(dir) = videos() else { return };
    for ffmpeg in ffmpegs() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("in");
        fs::create_dir_all(root.join("sp ace/ünï")).unwrap();
        let good = fs::read(dir.join("ucf101/UCF-101/YoYo/v_YoYo_g01_c01.avi")).unwrap();
        for name in ["-i.avi", "a'b\"c%03d.avi", "sp ace/ünï/x:y.avi", "http:x.avi"] {
            fs::write(root.join(name), &good).unwrap();
        }
        fs::write(root.join("cut.avi"), &good[..120_000]).unwrap();
        fs::write(root.join("empty.avi"), "").unwrap();
        fs::write(root.join("noise.mp4"), good[60_000..].iter().map(|b| b ^ 0x5a).collect::<Vec<_>>()).unwrap();
        fs::write(root.join("list.m3u8"), "#EXTM3U\n#EXTINF:1,\n-i.avi\n").unwrap();
        fs::write(root.join("concat.avi"), "ffconcat version 1.0\nfile -i.avi\n").unwrap();
        fs::write(root.join("read.txt"), "some words\n".repeat(50)).unwrap();
        let mut options = options(&ffmpeg, "folder", &root, &temp.path().join("set"));
        pack(&options, &|_| ()).unwrap();
        let set = PackedSet::open(&options.out).unwrap();
        println!("{}", inspect_text(&set).unwrap());
        let all = set.all();
        let names: Vec<_> = all.iter().map(|v| (v.path.as_str(), v.frames, v.note.is_some())).collect();
        let whole = [("-i.avi", 187, false), ("a'b\"c%03d.avi", 187, false)];
        assert_eq!(names[..2], whole);
        assert_eq!((names[2].0, names[2].2), ("cut.avi", true));
        assert!((20..60).contains(&names[2].1));
        assert_eq!(names[3..], [("http:x.avi", 187, false), ("sp ace/ünï/x:y.avi", 187, false)]);
        let gone = set.gone();
        let rejected: Vec<_> = gone.iter().map(|r| r.path.as_str()).collect();
        assert_eq!(rejected, ["concat.avi", "empty.avi", "list.m3u8", "noise.mp4", "read.txt"]);

        // The set is there: packing again must not touch it. Nothing packed: an error, and nothing left behind.
        let error = format!("{:#}", pack(&options, &|_| ()).unwrap_err());
        assert!(error.contains("exists already"), "{error}");
        options.out = temp.path().join("none");
        options.videos = temp.path().join("bad");
        fs::create_dir(&options.videos).unwrap();
        fs::write(options.videos.join("read.txt"), "words").unwrap();
        let error = format!("{:#}", pack(&options, &|_| ()).unwrap_err());
        assert!(error.contains("nothing packed") && error.contains("read.txt"), "{error}");
        let left: Vec<_> = fs::read_dir(temp.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left.len(), 3, "{left:?}");
    }
}

#[test]
fn lists_that_name_what_is_not_there() {
    let Some(dir) = videos() else { return };
    for ffmpeg in ffmpegs() {
        let temp = tempfile::tempdir().unwrap();
        let (root, lists) = (temp.path().join("in/YoYo"), temp.path().join("lists"));
        fs::create_dir_all(&root).unwrap();
        fs::create_dir_all(&lists).unwrap();
        fs::copy(dir.join("ucf101/UCF-101/YoYo/v_YoYo_g01_c01.avi"), root.join("b.avi")).unwrap();
        fs::write(root.join("bad.avi"), "no video").unwrap();
        fs::write(lists.join("classInd.txt"), "1 Punch\n2 YoYo\n").unwrap();
        fs::write(lists.join("trainlist01.txt"), "YoYo/gone.avi 2\nYoYo/b.avi 2\nYoYo/bad.avi 2\n").unwrap();
        let mut options = options(&ffmpeg, "ucf101", &temp.path().join("in"), &temp.path().join("set"));
        (options.splits, options.allow_missing) = (Some(lists), true);
        let summary = pack(&options, &|_| ()).unwrap();
        assert_eq!((summary.rejected, summary.missing), (1, 1));
        let set = PackedSet::open(&options.out).unwrap();
        assert_eq!((set.split("train01").unwrap(), set.all()[0].class), (Some(vec![0]), Some(1)));
        assert!(set.gone()[0].reason.ends_with("; listed in trainlist01.txt:3"), "{:?}", set.gone());
        assert_eq!(set.gone()[1].reason, "there is no such file; listed in trainlist01.txt:1");
    }
}

#[test]
fn a_resolution_that_changes_inside_a_file() {
    for ffmpeg in ffmpegs() {
        let temp = tempfile::tempdir().unwrap();
        let mut both = Vec::new();
        for (size, colour) in [("96x64", "red"), ("64x96", "blue")] {
            let part = temp.path().join("part.m2v");
            let source = format!("color=c={colour}:size={size}:rate=25:duration=0.4");
            let mut command = std::process::Command::new(ffmpeg.program());
            command.args(["-v", "error", "-y", "-f", "lavfi", "-i", &source, "-c:v", "mpeg2video"]).arg(&part);
            assert!(command.status().unwrap().success());
            both.extend(fs::read(&part).unwrap());
        }
        let file = temp.path().join("both.m2v");
        fs::write(&file, both).unwrap();
        let mut seen = Vec::new();
        let outcome = ffmpeg.decode(&file, &mut |frame| {
            let middle = (frame.height / 2 * frame.width + frame.width / 2) * 3;
            let rgb = frame.rgb();
            seen.push((frame.height, frame.width, rgb[middle] > 128, rgb[middle + 2] > 128));
            Ok(())
        });
        println!("{outcome:?}");
        let (red, blue) = ((64, 96, true, false), (64, 96, false, true));
        assert!(seen.iter().all(|s| *s == red || *s == blue), "{seen:?}");
        // The decoder itself drops the frame that it holds back at the change.
        for colour in [red, blue] {
            assert!((9..=10).contains(&seen.iter().filter(|s| **s == colour).count()), "{seen:?}");
        }
    }
}
