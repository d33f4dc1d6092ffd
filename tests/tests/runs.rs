//! Folders of runs: one writer, one graph, and nothing read that the run did not leave.

use dv_tests::{packed_set, program, Call, Said, GALLERY, TINY};
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

struct Place {
    dir: tempfile::TempDir,
    graph: PathBuf,
}

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let graph = dir.path().join("g.toml");
        fs::write(&graph, TINY.to_string() + GALLERY).unwrap();
        packed_set(&dir.path().join("data"), "tiny", (32, 32), 8);
        Place { dir, graph }
    }
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
    fn call(&self, out: &str) -> Call {
        Call::new("run", &self.graph).path("--data", &self.path("data")).path("--out", &self.path(out)).args(["--compute-threads", "1"])
    }
    fn verify(&self, out: &str) -> Said {
        dv_tests::dv(["verify".as_ref(), self.path(out).as_os_str()])
    }
    /// A run that takes long enough to be met.
    fn spawn(&self, out: &str, epochs: u32) -> Child {
        let mut command = Command::new(program());
        command.args([
            "run",
            self.graph.to_str().unwrap(),
            "--data",
            self.path("data").to_str().unwrap(),
            "--out",
            self.path(out).to_str().unwrap(),
        ]);
        command.args([
            "--compute-threads",
            "1",
            "--set",
            &format!("stages.learn.epochs={epochs}"),
            "--set",
            "stages.learn.keep={ every = { epochs = 1 } }",
        ]);
        for name in ["LD_LIBRARY_PATH", "LIBTORCH", "DV_LIBTORCH", "DV_DATA", "OMP_NUM_THREADS"] {
            command.env_remove(name);
        }
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let start = Instant::now();
        while !self.path(out).join("checkpoints/learn").exists() {
            assert!(start.elapsed() < Duration::from_secs(60), "nothing was trained");
            std::thread::sleep(Duration::from_millis(5));
        }
        child
    }
}

/// What dv takes: a name that resumes a run begun by [`Place::spawn`].
fn resumed(place: &Place, out: &str, epochs: u32) -> Call {
    place.call(out).set([&*format!("stages.learn.epochs={epochs}"), "stages.learn.keep={ every = { epochs = 1 } }"]).arg("--resume")
}

#[test]
fn a_folder_has_one_writer_and_one_graph() {
    let place = Place::new();
    let mut child = place.spawn("run", 100_000);
    let number = child.id().to_string();
    resumed(&place, "run", 100_000).run().refused(&["another dv (process ", &number, "runs in "]);
    place.call("run").run().refused(&["the run folder", "exists: go on with it (--resume)"]);
    child.kill().unwrap();
    child.wait().unwrap();
    resumed(&place, "run", 3).run().refused(&["is of another graph", "epochs = 100000"]);
    place.call("none").arg("--resume").run().refused(&["there is no run in "]);

    let thesis = place.path("thesis");
    fs::create_dir(&thesis).unwrap();
    fs::write(thesis.join("chapter.tex"), "").unwrap();
    for more in [&[][..], &["--stage", "learn"], &["--resume"]] {
        place.call("thesis").args(more.iter().copied()).run().refused(&["thesis"]);
    }
    assert_eq!(fs::read_dir(&thesis).unwrap().count(), 1);
}

#[test]
fn signals_save_the_state() {
    let place = Place::new();
    for signal in ["INT", "TERM", "HUP", "USR1"] {
        let child = place.spawn(signal, 100_000);
        let start = Instant::now();
        assert!(Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(130), "{signal}: {said}");
        assert!(start.elapsed() < Duration::from_secs(10) && said.contains("the stage `learn` is saved after"), "{said}");
        assert!(said.contains("continue with: dv run ") && said.trim_end().ends_with(" --resume"), "{said}");
        place.verify(signal).done();
        let said = resumed(&place, signal, 100_000).args(["--stop-after", "1"]).run();
        assert_eq!(said.status, Some(130), "{}", said.err);
    }
}

