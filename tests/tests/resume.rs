//! A run that was interrupted goes on to the bits of one that was not.

use dv_datasets::generate::{smoke_set, SmokeSpec};
use dv_tests::{dv, graph, Said};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

struct Place {
    dir: tempfile::TempDir,
    data: PathBuf,
}

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        fs::create_dir(&data).unwrap();
        let splits = vec!["train01".to_string(), "test01".to_string()];
        let spec = SmokeSpec { height: 64, width: 64, splits, classes: 12, videos_per_split: 12, frames: 40 };
        smoke_set(&data.join("motion"), &spec).unwrap();
        Place { dir, data }
    }

    fn run(&self, name: &str, out: &str, more: &[&str]) -> Said {
        let out = self.dir.path().join(out);
        let (file, data) = (graph(name), self.data.clone());
        let fixed =
            ["run", file.to_str().unwrap(), "--data", data.to_str().unwrap(), "--out", out.to_str().unwrap(), "--compute-threads", "1"];
        dv(fixed.iter().chain(more))
    }

    fn left(&self, out: &str) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        gather(&self.dir.path().join(out), Path::new(""), &mut files);
        files
    }
}

/// Whatever takes time differs from run to run.
fn without_times(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, _| !key.contains("second") && key != "memory" && key != "waiting" && key != "checksum");
            map.values_mut().for_each(without_times);
        }
        Value::Array(list) => list.iter_mut().for_each(without_times),
        _ => {}
    }
}

/// What a run left, without times. `state.json` and `run.json` name the former and are compared by what they stand for.
fn gather(root: &Path, below: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(root.join(below)).unwrap() {
        let entry = entry.unwrap();
        let path = below.join(entry.file_name());
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().unwrap().is_dir() {
            gather(root, &path, files);
        } else if name.ends_with(".jsonl") || name == "result.json" || name == "sweep.json" {
            let text = fs::read_to_string(root.join(&path)).unwrap();
            let mut out = String::new();
            let values = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
            for mut value in values.map(Result::unwrap) {
                without_times(&mut value);
                out += &format!("{value}\n");
            }
            files.insert(path.display().to_string(), out.into_bytes());
        } else if name.ends_with(".safetensors") || name == "graph.toml" {
            files.insert(path.display().to_string(), fs::read(root.join(&path)).unwrap());
        }
    }
}

fn same(a: &BTreeMap<String, Vec<u8>>, b: &BTreeMap<String, Vec<u8>>, what: &str) {
    let names = |of: &BTreeMap<String, Vec<u8>>| of.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(a), names(b), "{what}");
    for (name, bytes) in a {
        let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(3000)]).into_owned();
        let shown = name.ends_with("json") || name.ends_with("jsonl");
        let (left, right) = if shown { (text(bytes), text(&b[name])) } else { Default::default() };
        assert!(*bytes == b[name], "{what}: {name} differs\n{left}\n{right}");
    }
}

/// Stops after each of `stops` steps, goes on, and compares what is left in the end.
fn resumes(name: &str, settings: &[&str], stops: impl IntoIterator<Item = usize>) {
    let place = Place::new();
    let set: Vec<String> = settings.iter().map(|s| format!("--set={s}")).collect();
    let set: Vec<&str> = set.iter().map(String::as_str).collect();
    place.run(name, "straight", &set).done();
    let straight = place.left("straight");
    for stop in stops {
        let out = format!("stopped-{stop}");
        let number = stop.to_string();
        let said = place.run(name, &out, &[&set[..], &["--stop-after", &number]].concat());
        assert_eq!(said.status, Some(130), "after {stop} steps: {}", said.err);
        let said = said.says(&["interrupted: the stage `pretrain` is saved after ", "continue with: dv run ", " --resume"]);
        assert!(!said.err.contains("error"), "{}", said.err);
        // again, a step further, before it may go on to the end
        let again = place.run(name, &out, &[&set[..], &["--resume", "--stop-after", "1"]].concat());
        assert!(matches!(again.status, Some(0 | 130)), "{}", again.err);
        place.run(name, &out, &[&set[..], &["--resume"]].concat()).done();
        same(&straight, &place.left(&out), &format!("{name}, stopped after {stop} steps"));
        // what is finished is not done again
        place.run(name, &out, &[&set[..], &["--resume"]].concat()).done().never_says(&["stage pretrain"]);
        same(&straight, &place.left(&out), &format!("{name}, resumed when it was finished"));
    }
}

