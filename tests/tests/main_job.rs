//! What most people do: pack videos, pretrain, retrieve.

use dv_tests::ffmpegs::ffmpegs;
use dv_tests::{graph, packed_set, read, Call};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Two steps of four videos, and no more neighbours than the tiny gallery has.
const SETS: [&str; 4] = [
    "stages.pretrain.epochs=1",
    "stages.pretrain.batch=4",
    "stages.retrieval.nodes.score.k=[1,5]",
    "stages.retrieval_untrained.nodes.score.k=[1,5]",
];

/// Data with a tiny set in the place of the quickstart's, and a folder for runs.
struct Job {
    dir: TempDir,
}

impl Job {
    fn new() -> Job {
        let dir = tempfile::tempdir().unwrap();
        packed_set(&dir.path().join("data"), "motion", (64, 64), 8);
        Job { dir }
    }
    fn out(&self) -> PathBuf {
        self.dir.path().join("runs/first")
    }
    fn call(&self) -> Call {
        let call = Call::new("run", graph("quickstart.toml")).set(SETS).args(["--compute-threads", "2", "--threads", "2"]);
        call.path("--data", &self.dir.path().join("data")).path("--out", &self.out())
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The contract's form of `result.json`.
fn is_result(result: &Value, name: &str, stages: &[&str], set: &str) {
    assert_eq!(result["name"], name);
    let keys: Vec<&String> = result.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["name", "stages", "data", "machine"]);
    let machine = &result["machine"];
    assert!(["DEFAULT", "AVX2", "AVX512"].contains(&machine["cpu_capability"].as_str().unwrap()), "{machine}");
    assert!(["cores", "threads", "compute_threads"].iter().all(|n| machine[n].as_u64().unwrap() >= 1), "{machine}");
    for stage in stages {
        let stage = &result["stages"][stage];
        assert!(stage["seconds"].as_f64().unwrap() >= 0.0 && stage["metrics"].is_object(), "{result}");
    }
    assert!(result["data"][set].as_str().unwrap().len() >= 16, "{result}");
}

#[test]
fn pretrain_and_retrieve_then_go_on_with_the_run() {
    let job = Job::new();
    let said = job.call().run().done();
    let out = job.out();
    let result = json(&out.join("result.json"));
    let stages = ["pretrain", "gallery", "query", "retrieval", "retrieval_untrained"];
    is_result(&result, "quickstart", &stages, "motion");
    for stage in ["retrieval", "retrieval_untrained"] {
        let metrics = &result["stages"][stage]["metrics"];
        let top = |k: usize| metrics[&format!("score.top{k}")].as_f64().unwrap_or_else(|| panic!("{metrics}"));
        assert!(0.0 <= top(1) && top(1) <= top(5) && top(5) <= 1.0, "{metrics}");
    }
    // people read a table on stdout
    assert!(said.out.contains("score.top1") && said.out.contains("retrieval_untrained"), "{}", said.out);
    // the resolved graph is a graph, with what --set changed
    let resolved = fs::read_to_string(out.join("graph.toml")).unwrap();
    assert!(resolved.contains("batch = 4") && !resolved.contains("extends"), "{resolved}");
    Call::new("check", out.join("graph.toml")).run().done();
    let lines: Vec<Value> =
        fs::read_to_string(out.join("metrics.jsonl")).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let epoch = lines.iter().find(|l| l["stage"] == "pretrain" && l["epoch"] == 1).unwrap();
    assert_eq!(epoch["step"], 2);
    assert!(epoch["metrics"]["total.loss"].as_f64().unwrap().is_finite(), "{epoch}");
    let checkpoint = out.join("checkpoints/pretrain/00001");
    assert!(read(&checkpoint.join("models.safetensors")).keys().any(|n| n.starts_with("encoder/")));
    let momentum = read(&checkpoint.join("optimiser.safetensors"));
    assert!(momentum.keys().any(|n| n.contains("encoder/")));
    assert_eq!(json(&checkpoint.join("state.json"))["step"], 2);

    // the checkpoint, which holds all models, in a stage that applies one: the same features as the table
    let probed = job.dir.path().join("probed.safetensors");
    let probe =
        Call::new("probe", graph("quickstart.toml")).set(SETS).args(["--stage", "gallery", "--fetch", "pool.features", "video.label"]);
    let probe = probe.path("--data", &job.dir.path().join("data")).path("--weights", &checkpoint.join("models.safetensors"));
    probe.path("--out", &probed).run().done();
    let (probed, table) = (read(&probed), read(&out.join("tables/gallery/table.rows.safetensors")));
    assert_eq!(probed["video.label"].flatten(0, -1), table["label"].flatten(0, -1));
    let mean = probed["pool.features"].mean_dim([1i64].as_slice(), false, tch::Kind::Float);
    let error = (mean - &table["rows"]).abs().max().double_value(&[]);
    let largest = table["rows"].abs().max().double_value(&[]);
    assert!(error < 1e-5 * largest.max(1.0), "{error} of {largest}");

    // the same folder again: both ways out are named, and nothing is touched
    let before = fs::read(out.join("result.json")).unwrap();
    job.call().run().refused(&["exists", "--resume", "--out"]);
    assert_eq!(fs::read(out.join("result.json")).unwrap(), before);

    // one stage again, over what is there
    let modified = |name: &str| fs::metadata(out.join(name)).unwrap().modified().unwrap();
    let weights = modified("checkpoints/pretrain/00001/models.safetensors");
    let said = job.call().args(["--stage", "retrieval"]).run().done().says(&["stage retrieval"]);
    for stage in ["stage pretrain", "stage gallery", "stage query"] {
        assert!(!said.err.contains(stage), "{}", said.err);
    }
    assert_eq!(modified("checkpoints/pretrain/00001/models.safetensors"), weights);
    let again = json(&out.join("result.json"));
    assert_eq!(again["stages"]["retrieval"]["metrics"], result["stages"]["retrieval"]["metrics"]);
    assert_eq!(again["stages"]["pretrain"], result["stages"]["pretrain"]);

    // another graph does not go on with this run
    job.call().set(["seed=1"]).args(["--stage", "retrieval"]).run().refused(&["another graph", "--out"]);
}

#[test]
fn a_stage_brings_what_stands_before_it() {
    let job = Job::new();
    let said = job.call().args(["--stage", "query_untrained"]).run().done().says(&["stage query_untrained"]);
    assert!(!said.err.contains("stage pretrain") && !said.err.contains("stage gallery_untrained"), "{}", said.err);
    let said =
        job.call().args(["--stage", "retrieval_untrained"]).run().done().says(&["stage gallery_untrained", "stage retrieval_untrained"]);
    assert!(!said.err.contains("stage query_untrained"), "{}", said.err);
    let result = json(&job.out().join("result.json"));
    assert!(result["stages"]["pretrain"].is_null() && result["stages"]["retrieval_untrained"].is_object(), "{result}");
}

#[test]
fn what_cannot_be_run_is_refused() {
    let job = Job::new();
    job.call().args(["--stage", "retreival"]).run().refused(&["no stage `retreival`", "retrieval"]);
    job.call().set(["stages.pretrian.batch=4"]).run().refused(&["--set", "there is no table `pretrian`", "did you mean `pretrain`?"]);
    job.call().set(["stages.pretrain.bacth=4"]).run().refused(&["no setting `bacth`", "did you mean `batch`?"]);
    job.call().arg("--resume").run().refused(&["there is no run in ", "leave --resume out"]);
    job.call().args(["--ranks", "2"]).run().refused(&["unsupported: `--ranks`"]);
    assert!(!job.out().exists());
    // more videos than there are
    job.call().set(["stages.pretrain.batch=16"]).run().refused(&["8 samples", "batch 16"]);
}

#[test]
fn missing_data_are_told_with_the_line_that_makes_them() {
    let dir = tempfile::tempdir().unwrap();
    let call = |verb: &str, name: &str| Call::new(verb, graph(name)).path("--data", dir.path());
    for (name, set, make) in
        [("quickstart.toml", "motion", "cargo xtask quickstart"), ("ucf_r3d.toml", "ucf101", "dv pack ucf101 --videos UCF-101")]
    {
        let no_set = format!("no packed set `{set}`");
        let words = [name, "error[no-set]", &no_set, make];
        let said = call("run", name).path("--out", &dir.path().join("run")).run().refused(&words);
        let place = said.err.lines().find(|l| l.contains("error[no-set]")).unwrap();
        let numbers: Vec<&str> = place.split(&format!("{name}:")).nth(1).unwrap().splitn(3, ':').collect();
        assert!(numbers[0].parse::<usize>().is_ok() && numbers[1].parse::<usize>().is_ok(), "{place}");
        call("check", name).run().refused(&words);
    }
    assert!(!dir.path().join("run").exists());
    // without --data a check only says so
    Call::new("check", graph("ucf_r3d.toml")).run().done().says(&["note[no-set]"]);
}

/// Video files of two classes in two groups, with split lists and one file that is no video.
fn films(dir: &Path, ffmpeg: &Path) {
    let draw = |name: &str, source: &str| {
        let path = dir.join("videos").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut command = Command::new(ffmpeg);
        command.args(["-v", "error", "-nostdin", "-f", "lavfi", "-i", source, "-frames:v", "30", "-c:v", "mpeg4", "-q:v", "3"]);
        assert!(command.arg(&path).status().unwrap().success(), "{source}");
    };
    let (mut train, mut test) = (String::new(), String::new());
    for (class, (name, source)) in [("Card", "testsrc2"), ("Grid", "mandelbrot")].iter().enumerate() {
        for clip in 0..6 {
            let size = ["96x72", "72x96", "80x80"][clip % 3];
            let file = format!("{name}/v_{name}_g{:02}_c{clip:02}.avi", clip / 3 + 1);
            draw(&file, &format!("{source}=size={size}:rate={}", 10 + clip));
            match clip {
                4.. => test += &format!("{file}\n"),
                _ => train += &format!("{file} {}\n", class + 1),
            }
        }
    }
    fs::write(dir.join("videos/Card/v_Card_g09_c01.avi"), "no video").unwrap();
    test += "Card/v_Card_g09_c01.avi\n";
    let splits = dir.join("splits");
    fs::create_dir_all(&splits).unwrap();
    fs::write(splits.join("classInd.txt"), "1 Card\n2 Grid\n").unwrap();
    fs::write(splits.join("trainlist01.txt"), train).unwrap();
    fs::write(splits.join("testlist01.txt"), test).unwrap();
}

#[test]
fn from_video_files_to_a_table() {
    for ffmpeg in ffmpegs() {
        let dir = tempfile::tempdir().unwrap();
        films(dir.path(), ffmpeg.program());
        let set = dir.path().join("data/motion");
        let pack = Call::default().args(["pack", "folder", "--size", "64x64", "--filter", "bicubic", "--threads", "2"]).ffmpeg(&ffmpeg);
        let pack = pack.path("--videos", &dir.path().join("videos")).path("--splits", &dir.path().join("splits"));
        pack.path("--out", &set).run().done().says(&[
            "rejected: Card/v_Card_g09_c01.avi",
            "12 videos in 4 groups",
            "overlap: 4 videos of test01 are of a group that train01 has videos of",
        ]);
        let inspected = Call::new("inspect", &set).arg("--json").run().done();
        let inspected: Value = serde_json::from_str(&inspected.out).unwrap();
        assert_eq!(inspected["videos"].as_array().unwrap().len(), 12);
        assert_eq!(inspected["rejected"][0]["path"], "Card/v_Card_g09_c01.avi");
        let video = &inspected["videos"][0];
        for key in ["path", "class", "group", "splits", "frames", "height", "width", "fps"] {
            assert!(!video[key].is_null(), "{key}: {video}");
        }
        Call::new("verify", &set).run().done();
        let out = dir.path().join("run");
        let call = Call::new("run", graph("quickstart.toml")).set(SETS).args(["--compute-threads", "2"]);
        let said = call.path("--data", &dir.path().join("data")).path("--out", &out).run().done();
        said.says(&["note[overlap]", "note: retrieval: 4 videos of the queries are of a group that the gallery has videos of"]);
        let result = json(&out.join("result.json"));
        is_result(&result, "quickstart", &["pretrain", "retrieval"], "motion");
        assert_eq!(result["data"]["motion"], inspected["fingerprint"]);
        let top1 = result["stages"]["retrieval"]["metrics"]["score.top1"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&top1));
    }
}
