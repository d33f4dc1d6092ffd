//! Sets from frames in memory: what is read is what was written, and no damage goes unnoticed or crashes.

mod common;

use common::{seal, Whole};
use std::fs;
use std::path::{Path, PathBuf};

use dv_datasets::{inspect_json, inspect_text, verify, Codec, Mt19937, PackedSet, Row, SetOptions, SetWriter, SplitRows, VideoMeta};

/// Smooth frames with some noise.
fn frames(seed: u32, count: usize, h: usize, w: usize) -> Vec<Vec<u8>> {
    let mut rng = Mt19937::new(seed);
    let frame = |t: usize, rng: &mut Mt19937| {
        let pixel = |i: usize, rng: &mut Mt19937| ((i / 3 % w) * 3 + (i / 3 / w) * 5 + i % 3 * 40 + t * 7) as u8 / 2 + rng.up_to(7) as u8;
        (0..h * w * 3).map(|i| pixel(i, rng)).collect()
    };
    (0..count).map(|t| frame(t, &mut rng)).collect()
}

const SIZE: (usize, usize) = (9, 14);
const COUNTS: [usize; 3] = [7, 1, 12];

fn write(out: &Path, codec: Codec, block_frames: u32, shard_bytes: u64) -> String {
    let mut options = SetOptions::new("tiny", SIZE.0 as u32, SIZE.1 as u32);
    options.codec = codec;
    options.classes = vec!["a".into(), "b".into()];
    (options.block_frames, options.shard_bytes, options.fsync) = (block_frames, shard_bytes, false);
    let mut writer = SetWriter::create(out, options).unwrap();
    for (i, count) in COUNTS.into_iter().enumerate() {
        let meta = VideoMeta {
            path: format!("a/{i}.avi"),
            class: Some(i as u32 % 2),
            splits: vec!["all".into(), if i == 1 { "test".into() } else { "train".into() }],
            fps: Some(30000.0 / 1001.0),
            ..VideoMeta::default()
        };
        assert_eq!(writer.add_video(meta, frames(i as u32, count, SIZE.0, SIZE.1)).unwrap(), i);
    }
    writer.reject("x.txt", "no video");
    assert!(!out.exists());
    writer.finish().unwrap()
}

fn temp() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("set");
    (dir, out)
}

#[test]
fn what_is_read_is_what_was_written() {
    let mut fingerprints = Vec::new();
    for (codec, block_frames, shard_bytes) in
        [(Codec::Rgb, 1, 1 << 20), (Codec::Rgb, 4, 1500), (Codec::Rgb, 64, 1), (Codec::Yuv420, 1, 1000), (Codec::Yuv420, 3, 1 << 20)]
    {
        let (_dir, out) = temp();
        let fingerprint = write(&out, codec, block_frames, shard_bytes);
        let set = PackedSet::open(&out).unwrap();
        assert_eq!((set.name.as_str(), &set.fingerprint, set.codec), ("tiny", &fingerprint, codec));
        assert_eq!(set.split("train").unwrap(), Some(vec![0, 2]));
        assert_eq!((set.split("none").unwrap(), set.split_names()), (None, vec!["all", "train", "test"]));
        assert_eq!(set.splits_of_videos().unwrap()[&1], ["all", "test"]);
        assert_eq!(set.all()[2].fps, Some(30000.0 / 1001.0));
        assert_eq!(set.timestamps(0).unwrap(), None);
        let len = set.frame_len();
        for (video, count) in COUNTS.into_iter().enumerate() {
            let want = frames(video as u32, count, SIZE.0, SIZE.1);
            let order: Vec<u32> = (0..count as u32).rev().chain([0, 0, count as u32 / 2, 0]).collect();
            let mut out = vec![0; order.len() * len];
            set.read_frames(video, &order, &mut out).unwrap();
            for (got, frame) in out.chunks_exact(len).zip(&order) {
                let want = &want[*frame as usize];
                let limit = if codec == Codec::Rgb { 0 } else { 64 };
                assert!(got.iter().zip(want).all(|(a, b)| a.abs_diff(*b) <= limit), "video {video} frame {frame}");
            }
        }
        let error = format!("{:#}", set.read_frames(0, &[3, 7], &mut vec![0; 2 * len]).unwrap_err());
        assert_eq!(error, "set tiny, video a/0.avi: no frame 7: it has 7");
        assert!(set.read_frames(3, &[], &mut []).is_err() && set.read_frames(0, &[0], &mut []).is_err());
        assert!(set.read_frames(0, &[], &mut []).is_ok());
        assert_eq!(verify(&out, &|_, _| ()), []);
        assert!(inspect_text(&set).unwrap().contains("x.txt: no video"));
        assert_eq!(inspect_json(&set).unwrap()["videos"][1]["splits"][1], "test");
        fingerprints.push(fingerprint);
    }
    // Neither blocks nor shards change what the set is; the lossy codec does.
    assert!(fingerprints[0] == fingerprints[1] && fingerprints[0] == fingerprints[2] && fingerprints[3] == fingerprints[4]);
    assert_ne!(fingerprints[0], fingerprints[3]);
}

