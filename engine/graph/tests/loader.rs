//! The loader over a packed set: the same batches for any number of threads, errors that name the video, and no hang.

mod common;

use common::*;
use dv_datasets::{PackedSet, Row, SetOptions, SetWriter, VideoMeta};
use dv_graph::check::check_data;
use dv_graph::draw::Pass;
use dv_graph::kind::{HoldOut, Part, Source};
use dv_graph::plan::Plan;
use dv_graph::sample::epoch::{Batch, Rows};
use dv_graph::sample::loader::{Column, HostBatch, Loader};
use dv_graph::sample::runner::HostPlan;
use std::path::Path;
use std::sync::mpsc;
use std::sync::Arc;
use std::time::Duration;

const VIDEOS: usize = 11;

/// A set of small videos of 3 to 7 frames, each pixel its own.
fn packed(dir: &Path, name: &str) {
    let mut options = SetOptions::new(name, 24, 20);
    options.fsync = false;
    options.classes = vec!["a".into(), "b".into()];
    let mut writer = SetWriter::create(&dir.join(name), options).unwrap();
    for i in 0..VIDEOS {
        let frames = (0..3 + i % 5).map(|f| (0..24 * 20 * 3).map(|p| (p * 7 + f * 31 + i * 101) as u8).collect::<Vec<u8>>());
        let path = format!("{}/v{i:02}.avi", ["a", "b"][i % 2]);
        let meta = VideoMeta { path, class: Some((i % 2) as u32), splits: vec!["train".into()], ..VideoMeta::default() };
        writer.add_video(meta, frames).unwrap();
    }
    writer.finish().unwrap();
}

fn planned(text: &str) -> Plan {
    let checked = checked(&[("g.toml", text)], &[]);
    let said = rendered(&checked);
    checked.plan.unwrap_or_else(|| panic!("{said}"))
}

/// A stage of the good graph, with the positions that a node between fails or panics at.
fn host(stage: &str, fail: Option<(&str, bool)>) -> HostPlan {
    let mut text = GOOD.to_string();
    if let Some((at, panic)) = fail {
        let node = format!("bad = {{ kind = \"view/fail\", in = \"video.index\", at = \"{at}\", panic = {panic} }}\ntable =");
        text = edited(&text, &[("table =", &node), ("label = \"video.label\"", "label = \"bad.index\"")]);
    }
    let mut plan = planned(&text);
    let i = plan.stages.iter().position(|s| s.name == stage).unwrap();
    let stage = Arc::new(plan.stages.remove(i));
    let places = stage.nodes.iter().map(|n| n.place).collect();
    HostPlan::new(stage, places, &[]).unwrap()
}

fn rows(dir: &Path, host: &HostPlan) -> Arc<Rows> {
    Arc::new(Rows::open(dir, &host.stage.source().unwrap(), "video").unwrap())
}

fn pass(stage: &str) -> Pass {
    Pass { seed: 3, stage: stage.into(), epoch: 1 }
}

/// All batches, within a time in which no machine fails to give them.
fn all(mut loader: Loader) -> Result<Vec<HostBatch>, String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut batches = Vec::new();
        let end = loop {
            match loader.next_batch() {
                Ok(Some(batch)) => batches.push(batch),
                Ok(None) => break Ok(batches),
                Err(e) => break Err(format!("{e:#}")),
            }
        };
        drop(loader);
        let _ = sender.send(end);
    });
    receiver.recv_timeout(Duration::from_secs(60)).expect("the loader hangs")
}

fn evaluation(dir: &Path, fail: Option<(&str, bool)>, threads: usize) -> Result<Vec<HostBatch>, String> {
    let host = host("gallery", fail);
    let rows = rows(dir, &host);
    let batches = rows.evaluation(&pass("gallery"), 4);
    all(Loader::start(host, rows, Box::new(batches.into_iter()), threads, 2))
}

#[test]
fn any_number_of_threads_gives_the_same_batches() {
    let dir = tempfile::tempdir().unwrap();
    packed(dir.path(), "tiny");
    let epoch = |threads, depth| {
        let host = host("pretrain", None);
        let rows = rows(dir.path(), &host);
        let (batches, left) = rows.training(&pass("pretrain"), 4, true);
        assert_eq!((batches.len(), left.len()), (2, 3));
        all(Loader::start(host, rows, Box::new(batches.into_iter()), threads, depth)).unwrap()
    };
    let one = epoch(1, 1);
    assert_eq!(one.iter().map(|b| b.batch.step).collect::<Vec<_>>(), [0, 1]);
    assert!(one.iter().all(|b| b.samples.len() == 4));
    for (threads, depth) in [(2, 1), (2, 3), (8, 2), (8, 9)] {
        let many = epoch(threads, depth);
        assert_eq!(many.len(), one.len());
        for (a, b) in one.iter().zip(&many) {
            assert_eq!((&a.batch, &a.samples), (&b.batch, &b.samples));
            assert!(a.columns == b.columns, "{threads} threads, {depth} batches under way");
        }
    }
    // both branches of the choice were taken by some, and neither by all
    let shown: Vec<_> = one.iter().flat_map(|b| &b.columns).filter(|c| matches!(c, Column::Bytes { .. })).collect();
    assert!(!shown.is_empty());
}

