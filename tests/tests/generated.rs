//! The generated set's claim: only motion tells its classes apart. A 2-D network with labels stays at chance on single
//! frames; a small 3-D network with labels does not.

use dv_datasets::generate::VIDEOS;
use dv_datasets::{Ffmpeg, PackedSet};
use dv_tests::ffmpegs::ffmpegs;
use dv_tests::{graph, Call};
use std::path::Path;
use tempfile::TempDir;

const CLASSES: f64 = 12.0;
const TEST_CLIPS: usize = 240;
const SEEDS: usize = 3;

/// Generates and packs the set below `data`. The set's fingerprint.
fn set(data: &Path, ffmpeg: &Ffmpeg) -> String {
    let videos = data.join("videos");
    Call::default().args(["generate", "motion", "--seed", "5"]).path("--out", &videos).ffmpeg(ffmpeg).run().done();
    let pack = Call::default().args(["pack", "folder", "--size", "64x64", "--filter", "bilinear"]).ffmpeg(ffmpeg);
    let pack = pack.path("--videos", &videos.join("videos")).path("--splits", &videos.join("splits"));
    pack.path("--out", &data.join("motion")).run().done();
    let set = PackedSet::open(&data.join("motion")).unwrap();
    assert_eq!((set.len(), set.groups().unwrap()), (VIDEOS, VIDEOS), "each clip is drawn by itself: a group of its own");
    set.fingerprint
}

fn top1(graph_name: &str, data: &Path, out: &str, settings: &[&str]) -> f64 {
    let out = data.join(out);
    Call::new("run", graph(graph_name)).path("--data", data).path("--out", &out).set(settings.iter().copied()).run().done();
    let text = std::fs::read_to_string(out.join("result.json")).unwrap();
    let result: serde_json::Value = serde_json::from_str(&text).unwrap();
    result["stages"]["test"]["metrics"]["score.top1"].as_f64().unwrap()
}

/// The least count whose upper tail is below one in a thousand, for `n` draws with probability `p`.
fn bound(n: usize, p: f64) -> usize {
    let mut log_term = n as f64 * (1.0 - p).ln();
    let mut below = 0.0;
    for k in 0..=n {
        below += log_term.exp();
        if 1.0 - below < 1e-3 {
            return k + 1;
        }
        log_term += ((n - k) as f64 / (k + 1) as f64 * p / (1.0 - p)).ln();
    }
    n
}

#[test]
fn the_bound_is_the_binomial_one() {
    // 10 fair coins: 10 heads have probability 1/1024, 9 or more 11/1024
    assert_eq!(bound(10, 0.5), 10);
}

#[test]
fn single_frames_tell_nothing_and_motion_tells_much() {
    let packed: Vec<(TempDir, String)> = ffmpegs()
        .map(|ffmpeg| {
            let dir = tempfile::tempdir().unwrap();
            let fingerprint = set(dir.path(), &ffmpeg);
            (dir, fingerprint)
        })
        .collect();
    // `ffmpegs` has said that there is none
    let Some((dir, fingerprint)) = packed.first() else { return };
    // what is trained on does not depend on ffmpeg's version
    assert!(packed.iter().all(|(_, other)| other == fingerprint), "{packed:?}");
    let data = dir.path();
    let mut correct = 0.0;
    for position in ["first", "middle", "last"] {
        for seed in 0..SEEDS {
            let settings = [format!("values.position={position}"), format!("seed={seed}"), "stages.train.epochs=20".into()];
            let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
            let found = top1("controls/still.toml", data, &format!("{position}{seed}"), &settings);
            eprintln!("2-D, {position} frame, seed {seed}: {:.1} %", 100.0 * found);
            correct += found * TEST_CLIPS as f64 / SEEDS as f64;
        }
    }
    // networks of different seeds err on the same clips: they steady the count, and add nothing to its number
    let n = 3 * TEST_CLIPS;
    let most = bound(n, 1.0 / CLASSES);
    eprintln!("2-D: {correct:.1} of {n} in the mean over seeds, chance {:.0}, bound {most}", n as f64 / CLASSES);
    assert!(correct < most as f64, "single frames tell classes apart: {correct:.1} of {n} right, the bound is {most}");
    let motion = top1("quickstart_supervised.toml", data, "supervised", &["stages.train.epochs=20"]);
    eprintln!("3-D: {:.1} %", 100.0 * motion);
    assert!(motion > 0.6, "a 3-D network with labels reaches only {:.1} %", 100.0 * motion);
}
