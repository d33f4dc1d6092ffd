//! Files that never end or never begin, names that are paths or escape sequences, numbers that nothing can hold: each is refused, with its
//! file and its reason, before anything is read, made or allocated.

use dv_tests::{packed_set, program, Call, Said, TINY};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

fn fifo(path: &Path) {
    let _ = fs::remove_file(path);
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// A call that may not hang.
fn dv(args: &[&str]) -> Said {
    let mut command = Command::new("timeout");
    command.arg("60").arg(program()).args(args);
    dv_tests::said(command)
}

struct Place {
    dir: tempfile::TempDir,
    graph: PathBuf,
    data: PathBuf,
}

impl Place {
    /// The small graph with a change, and its set.
    fn new(from: &str, to: &str) -> Place {
        let dir = tempfile::tempdir().unwrap();
        let (graph, data) = (dir.path().join("g.toml"), dir.path().join("data"));
        assert!(TINY.contains(from));
        fs::write(&graph, TINY.replace(from, to)).unwrap();
        packed_set(&data, "tiny", (32, 32), 8);
        Place { dir, graph, data }
    }
    fn call(&self, verb: &str, more: &[&str]) -> Said {
        let (graph, data) = (self.graph.to_str().unwrap(), self.data.to_str().unwrap());
        dv(&[&[verb, graph, "--data", data], more].concat())
    }
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

#[test]
fn what_is_no_regular_file_is_refused_and_never_waited_for() {
    const FIFO: &str = "it is a FIFO, not a regular file";
    let place = Place::new("schema = 1\n", "extends = 'upper.toml'\nschema = 1\n");
    let upper = place.path("upper.toml");
    fifo(&upper);
    place.call("check", &[]).refused(&["g.toml:1:11", "error[no-file]", "upper.toml", FIFO]);
    dv(&["check", upper.to_str().unwrap()]).refused(&["upper.toml:1:1", FIFO]);
    fs::remove_file(&upper).unwrap();
    File::create(&upper).unwrap().set_len(1 << 33).unwrap();
    place.call("check", &[]).refused(&["g.toml:1:11", "it is larger than 1 MB, the limit of a graph file"]);
    dv(&["show", "/dev/zero"]).refused(&["/dev/zero", "it is a device, not a regular file"]);

    let place = Place::new("", "");
    let set = place.data.join("tiny");
    for file in ["shards/rgb-00000.dvs", "catalogue.dvc", "set.json"] {
        fifo(&set.join(file));
        place.call("check", &[]).refused(&["error[wrong-set]", file, FIFO]);
        dv(&["inspect", set.to_str().unwrap()]).refused(&[file, FIFO]);
        dv(&["verify", set.to_str().unwrap()]).refused(&[file, FIFO]);
    }
    let splits = place.path("splits.csv");
    fifo(&splits);
    let (videos, out) = (place.path("videos"), place.path("packed"));
    fs::create_dir(&videos).unwrap();
    let pack =
        ["pack", "folder", "--size", "8x8", "--filter", "bicubic", "--videos", videos.to_str().unwrap(), "--out", out.to_str().unwrap()];
    dv(&[&pack[..], &["--splits", splits.to_str().unwrap()]].concat()).refused(&["splits.csv"]);
}

#[test]
fn weights_and_feeds_are_regular_files() {
    const FIFO: &str = "it is a FIFO, not a regular file";
    let place = Place::new("", "");
    let file = place.path("w.safetensors");
    fifo(&file);
    let (file, out) = (file.to_str().unwrap(), place.path("out.safetensors"));
    let weights = format!("stages.learn.weights={{ \"*\" = {{ file = \"{file}\" }} }}");
    let run = place.path("run");
    place.call("run", &["--out", run.to_str().unwrap(), "--set", &weights, "--compute-threads", "1"]).refused(&[file, FIFO]);
    let feed = format!("normal.clips={file}#clips");
    let probe = ["--stage", "learn", "--fetch", "pool.features", "--out", out.to_str().unwrap()];
    place.call("probe", &[&probe[..], &["--feed", &feed]].concat()).refused(&[file, FIFO]);
    place.call("probe", &[&probe[..], &["--weights", file]].concat()).refused(&[file, FIFO]);
}

#[test]
fn a_set_is_a_folder_below_the_data() {
    let elsewhere = tempfile::tempdir().unwrap();
    let absolute = elsewhere.path().join("absolute");
    let too_long = "x".repeat(256);
    for name in ["../elsewhere", absolute.to_str().unwrap(), "..", "", ".hidden", "a/b", "a\\nb", &too_long] {
        let place = Place::new("set = \"tiny\"", &format!("set = \"{name}\""));
        for call in [&["check"][..], &["run", "--smoke", "--compute-threads", "1"]] {
            let told = place.call(call[0], &call[1..]).refused(&["error[", "g.toml:22:"]);
            assert!(told.err.contains("cannot be the name of a packed set") || name.is_empty(), "{}", told.err);
        }
        let left: Vec<_> = fs::read_dir(place.dir.path()).unwrap().map(|f| f.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "only the graph and its data: {left:?}");
    }
    assert!(!absolute.exists());
}

#[test]
fn nothing_that_a_terminal_obeys_is_printed() {
    let place = Place::new(
        "about  = \"labels on a small network\"",
        "about  = \"red\\u001b[31m \\u202e txet\"\n\"k\\u001b]0;title\\u0007\\nerror: forged\" = \"raw \u{9b}2J \u{202e}\"",
    );
    let odd = place.path("g\u{1b}[2J\nforged: ok\u{202e}.toml");
    fs::copy(&place.graph, &odd).unwrap();
    for said in [
        place.call("check", &[]),
        dv(&["check", odd.to_str().unwrap()]),
        dv(&["show", place.path("none\u{1b}[2J\nforged: ok.toml").to_str().unwrap()]),
        dv(&["inspect", place.path("none\u{1b}[2J\nforged: ok").to_str().unwrap()]),
    ] {
        assert_eq!(said.status, Some(1), "{}", said.err);
        let all = format!("{}{}", said.out, said.err);
        let obeyed = |c: &char| c.is_control() && *c != '\n' && *c != '\t' || "\u{202e}\u{9b}".contains(*c);
        assert!(!all.chars().any(|c| obeyed(&c)), "{all:?}");
        assert!(!all.lines().any(|l| l.starts_with("forged") || l.starts_with("error: forged")), "{all}");
        assert!(all.contains("\\u001b"), "{all}");
    }
    // what is taken is printed in the same way
    let place = Place::new("labels on a small network", "red\\u001b[31m \\u202e txet");
    let shown = place.call("show", &[]).done();
    assert!(shown.out.contains("\\u001b[31m \\u202e txet"), "{}", shown.out);
}

/// A number that overflows is an error with its place, in the check, and not other frames or an abort in the run.
#[test]
fn numbers_that_nothing_can_hold() {
    for (from, to, place) in [
        ("length = 8", "length = 1000000000000", "g.toml:23:"),
        ("length = 8", "length = 9223372036854775807", "g.toml:23:"),
        ("width = 4", "width = 9223372036854775807", "g.toml:"),
        ("width = 4", "width = 1000000", "g.toml:"),
        ("classes = 12", "classes = 9223372036854775807", "g.toml:"),
        ("batch      = 4", "batch = 9223372036854775807", "g.toml:"),
    ] {
        let told = Place::new(from, to).call("check", &[]).refused(&[place, "error["]);
        told.never_says(&["defect", "panicked"]);
    }
}

#[test]
fn a_graph_of_50_kilobytes_that_took_ten_gigabytes() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("g.toml");
    fs::write(&file, TINY.to_string() + &(0..8000).map(|i| format!("[x{i}]\n")).collect::<String>()).unwrap();
    let said = Call::new("check", &file).run().refused(&["a graph has no `x0`", "and 7,900 more", "8000 errors"]);
    assert_eq!(said.err.matches("error[").count(), 100);
}
