//! The small program as users call it: what it needs, what it says, what it starts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn dv(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dv")).args(args).env_remove("DV_LIBTORCH").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An empty folder for one test.
fn folder(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// A libtorch as far as `dv` looks at one.
fn libtorch(torch: &Path, version: &str) {
    fs::create_dir_all(torch.join("lib")).unwrap();
    for file in ["libtorch_cpu.so", "libc10.so"] {
        fs::write(torch.join("lib").join(file), "").unwrap();
    }
    fs::write(torch.join("version.py"), format!("from x import y\n__version__ = '{version}'\ndebug = False\n")).unwrap();
}

#[test]
fn status_of_the_command_line() {
    let verbs = [&["--help"][..], &["help"], &["run", "--help"], &["pack", "-h"], &["bench", "data", "--help"], &["--version"]];
    for args in verbs {
        let output = dv(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(output.stderr.is_empty() && !output.stdout.is_empty(), "{args:?}");
    }
    let wrong = [
        &[][..],
        &["walk"],
        &["run"],
        &["run", "g.toml", "--device", "gpu"],
        &["run", "g.toml", "--set", "batch"],
        &["check"],
        &["generate", "motion"],
        &["pack", "folder", "--videos", "v", "--out", "o"],
        &["pack", "ucf101", "--videos", "v", "--out", "o", "--codec", "mp4"],
    ];
    for args in wrong {
        let output = dv(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn faults_of_the_input_name_the_place() {
    let dir = folder("faults");
    for verb in ["inspect", "verify"] {
        let output = dv(&[verb, "no/such/set"]);
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stderr);
        assert!(said.starts_with("error: ") && said.contains("no/such/set"), "{said}");
    }
    let output = dv(&["generate", "motion", "--out", dir.to_str().unwrap()]);
    let said = text(&output.stderr);
    // Without ffmpeg that is what it says first.
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("exists: remove it") || said.contains("ffmpeg"), "{said}");
}

#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dv"));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command.arg("--version").stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn a_wrong_libtorch_is_told() {
    let dir = folder("wrong");
    let run = |place: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dv"));
        let output = command.args(["run", "g.toml"]).env("DV_LIBTORCH", place).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        text(&output.stderr)
    };
    let said = run(&dir);
    assert!(said.contains("no libtorch_cpu.so") && said.contains("cargo xtask setup"), "{said}");
    libtorch(&dir, "2.10.0+cpu");
    let said = run(&dir);
    assert!(said.contains("2.10.0+cpu") && said.contains("exactly 2.11.0"), "{said}");
    fs::remove_file(dir.join("lib/libc10.so")).unwrap();
    assert!(run(&dir).contains("libc10.so is missing"));
}

/// A copy of dv with an engine beside it that says how it was started.
#[test]
fn the_engine_gets_the_same_arguments_and_its_environment() {
    let dir = folder("engine");
    let program = dir.join("bin/dv");
    fs::create_dir_all(dir.join("bin")).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_dv"), &program).unwrap();
    let start = |args: &[&str], libtorch: Option<&Path>| {
        let mut command = Command::new(&program);
        command.args(args).env_remove("DV_LIBTORCH").env("LD_LIBRARY_PATH", "/elsewhere").env_remove("OMP_NUM_THREADS");
        if let Some(path) = libtorch {
            command.env("DV_LIBTORCH", path);
        }
        command.output().unwrap()
    };
    let args = ["run", "a graph.toml", "--set", "x=[1, 2]", "--compute-threads", "3"];

    // In an environment, by its root; in a checkout, above the program.
    let torch = dir.join("env/lib/python3.12/site-packages/torch");
    libtorch(&torch, "2.11.0+cu130");
    let said = text(&start(&args, Some(&dir.join("env"))).stderr);
    assert!(said.contains("dv-engine is missing"), "{said}");

    let engine = dir.join("bin/dv-engine");
    let script = "#!/bin/sh\nprintf '%s\\n' \"$@\" $LD_LIBRARY_PATH $OMP_WAIT_POLICY $OMP_NUM_THREADS\nexit 7\n";
    fs::write(&engine, script).unwrap();
    fs::set_permissions(&engine, fs::Permissions::from_mode(0o755)).unwrap();
    for place in [dir.join("env"), torch.clone(), torch.join("lib"), torch.join("..")] {
        let output = start(&args, Some(&place));
        assert_eq!(output.status.code(), Some(7), "{}", text(&output.stderr));
        let said = text(&output.stdout);
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines[..6], args);
        assert!(lines[6].ends_with("torch/lib:/elsewhere"), "{}", lines[6]);
        assert_eq!(lines[7..], ["PASSIVE", "3"]);
    }

    // a program of another name has an engine of its own
    let own = dir.join("bin/own-dv");
    fs::copy(&program, &own).unwrap();
    let call = || Command::new(&own).arg("nodes").env("DV_LIBTORCH", &torch).output().unwrap();
    assert!(text(&call().stderr).contains("own-dv-engine is missing"));
    fs::copy(&engine, dir.join("bin/own-dv-engine")).unwrap();
    assert_eq!(call().status.code(), Some(7));

    libtorch(&dir.join(".deps/libtorch"), "2.11.0+cu130");
    let output = start(&["nodes"], None);
    let lib = dir.join(".deps/libtorch/lib");
    assert!(text(&output.stdout).contains(&format!("{}:/elsewhere", lib.display())));
}