#[test]
fn what_changes_in_a_folder_is_seen() {
    let place = Place::new();
    place.call("run").run().done();
    place.verify("run").done();
    let run = place.path("run");
    let files = |dir: &str| -> Vec<PathBuf> {
        let mut all: Vec<PathBuf> = walk(&run.join(dir));
        all.sort();
        all
    };
    let checkpoint = files("checkpoints").into_iter().rev().find(|f| f.ends_with("models.safetensors")).unwrap();
    let good = fs::read(&checkpoint).unwrap();
    let again = || {
        // the gallery reads the checkpoint anew
        place.call("run").args(["--stage", "gallery"]).run()
    };
    let mut bad = good.clone();
    let last = bad.len() - 1;
    bad[last] ^= 1;
    fs::write(&checkpoint, &bad).unwrap();
    again().refused(&["models.safetensors is not what the stage `learn` left"]);
    place.verify("run").refused(&["models.safetensors: it is not what the run left"]);
    fs::remove_file(&checkpoint).unwrap();
    again().refused(&["models.safetensors"]);
    place.verify("run").refused(&["models.safetensors"]);
    fs::write(&checkpoint, &good).unwrap();
    again().done();
    place.verify("run").done();

    // no stage's checkpoints are replaced unasked
    place.call("run").args(["--stage", "learn"]).run().refused(&["the stage `learn` has finished in", "remove "]);
    fs::write(run.join("checkpoints/learn/foreign"), "").unwrap();
    place.verify("run").refused(&["foreign: no stage of the run left it"]);
    fs::remove_dir_all(run.join("checkpoints/learn")).unwrap();
    place.call("run").args(["--stage", "learn"]).run().done();

    // the set is exchanged
    fs::remove_dir_all(place.path("data")).unwrap();
    packed_set(&place.path("data"), "tiny", (32, 32), 9);
    again().refused(&["the set `tiny` is another than the run in", "fingerprint"]);

    let record = run.join("run.json");
    let text = fs::read_to_string(&record).unwrap();
    for (bad, why) in [
        (text.replace("\"finished\": true", "\"finished\": false"), "is damaged"),
        (text.replace("\"version\": 1", "\"version\": 7"), "has version 7"),
        ("{}".to_string(), "is damaged"),
    ] {
        fs::write(&record, bad).unwrap();
        again().refused(&["run.json", why]);
        place.verify("run").refused(&["run.json"]);
    }
}

fn walk(dir: &std::path::Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

/// Known before the first stage, with its place.
#[test]
fn what_would_stop_the_run_later_is_told_at_its_start() {
    let place = Place::new();
    let weights = |file: &str| format!("stages.learn.weights={{ \"*\" = {{ file = \"{file}\" }} }}");
    let none = weights(place.path("none.safetensors").to_str().unwrap());
    place.call("run").set([&*none]).run().refused(&["error[wrong-weights]", "there is no such file", "nothing was run"]);
    let text = place.path("text.safetensors");
    fs::write(&text, "no tensors at all, but long enough").unwrap();
    let said = place.call("run").set([&*weights(text.to_str().unwrap())]).run();
    said.refused(&["error[wrong-weights]", "it is no safetensors file", "nothing was run"]);
    assert!(!place.path("run").exists());
    place
        .call("run")
        .set(["stages.learn.schedule={ kind = \"steps\", at = [50], factor = 0.1 }"])
        .run()
        .done()
        .says(&["note[steps-beyond]"]);
}

#[test]
fn a_loss_that_is_not_finite_names_node_and_videos() {
    let place = Place::new();
    let said = place.call("run").set(["stages.learn.optimiser.lr=1e6", "stages.learn.epochs=50"]).run();
    let said = said.refused(&["epoch ", " step ", " of `learn`", "the batch: ", ".avi", "clip_norm"]);
    assert!(said.err.contains("it first appears at `") || said.err.contains("it comes from the backward pass"), "{}", said.err);
}

/// A limit on the size of files stands in for a full disk: the error names the file, and with room the run goes on.
#[test]
fn a_full_disk_loses_nothing() {
    let place = Place::new();
    let mut command = Command::new("sh");
    let [graph, data, out] = [place.graph.clone(), place.path("data"), place.path("run")].map(|path| path.display().to_string());
    // 40 blocks of 512 bytes: the record fits, and no checkpoint
    let line = format!("ulimit -f 40; exec '{}' run {graph} --data {data} --out {out} --compute-threads 1", program().display());
    command.args(["-c", &line]);
    let said = dv_tests::said(command);
    let said = said.refused(&["cannot write ", "models.safetensors: files may not grow so large here"]);
    assert!(!said.err.contains("defect"), "{}", said.err);
    place.call("run").arg("--resume").run().done();
    place.verify("run").done();
    let mode = |mode: &str| assert!(Command::new("chmod").args([mode, &out]).status().unwrap().success());
    // root may write where nobody may
    if !nobody_is_kept_out() {
        mode("a-w");
        place.call("run").args(["--stage", "gallery"]).run().refused(&["cannot "]);
        mode("u+w");
    }
}

fn nobody_is_kept_out() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0\n"))
}