/// Also the rows of samples that took another branch, and batches that are shorter.
#[test]
fn memory_that_served_before_gives_the_same_batches() {
    let dir = tempfile::tempdir().unwrap();
    packed(dir.path(), "tiny");
    let start = || {
        let host = host("pretrain", None);
        let rows = rows(dir.path(), &host);
        let order = Arc::clone(&rows);
        let batches = (0..8).flat_map(move |epoch| order.training(&Pass { epoch, ..pass("pretrain") }, 4, false).0);
        Loader::start(host, rows, Box::new(batches), 2, 2)
    };
    let kept = all(start()).unwrap();
    assert_eq!(kept.len(), 8 * 3);
    let mut loader = start();
    for batch in &kept {
        assert!(batch.columns == loader.next_batch().unwrap().unwrap().columns, "{:?}", batch.batch);
    }
    assert!(kept
        .iter()
        .flat_map(|b| &b.columns)
        .any(|c| matches!(c, Column::Bytes { data, .. } if data.iter().all(|b| *b == 0)) || *c == Column::Absent));
}

#[test]
fn training_drops_and_lists_the_last_partial_batch() {
    let dir = tempfile::tempdir().unwrap();
    packed(dir.path(), "tiny");
    let host = host("pretrain", None);
    let rows = rows(dir.path(), &host);
    for batch in [1, 4, 11, 12] {
        let (batches, left) = rows.training(&pass("pretrain"), batch, true);
        assert_eq!((batches.len(), left.len()), (11 / batch, 11 % batch));
        let (kept, none) = rows.training(&pass("pretrain"), batch, false);
        assert_eq!((kept.len(), none.len()), (11usize.div_ceil(batch), 0));
        assert_eq!(kept[..batches.len()], batches);
        let last: Vec<usize> = kept[batches.len()..].iter().flat_map(|b| b.positions.clone()).collect();
        assert_eq!(last, left);
        let mut all: Vec<usize> = batches.iter().flat_map(|b| &b.positions).chain(&left).copied().collect();
        assert!(batches.iter().all(|b| b.positions.len() == batch));
        all.sort_unstable();
        assert_eq!(all, (0..VIDEOS).collect::<Vec<_>>());
    }
    // every epoch in its own order, the same each time
    let order = |epoch| rows.training(&Pass { epoch, ..pass("pretrain") }, 11, true).0[0].positions.clone();
    assert_eq!(order(0), order(0));
    assert_ne!(order(0), order(1));
}

#[test]
fn evaluation_yields_each_sample_once() {
    let dir = tempfile::tempdir().unwrap();
    packed(dir.path(), "tiny");
    for threads in [1, 2, 8] {
        let batches = evaluation(dir.path(), None, threads).unwrap();
        assert_eq!(batches.iter().map(|b| b.samples.len()).collect::<Vec<_>>(), [4, 4, 3]);
        let paths: Vec<&str> = batches.iter().flat_map(|b| b.samples.iter().map(|s| &*s.path)).collect();
        assert_eq!(paths, (0..VIDEOS).map(|i| format!("{}/v{i:02}.avi", ["a", "b"][i % 2])).collect::<Vec<_>>());
        let Column::Bytes { shape, data } = batches[2].columns.iter().find(|c| matches!(c, Column::Bytes { .. })).unwrap() else {
            panic!("no clips")
        };
        assert_eq!((shape.as_slice(), data.len()), (&[3, 3, 4, 16, 16, 3][..], 3 * 3 * 4 * 16 * 16 * 3));
        let labels = batches[0].columns.iter().find(|c| matches!(c, Column::Index { .. })).unwrap();
        assert!(matches!(labels, Column::Index { shape, data } if *shape == [4] && **data == [0, 1, 0, 1]), "{labels:?}");
    }
}

