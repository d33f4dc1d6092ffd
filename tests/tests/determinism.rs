//! The same again, bit by bit; and arms of an ablation that see the same.

use dv_tests::{graph, packed_set, read, Call, Probe};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tch::Tensor;
use tempfile::TempDir;

/// The paper's graph with all its augmentations, small enough for two steps in seconds, in a world of two.
const SMALL: [&str; 13] = [
    "values={length=8,stride=2,size=32}",
    "models.encoder.width=16",
    "stages.pretrain.epochs=2",
    "stages.gallery.weights=pretrain",
    "stages.pretrain.batch=4",
    "stages.pretrain.world=2",
    "stages.pretrain.nodes.video.set=small",
    "stages.pretrain.nodes.video.height=48",
    "stages.pretrain.nodes.video.width=40",
    "stages.gallery.nodes.video.set=small",
    "stages.gallery.nodes.video.height=48",
    "stages.gallery.nodes.video.width=40",
    "stages.retrieval.nodes.score.k=[1,5]",
];

const WHOLE: &str = "ucf_r3d.toml";
/// Without the coherence term.
const ARM: &str = "dualvar/clip_rank.toml";
/// Clip contrast alone: two views, so a batch norm over fewer rows, but the same clips and crops.
const TWO_VIEWS: &str = "dualvar/clip.toml";

struct Runs {
    dir: TempDir,
}

impl Runs {
    fn new() -> Runs {
        let dir = tempfile::tempdir().unwrap();
        packed_set(&dir.path().join("data"), "small", (48, 40), 9);
        Runs { dir }
    }
    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }
    fn run(&self, name: &str, of: &str, change: impl FnOnce(Call) -> Call) -> PathBuf {
        let out = self.dir.path().join(name);
        let call = Call::new("run", graph(of)).set(SMALL).path("--data", &self.data()).path("--out", &out).args(["--compute-threads", "2"]);
        change(call).run().done();
        out
    }
}

/// The log without what a clock says.
fn log(run: &Path) -> Vec<Value> {
    let mut lines: Vec<Value> =
        fs::read_to_string(run.join("metrics.jsonl")).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    for line in &mut lines {
        line.as_object_mut().unwrap().retain(|key, _| key != "seconds" && key != "memory");
        if let Some(metrics) = line["metrics"].as_object_mut() {
            metrics.retain(|name, _| !name.ends_with("_per_second"));
        }
    }
    lines
}

/// Files of a run whose bytes must be equal: checkpoints and tables.
fn tensors(run: &Path) -> Vec<PathBuf> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "safetensors") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(run, &mut found);
    found.sort();
    found.into_iter().map(|p| p.strip_prefix(run).unwrap().to_path_buf()).collect()
}

fn same(a: &Path, b: &Path) {
    let files = tensors(a);
    assert_eq!(files, tensors(b));
    assert!(files.len() >= 6, "{files:?}");
    for file in files {
        assert!(fs::read(a.join(&file)).unwrap() == fs::read(b.join(&file)).unwrap(), "{} differs", file.display());
    }
    assert_eq!(log(a), log(b));
}

#[test]
fn a_seed_gives_one_outcome_for_any_number_of_loader_threads() {
    let runs = Runs::new();
    let first = runs.run("first", WHOLE, |c| c.args(["--threads", "1"]));
    let second = runs.run("second", WHOLE, |c| c.args(["--threads", "1"]));
    same(&first, &second);
    let four = runs.run("four", WHOLE, |c| c.args(["--threads", "4"]));
    same(&first, &four);
    let other = runs.run("other", WHOLE, |c| c.args(["--threads", "1"]).set(["seed=1"]));
    let file = "checkpoints/pretrain/00002/models.safetensors";
    let (a, b) = (read(&first.join(file)), read(&other.join(file)));
    let weight = "encoder/conv1.temporal_spatial_conv.weight";
    assert!(a[weight] != b[weight]);
    // nine videos, batches of four: each epoch leaves one out, and says which
    let dropped: Vec<String> = log(&first).iter().filter_map(|l| Some(l["dropped"].as_array()?[0].as_str()?.to_string())).collect();
    assert_eq!(dropped.len(), 2, "{dropped:?}");
}

/// An arm that drops a term: same weights at the start, same clips, crops and orders, same features; and one that drops a view.
#[test]
fn arms_of_an_ablation_are_paired() {
    let runs = Runs::new();
    let shared =
        ["pair.centres", "pair.reversed", "pair.first", "pair.second", "view_0.choice", "view_1/crop.offset", "view_1.clips"].as_slice();
    let with_third = [shared, &["view_2/crop.offset", "views.clips", "seen.map", "clip.features", "contrast.loss"]].concat();
    let probe = |of: &str, draws: &[&str], names: &[String]| {
        let probe = Probe::new(graph(of), "pretrain").set(SMALL).with(|c| c.path("--data", &runs.data()).args(["--mode", "train"]));
        probe.fetch(draws).fetch(names.iter().map(|n| format!("after.{n}"))).values()
    };
    // parameters that both hold, but for the buffers that a pass moves
    let trained: Vec<String> = ["conv1.temporal_spatial_conv.weight", "conv5.block1.conv2.temporal_spatial_conv.weight", "bn1.weight"]
        .iter()
        .map(|n| format!("encoder/{n}"))
        .chain(["clip_head/0.weight", "clip_head/2.bias"].map(String::from))
        .collect();
    let whole = probe(WHOLE, &[&with_third[..], &["order.order"]].concat(), &trained);
    let part = probe(ARM, &with_third, &trained);
    assert_eq!(whole.len(), part.len() + 1);
    for (name, value) in &part {
        assert!(*value == whole[name], "{name} differs between the arms");
    }
    let two = probe(TWO_VIEWS, shared, &[]);
    assert_eq!(two.len(), shared.len());
    for (name, value) in &two {
        assert!(*value == whole[name], "{name} differs with two views");
    }
    let flat = |t: &Tensor| Vec::<f64>::try_from(t.to_kind(tch::Kind::Double).flatten(0, -1)).unwrap();
    // and they are draws: not one value for all
    assert!(flat(&whole["pair.centres"]).windows(2).any(|w| w[0] != w[1]));
    // one step of training: the shared loss is the same number
    let one_step = |name: &str, of: &str| {
        let out = runs.run(name, of, |c| {
            c.args(["--stage", "pretrain", "--threads", "2"]).set(["stages.pretrain.epochs=1", "stages.pretrain.batch=8"])
        });
        log(&out).into_iter().find(|l| l["epoch"] == 1 && l["lr"].is_number()).unwrap()
    };
    let (a, b) = (one_step("whole", WHOLE), one_step("part", ARM));
    assert_eq!(a["metrics"]["contrast.loss"], b["metrics"]["contrast.loss"]);
    assert_eq!(a["metrics"]["contrast.top1"], b["metrics"]["contrast.top1"]);
    assert!(a["metrics"]["coherence.loss"].is_number() && b["metrics"]["coherence.loss"].is_null());
}