/// A set of three videos whose split `train` has these rows: a number is a video, a word a path that is missing.
fn with_rows(rows: &[&str], groups: [&str; 3]) -> (tempfile::TempDir, PackedSet) {
    let (dir, out) = temp();
    let mut writer = SetWriter::create(&out, SetOptions { fsync: false, ..SetOptions::new("x", 2, 2) }).unwrap();
    for (i, group) in groups.into_iter().enumerate() {
        let (path, group) = (format!("v_A_g0{}_c0{i}.avi", i / 2), (!group.is_empty()).then(|| group.to_owned()));
        writer.add_video(VideoMeta { path, group, ..VideoMeta::default() }, [[i as u8; 12]]).unwrap();
    }
    let row = |text: &&str| text.parse().map_or_else(|_| Row::Missing(text.to_string()), Row::Video);
    writer.set_split("train", rows.iter().map(row));
    writer.finish().unwrap();
    assert_eq!(verify(&out, &|_, _| ()), []);
    let set = PackedSet::open(&out).unwrap();
    (dir, set)
}

#[test]
fn a_split_keeps_the_rows_of_its_list() {
    let (_dir, set) = with_rows(&["gone", "2", "0", "broken", "2", "gone"], [""; 3]);
    let missing = [(0, "gone"), (3, "broken"), (5, "gone")].map(|(row, path)| (row, path.to_owned())).to_vec();
    let rows = SplitRows { videos: vec![(1, 2), (2, 0), (4, 2)], missing, rows: 6 };
    assert_eq!((set.split_rows("train").unwrap(), set.split_rows("test").unwrap()), (Some(rows), None));
    assert_eq!((set.split("train").unwrap(), &set.splits_of_videos().unwrap()[&2]), (Some(vec![2, 0, 2]), &vec!["train"]));
    assert!(
        inspect_text(&set).unwrap().contains("split        train: 3 videos, 3 of its 6 rows missing"),
        "{}",
        inspect_text(&set).unwrap()
    );
    let document = inspect_json(&set).unwrap();
    assert_eq!(document["splits"][0]["rows"], 6);
    assert_eq!(document["splits"][0]["missing"][1], serde_json::json!({ "row": 3, "path": "broken", "list": null }));

    let (_dir, none) = with_rows(&["gone"], [""; 3]);
    assert_eq!(none.split_rows("train").unwrap().map(|r| (r.videos.len(), r.rows)), Some((0, 1)));

    // What changes the draw over the rows changes the fingerprint.
    let lists = [&["0", "1"][..], &["1", "0"], &["0", "1", "gone"], &["0", "gone", "1"], &["0", "gone", "1", "gone"], &["0", "lost", "1"]];
    let mut fingerprints: Vec<String> = lists.iter().map(|rows| with_rows(rows, [""; 3]).1.fingerprint).collect();
    fingerprints.sort();
    fingerprints.dedup();
    assert_eq!(fingerprints.len(), lists.len());
}

/// Changes a set's head or catalogue and repairs the checksums.
fn changed(set: &Path, change: &dyn Fn(&mut serde_json::Value, &mut Vec<u8>)) {
    let [head, catalogue] = ["set.json", "catalogue.dvc"].map(|name| set.join(name));
    let (mut json, mut bytes) = (serde_json::from_slice(&fs::read(&head).unwrap()).unwrap(), fs::read(&catalogue).unwrap());
    change(&mut json, &mut bytes);
    fs::write(&head, json.to_string()).unwrap();
    fs::write(&catalogue, bytes).unwrap();
    seal::seal(set);
}

/// All that a set says and all its frames, or the first error.
fn everything(dir: &Path) -> anyhow::Result<()> {
    let set = PackedSet::open(dir)?;
    inspect_json(&set)?;
    let mut frame = vec![0; set.frame_len()];
    for video in 0..set.len() {
        set.timestamps(video)?;
        for number in 0..set.frames(video)? {
            set.read_frames(video, &[number], &mut frame)?;
        }
    }
    Ok(())
}