/// A video that could not be packed changes neither what is withheld of the others, nor their clips.
#[test]
fn a_rejected_video_changes_nothing_for_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let source = |set: &str, held: Option<HoldOut>| Source {
        set: set.into(),
        split: "train".into(),
        held,
        height: 24,
        width: 20,
        streams: vec!["rgb".into()],
    };
    packed(dir.path(), "tiny");
    // the same list, of which the fifth video is missing
    let mut options = SetOptions::new("less", 24, 20);
    options.fsync = false;
    options.classes = vec!["a".into(), "b".into()];
    let mut writer = SetWriter::create(&dir.path().join("less"), options).unwrap();
    let path = |i: usize| format!("{}/v{i:02}.avi", ["a", "b"][i % 2]);
    let there: Vec<usize> = (0..VIDEOS).filter(|i| *i != 4).collect();
    for i in &there {
        let frames = (0..3 + i % 5).map(|f| (0..24 * 20 * 3).map(|p| (p * 7 + f * 31 + i * 101) as u8).collect::<Vec<u8>>());
        writer.add_video(VideoMeta { path: path(*i), class: Some((i % 2) as u32), ..VideoMeta::default() }, frames).unwrap();
    }
    let row = |i: usize| match there.iter().position(|t| *t == i) {
        Some(place) => Row::Video(place as u32),
        None => Row::Missing(path(i)),
    };
    writer.set_split("train", (0..VIDEOS).map(row));
    writer.finish().unwrap();
    let read = |set: &str, held: Option<HoldOut>| {
        let rows = Rows::open(dir.path(), &source(set, held), "video").unwrap();
        (rows.samples.iter().map(|s| s.path.to_string()).collect::<Vec<_>>(), rows.missing.clone())
    };
    let mut withheld = 0;
    for part in [Part::Rest, Part::Withheld] {
        let held = Some(HoldOut { rows: 4, seed: 666, part });
        let (all, _) = read("tiny", held.clone());
        let (less, missing) = read("less", held);
        assert_eq!(less, all.iter().filter(|p| **p != path(4)).cloned().collect::<Vec<_>>());
        assert_eq!(missing.len(), all.len() - less.len());
        withheld += all.len();
    }
    assert_eq!(withheld, VIDEOS);
    // the clips that each video gives are those of the whole set
    let clips = |set: &str| {
        let host = host("pretrain", None);
        let rows = Arc::new(Rows::open(dir.path(), &source(set, None), "video").unwrap());
        let batches = rows.evaluation(&pass("pretrain"), 1);
        let list = all(Loader::start(host, rows, Box::new(batches.into_iter()), 2, 2)).unwrap();
        let index = |c: &Column| matches!(c, Column::Index { shape, .. } if shape.len() == 1);
        list.into_iter()
            .map(|b| (b.samples[0].path.to_string(), b.columns.into_iter().filter(|c| !index(c)).collect::<Vec<_>>()))
            .collect::<Vec<_>>()
    };
    let whole: Vec<_> = clips("tiny").into_iter().filter(|(p, _)| *p != path(4)).collect();
    assert!(whole == clips("less"));
}

#[test]
fn a_failing_sample_is_named_and_nothing_hangs() {
    let dir = tempfile::tempdir().unwrap();
    packed(dir.path(), "tiny");
    for threads in [1, 2, 8] {
        for (at, video) in [("0", "a/v00.avi"), ("5", "b/v05.avi"), ("10", "a/v10.avi")] {
            let error = evaluation(dir.path(), Some((at, false)), threads).unwrap_err();
            assert!(error.contains(video) && error.contains("`bad`") && error.contains("a node that fails"), "{error}");
            assert!(error.contains("of the set `tiny`"), "{error}");
            let error = evaluation(dir.path(), Some((at, true)), threads).unwrap_err();
            assert!(error.contains(video) && error.contains("a node that panics") && error.contains("a defect of dv"), "{error}");
        }
        // all of them at once
        assert!(evaluation(dir.path(), Some(("0 1 2 3 4 5 6 7 8 9 10", false)), threads).is_err());
    }
}

#[test]
fn batches_before_the_failing_one_arrive() {
    let dir = tempfile::tempdir().unwrap();
    packed(dir.path(), "tiny");
    for threads in [1, 2, 8] {
        let host = host("gallery", Some(("9", false)));
        let rows = rows(dir.path(), &host);
        let batches = rows.evaluation(&pass("gallery"), 4);
        let mut loader = Loader::start(host, rows, Box::new(batches.into_iter()), threads, 3);
        assert_eq!(loader.next_batch().unwrap().unwrap().batch.step, 0);
        assert_eq!(loader.next_batch().unwrap().unwrap().batch.step, 1);
        assert!(loader.next_batch().is_err());
        // what comes after an error is no end
        assert!(loader.next_batch().is_err());
    }
}