/// Two processes run points of one sweep: the stage that they share is computed by one, and the other takes it over.
#[test]
fn points_that_run_at_once_share_a_stage() {
    let place = Place::new();
    let sweep = fs::read_to_string(&place.graph).unwrap() + "[sweep]\n\"stages.gallery.batch\" = [2, 4]\n";
    fs::write(&place.graph, sweep).unwrap();
    let start = |value: &str, epochs: u32| {
        let mut command = Command::new(program());
        let paths = [&place.graph, &place.path("data"), &place.path("sweep")].map(|path| path.display().to_string());
        command.args(["run", &paths[0], "--data", &paths[1], "--out", &paths[2], "--compute-threads", "1"]);
        command.args(["--point", &format!("batch={value}"), "--set", &format!("stages.learn.epochs={epochs}")]);
        for name in ["LD_LIBRARY_PATH", "LIBTORCH", "DV_LIBTORCH", "DV_DATA", "OMP_NUM_THREADS"] {
            command.env_remove(name);
        }
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    // Ctrl-C ends one that waits, while the other trains
    let mut first = start("2", 100_000);
    let begun = Instant::now();
    while !fs::read_to_string(place.path("sweep/batch=2/run.json")).is_ok_and(|text| text.contains("\"learn\"")) {
        assert!(begun.elapsed() < Duration::from_secs(60) && first.try_wait().unwrap().is_none(), "the first point trains");
        std::thread::sleep(Duration::from_millis(2));
    }
    let second = start("4", 100_000);
    while !place.path("sweep/batch=4/run.json").exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the second point begins");
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(Command::new("kill").args(["-INT", &second.id().to_string()]).status().unwrap().success());
    assert_eq!(second.wait_with_output().unwrap().status.code(), Some(130));
    assert!(first.try_wait().unwrap().is_none(), "the first point still trains");
    first.kill().unwrap();
    first.wait().unwrap();
    fs::remove_dir_all(place.path("sweep")).unwrap();
    let outputs = ["2", "4"].map(|value| start(value, 30)).map(|child| child.wait_with_output().unwrap());
    let said: Vec<String> = outputs.iter().map(|output| String::from_utf8_lossy(&output.stderr).into_owned()).collect();
    assert!(outputs.iter().all(|output| output.status.success()), "{said:#?}");
    let trained = said.iter().filter(|said| said.contains("stage learn\n")).count();
    let taken = said.iter().filter(|said| said.contains("stage learn: as in batch=")).count();
    assert_eq!((trained, taken), (1, 1), "{said:#?}");
    place.verify("sweep").done();
    for point in ["batch=2", "batch=4"] {
        assert!(place.path("sweep").join(point).join("files/gallery/table.rows.safetensors").exists(), "{point}");
    }
}