#[test]
fn what_cannot_be_is_refused_under_good_checksums() {
    let set = |at: usize, value: u32| move |_: &mut serde_json::Value, c: &mut Vec<u8>| c[at..at + 4].copy_from_slice(&value.to_le_bytes());
    let record = seal::HEAD;
    let rows = seal::HEAD + 3 * seal::VIDEO;
    let cases: Vec<(Box<dyn Fn(&mut serde_json::Value, &mut Vec<u8>)>, &str)> = vec![
        (Box::new(set(rows + 24 + 12, 3)), "split train names a video that is not there"),
        (Box::new(set(rows + 16, 7)), "row 0 is of a list that is not there"),
        (Box::new(set(record + 12, 0)), "class"),
        (Box::new(set(record + 104, 0)), "frame count is impossible"),
        (Box::new(set(record + 104, 2)), "its frames are not what the catalogue says"),
        (Box::new(set(record + 116, 1)), "there is no shard 1"),
        (Box::new(set(record + 132, u32::MAX)), "lies outside the file"),
        (Box::new(set(record, 0)), "lies among the records"),
        (Box::new(set(record + 8, u32::MAX)), "lie outside the records"),
        (Box::new(|head, _| head["videos"] = 4_000_000_000u64.into()), "has not the records that set.json counts"),
        (Box::new(|head, _| head["splits"][0]["rows"] = u64::MAX.into()), "more videos, rows"),
        (Box::new(|head, _| head["catalogue"]["bytes"] = u64::MAX.into()), "not what set.json says"),
        (Box::new(|head, _| head["streams"] = serde_json::json!([])), "this dv reads sets of one stream"),
        (Box::new(|head, _| head["streams"][0]["name"] = "../x".into()), "cannot be the name of a stream"),
        (Box::new(|head, _| head["height"] = serde_json::Value::Null), "frames of several sizes"),
        (Box::new(|head, _| head["width"] = 1_000_000.into()), "each side must be 1 to 4096"),
    ];
    for (change, why) in cases {
        let (_dir, whole) = with_rows(&["gone", "0", "lost"], [""; 3]);
        let dir = whole.dir().to_owned();
        drop(whole);
        seal::seal(&dir);
        everything(&dir).unwrap();
        changed(&dir, &*change);
        let error = format!("{:#}", everything(&dir).unwrap_err());
        assert!(error.contains(why), "{why}: {error}");
        assert_ne!(verify(&dir, &|_, _| ()), [], "{why}");
    }
}

#[test]
fn videos_have_groups() {
    let (_dir, set) = with_rows(&["0"], [""; 3]);
    let groups = |set: &PackedSet| set.all().iter().map(|v| v.group.clone()).collect::<Vec<_>>();
    assert_eq!((groups(&set), set.groups().unwrap()), (["v_A_g00", "v_A_g00", "v_A_g01"].map(String::from).to_vec(), 2));
    assert!(inspect_text(&set).unwrap().contains("videos       3 in 0 classes, 2 groups\n"), "{}", inspect_text(&set).unwrap());
    assert_eq!(inspect_json(&set).unwrap()["videos"][1]["group"], "v_A_g00");
    let (_dir, own) = with_rows(&["0"], ["x", "", "z"]);
    assert_eq!((groups(&own), own.groups().unwrap()), (["x", "v_A_g00", "z"].map(String::from).to_vec(), 3));
    assert!(inspect_text(&own).unwrap().contains("videos       3 in 0 classes\n"), "{}", inspect_text(&own).unwrap());
    assert_ne!(set.fingerprint, own.fingerprint);
}

/// Opens and reads everything. `true`: all frames came and are right; `false`: an error was told.
fn reads_right(out: &Path, want: &[Vec<Vec<u8>>]) -> bool {
    let Ok(set) = PackedSet::open(out) else { return false };
    for (video, want) in want.iter().enumerate() {
        let mut frame = vec![0; set.frame_len()];
        for (i, want) in want.iter().enumerate() {
            match set.read_frames(video, &[i as u32], &mut frame) {
                Ok(()) => assert!(frame == *want, "video {video} frame {i} came back wrong"),
                Err(_) => return false,
            }
        }
    }
    true
}