#[test]
fn a_loader_may_be_dropped_at_any_time() {
    let dir = tempfile::tempdir().unwrap();
    packed(dir.path(), "tiny");
    for taken in 0..3 {
        for threads in [1, 8] {
            let host = host("gallery", None);
            let rows = rows(dir.path(), &host);
            let batches = rows.evaluation(&pass("gallery"), 2);
            let (sender, receiver) = mpsc::channel();
            std::thread::spawn(move || {
                let mut loader = Loader::start(host, rows, Box::new(batches.into_iter()), threads, 2);
                for _ in 0..taken {
                    loader.next_batch().unwrap().unwrap();
                }
                drop(loader);
                let _ = sender.send(());
            });
            receiver.recv_timeout(Duration::from_secs(60)).expect("the drop hangs");
        }
    }
}

#[test]
fn a_list_of_batches_that_panics_is_no_end_of_the_epoch() {
    let dir = tempfile::tempdir().unwrap();
    packed(dir.path(), "tiny");
    let host = host("gallery", None);
    let rows = rows(dir.path(), &host);
    let mut batches = rows.evaluation(&pass("gallery"), 4).into_iter();
    let broken = std::iter::from_fn(move || {
        let next = batches.next();
        assert!(next.as_ref().is_none_or(|b: &Batch| b.step < 2), "no more batches");
        next
    });
    let error = all(Loader::start(host, rows, Box::new(broken), 2, 2)).unwrap_err();
    assert!(error.contains("no more batches"), "{error}");
}

/// The frames that cross are those of the set.
#[test]
fn pixels_are_those_of_the_set() {
    let dir = tempfile::tempdir().unwrap();
    packed(dir.path(), "tiny");
    let mut plan = planned(GOOD);
    let i = plan.stages.iter().position(|s| s.name == "gallery").unwrap();
    let stage = Arc::new(plan.stages.remove(i));
    let places: Vec<_> = stage.nodes.iter().map(|n| n.place).collect();
    let clips = stage.output("clips.clips").unwrap();
    let host = HostPlan::new(stage, places, &[clips]).unwrap();
    let column = host.outputs.iter().position(|o| *o == clips).unwrap();
    let rows = rows(dir.path(), &host);
    let batches = rows.evaluation(&pass("gallery"), 1);
    let got = all(Loader::start(host, rows, Box::new(batches.into_iter()), 2, 2)).unwrap();
    let set = PackedSet::open(&dir.path().join("tiny")).unwrap();
    for (video, batch) in got.iter().enumerate() {
        let frames: Vec<u32> = (0..12).map(|i| i % set.frames(video).unwrap()).collect();
        let mut wanted = vec![0; frames.len() * 24 * 20 * 3];
        set.read_frames(video, &frames, &mut wanted).unwrap();
        let Column::Bytes { shape, data } = &batch.columns[column] else { panic!("no clips") };
        assert!(*shape == [1, 3, 4, 24, 20, 3] && **data == wanted, "video {video}");
    }
}

#[test]
fn a_set_is_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let codes = |plan: &Plan, strict: bool| {
        let mut faults = dv_graph::fault::Faults::default();
        check_data(plan, dir.path(), strict, &mut faults);
        faults.iter().map(|f| (f.code, f.note)).collect::<Vec<_>>()
    };
    let plan = planned(GOOD);
    assert_eq!(codes(&plan, false), [("no-set", true)]);
    assert_eq!(codes(&plan, true), [("no-set", false)]);
    packed(dir.path(), "tiny");
    // the test split is not there: query alone reads it
    assert_eq!(codes(&plan, false), [("wrong-set", false)]);
    let text = GOOD.replace("height = 24, width = 20", "height = 20, width = 24");
    assert_eq!(codes(&planned(&text), false), [("wrong-set", false)]);
    std::fs::write(dir.path().join("tiny").join("set.json"), "{").unwrap();
    assert_eq!(codes(&plan, false), [("wrong-set", false)]);
}

/// The draws and the pixels stay what they are from one version to the next.
#[test]
fn batches_are_those_of_earlier_versions() {
    let dir = tempfile::tempdir().unwrap();
    packed(dir.path(), "tiny");
    for (stage, digest) in [("pretrain", "e7c09583b7594d16"), ("gallery", "2dae560416e99138")] {
        let host = host(stage, None);
        let rows = rows(dir.path(), &host);
        let batches = if stage == "pretrain" { rows.training(&pass(stage), 4, true).0 } else { rows.evaluation(&pass(stage), 4) };
        let mut hasher = blake3::Hasher::new();
        for batch in all(Loader::start(host, rows, Box::new(batches.into_iter()), 2, 2)).unwrap() {
            for column in &batch.columns {
                hasher.update(format!("{column:?}").as_bytes());
            }
        }
        assert_eq!(hasher.finalize().to_hex()[..16], *digest, "{stage}");
    }
}