#[test]
fn queues_and_averaged_models_at_every_step() {
    resumes("small/moco.toml", &["stages.pretrain.batch=4", "values.rows=8"], 1..6);
}

#[test]
fn banks_and_a_constant_from_the_first_batch() {
    resumes("small/bank.toml", &["stages.pretrain.batch=4"], [1, 4]);
}

#[test]
fn a_plateau_the_best_epoch_and_stages_during_another() {
    resumes("small/probe.toml", &["stages.pretrain.batch=6", "stages.probe.batch=6", "values.rows=12"], [1, 4, 6]);
}

#[test]
fn simclr_with_accumulated_and_clipped_gradients() {
    let settings = [
        "stages.pretrain.epochs=2",
        "stages.pretrain.batch=3",
        "stages.pretrain.accumulate=3",
        "stages.pretrain.clip_norm=0.5",
        "stages.retrieval.nodes.score.k=[1, 5]",
        "stages.retrieval_untrained.nodes.score.k=[1, 5]",
        "stages.pretrain.log_every=1",
        "stages.pretrain.keep={ every = { steps = 1 } }",
    ];
    resumes("quickstart.toml", &settings, [1, 3, 5]);
}

/// A sweep goes on where it stopped, and with a new value runs only what is new.
#[test]
fn a_sweep_goes_on_and_grows() {
    let place = Place::new();
    let smaller = ["--set=stages.pretrain.batch=6", "--set=stages.pretrain.epochs=1", "--set=values.rows=12"];
    let call = |out: &str, more: &[&str]| place.run("small/sweep.toml", out, &[&smaller[..], more].concat());
    let straight = call("straight", &[]).done();
    assert!(straight.err.contains("point 4 of 4"), "{}", straight.err);
    let stopped = call("stopped", &["--stop-after", "3"]);
    assert_eq!(stopped.status, Some(130), "{}", stopped.err);
    call("stopped", &["--resume"]).done();
    same(&place.left("straight"), &place.left("stopped"), "a sweep");
    call("stopped", &["--resume"]).done().never_says(&["stage pretrain"]);
}

/// The sets of a smoke run are a function of its graph, and are made again.
#[test]
fn a_smoke_run_goes_on_too() {
    let dir = tempfile::tempdir().unwrap();
    let call = |out: &str, more: &[&str]| {
        let (file, out) = (graph("small/moco.toml"), dir.path().join(out));
        let fixed = ["run", file.to_str().unwrap(), "--smoke", "--out", out.to_str().unwrap(), "--compute-threads", "1"];
        dv(fixed.iter().chain(more))
    };
    call("straight", &[]).done();
    assert_eq!(call("stopped", &["--stop-after", "1"]).status, Some(130));
    call("stopped", &["--resume"]).done();
    let left = |out: &str| {
        let mut files = BTreeMap::new();
        gather(&dir.path().join(out), Path::new(""), &mut files);
        files
    };
    same(&left("straight"), &left("stopped"), "a smoke run");
    let lost = {
        let file = graph("small/moco.toml");
        dv(["run", file.to_str().unwrap(), "--smoke", "--compute-threads", "1", "--stop-after", "1"])
    };
    assert!(lost.status == Some(130) && lost.err.contains("a smoke run without --out leaves nothing"), "{}", lost.err);
}