#[test]
fn any_damage_is_told_and_none_crashes() {
    let (_dir, out) = temp();
    write(&out, Codec::Rgb, 2, 1000);
    let want: Vec<_> = COUNTS.into_iter().enumerate().map(|(i, n)| frames(i as u32, n, SIZE.0, SIZE.1)).collect();
    assert!(reads_right(&out, &want));
    for file in ["shards/rgb-00000.dvs", "catalogue.dvc", "set.json"].map(|name| out.join(name)) {
        let good = fs::read(&file).unwrap();
        for at in 0..good.len() {
            for bit in [1 << (at % 8), 0xff] {
                let mut bad = good.clone();
                bad[at] ^= bit;
                fs::write(&file, &bad).unwrap();
                assert!(!reads_right(&out, &want), "{} byte {at} ^ {bit:#x} went unnoticed", file.display());
            }
            if at % 16 == 0 {
                assert_ne!(verify(&out, &|_, _| ()), []);
            }
        }
        for len in (0..good.len()).step_by(7).chain([good.len() - 1]) {
            fs::write(&file, &good[..len]).unwrap();
            assert!(!reads_right(&out, &want), "{} cut to {len} bytes went unnoticed", file.display());
        }
        fs::write(&file, &good).unwrap();
    }
    fs::remove_file(out.join("shards/rgb-00001.dvs")).unwrap();
    assert!(format!("{:#}", PackedSet::open(&out).unwrap_err()).contains("00001.dvs"));
    assert!(verify(&out, &|_, _| ()).iter().any(|f| f.to_string().contains("rgb-00001.dvs")));
}

#[test]
fn absurd_numbers_under_good_checksums() {
    let (_dir, out) = temp();
    write(&out, Codec::Yuv420, 2, 1 << 20);
    let files = ["shards/rgb-00000.dvs", "catalogue.dvc"].map(|name| out.join(name));
    let good = files.each_ref().map(|file| fs::read(file).unwrap());
    let head = fs::read(out.join("set.json")).unwrap();
    let mut told = 0;
    // The header of the shard, the indices of its videos, and the catalogue.
    let indices = (0..COUNTS.len()).flat_map(|video| {
        let at = seal::HEAD + video * seal::VIDEO;
        let number = |at: usize, n: usize| good[1][at..at + n].iter().rev().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
        let index = number(at + 132, 8);
        index..index + number(at + 140, 4)
    });
    let places = (0..80).chain(indices).map(|at| (0, at)).chain((0..good[1].len()).map(|at| (1, at)));
    for (file, at) in places.collect::<Vec<_>>() {
        for value in [0xffu8, 0x7f, 1, 0] {
            let mut bad = good[file].clone();
            bad[at] = value;
            for (number, (path, good)) in files.iter().zip(&good).enumerate() {
                fs::write(path, if number == file { &bad } else { good }).unwrap();
            }
            fs::write(out.join("set.json"), &head).unwrap();
            seal::seal(&out);
            told += everything(&out).is_err() as u32;
            verify(&out, &|_, _| ());
        }
    }
    assert!(told > 500, "{told}");
}

#[test]
fn newer_formats_are_named() {
    let (_dir, out) = temp();
    write(&out, Codec::Rgb, 1, 1 << 20);
    let file = out.join("shards/rgb-00000.dvs");
    let mut bytes = fs::read(&file).unwrap();
    bytes[8] = 9;
    fs::write(&file, bytes).unwrap();
    let error = format!("{:#}", PackedSet::open(&out).unwrap_err());
    assert!(error.contains("00000.dvs") && error.contains("format version 9") && error.contains("newer dv"), "{error}");
    let json = fs::read_to_string(out.join("set.json")).unwrap();
    fs::write(out.join("set.json"), json.replacen("\"version\": 3", "\"version\": 7", 1)).unwrap();
    let error = format!("{:#}", PackedSet::open(&out).unwrap_err());
    let own = concat!("dv ", env!("CARGO_PKG_VERSION"));
    assert!(error.contains(&format!("has version 7, made by {own}; this dv")) && error.contains("reads version 3: use"), "{error}");
    fs::write(out.join("set.json"), json.replacen("\"version\": 3", "\"version\": 1", 1)).unwrap();
    let error = format!("{:#}", PackedSet::open(&out).unwrap_err());
    assert!(error.contains("has version 1, which this dv no longer reads: remove the set and pack the videos again"), "{error}");
    fs::remove_file(out.join("set.json")).unwrap();
    assert!(format!("{:#}", PackedSet::open(&out).unwrap_err()).contains("is no packed set"));
}

#[test]
fn a_shard_that_is_cut_while_it_is_in_use() {
    let (_dir, out) = temp();
    write(&out, Codec::Rgb, 1, 1 << 20);
    let set = PackedSet::open(&out).unwrap();
    let mut frame = vec![0; set.frame_len()];
    set.read_frames(2, &[11], &mut frame).unwrap();
    let file = fs::File::options().write(true).open(out.join("shards/rgb-00000.dvs")).unwrap();
    // Down to nothing: every page of the map is gone, and a read of it would kill this process.
    for len in [file.metadata().unwrap().len() - 1, 4096, 0] {
        file.set_len(len).unwrap();
        for video in [0, 2] {
            let error = format!("{:#}", set.read_frames(video, &[0], &mut frame).unwrap_err());
            assert!(error.contains("00000.dvs") && error.contains(&format!("was cut to {len} of ")), "{error}");
            assert!(set.timestamps(video).is_err());
        }
        assert_ne!(verify(&out, &|_, _| ()), []);
    }
}

#[test]
fn folders_for_files_and_files_for_folders() {
    let (dir, out) = temp();
    write(&out, Codec::Rgb, 1, 1 << 20);
    let error = |path: &Path| format!("{:#}", PackedSet::open(path).unwrap_err());
    assert!(error(&out.join("set.json")).contains("set.json is a file: a packed set is a folder"));
    let swap = |name: &str| {
        let file = out.join(name);
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
    };
    swap("shards/rgb-00000.dvs");
    assert!(error(&out).contains("00000.dvs: it is a folder, not a regular file"), "{}", error(&out));
    swap("set.json");
    assert!(error(&out).contains("set.json is a folder, where"), "{}", error(&out));
    // Below a file there is no place for a set.
    let below = dir.path().join("file/set");
    fs::write(dir.path().join("file"), "").unwrap();
    let error = SetWriter::create(&below, SetOptions::new("x", 2, 2)).err().unwrap();
    assert!(format!("{error:#}").contains("cannot create "), "{error:#}");
}

#[test]
fn faults_name_video_and_frame() {
    let (_dir, out) = temp();
    write(&out, Codec::Rgb, 1, 1 << 20);
    let file = out.join("shards/rgb-00000.dvs");
    let (mut bytes, catalogue) = (fs::read(&file).unwrap(), fs::read(out.join("catalogue.dvc")).unwrap());
    // A byte of the first video's third block.
    let number = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
    let index = number(&catalogue, seal::HEAD + 132);
    let offset = number(&bytes, index + 16 + 2 * 16);
    bytes[offset + 5] ^= 4;
    fs::write(&file, bytes).unwrap();
    let faults = verify(&out, &|_, _| ());
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!((faults[0].video.as_deref(), faults[0].frame), (Some("a/0.avi"), Some(2)));
    assert!(faults[0].to_string().contains("rgb-00000.dvs: video a/0.avi, frame 2: block 2 (bytes "), "{}", faults[0]);
    let set = PackedSet::open(&out).unwrap();
    let error = format!("{:#}", set.read_frames(0, &[1, 2], &mut vec![0; 2 * set.frame_len()]).unwrap_err());
    assert!(error.contains("rgb-00000.dvs: video a/0.avi, frame 2: "), "{error}");
}

#[test]
fn a_set_appears_whole_or_not_at_all() {
    let (dir, out) = temp();
    let list = || fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect::<Vec<_>>();
    let options = || SetOptions { fsync: false, ..SetOptions::new("x", 2, 2) };
    let mut writer = SetWriter::create(&out, options()).unwrap();
    writer.add_video(VideoMeta { path: "a".into(), ..VideoMeta::default() }, [[0u8; 12]]).unwrap();
    assert!(list()[0].to_str().unwrap().starts_with("set.partial"));
    assert!(PackedSet::open(&dir.path().join(&list()[0])).is_err());
    drop(writer);
    assert!(list().is_empty());
    assert!(SetWriter::create(&out, options()).unwrap().finish().is_err());
    let mut writer = SetWriter::create(&out, options()).unwrap();
    assert!(writer.add_video(VideoMeta { path: "short".into(), ..VideoMeta::default() }, [[0u8; 11]]).is_err());
    assert!(writer.add_video(VideoMeta { path: "none".into(), ..VideoMeta::default() }, [[0u8; 12]; 0]).is_err());
    let twice = || VideoMeta { path: "twice".into(), ..VideoMeta::default() };
    writer.add_video(twice(), [[0u8; 12]]).unwrap();
    assert!(writer.add_video(twice(), [[0u8; 12]]).is_err());
    drop(writer);
    fs::create_dir(&out).unwrap();
    assert!(format!("{:#}", SetWriter::create(&out, options()).err().unwrap()).contains("exists already"));
    assert!(SetWriter::create(&dir.path().join("y"), SetOptions::new("y", 0, 2)).is_err());
    assert!(SetWriter::create(&dir.path().join("y"), SetOptions::new("y", 2, 70_000)).is_err());
}
