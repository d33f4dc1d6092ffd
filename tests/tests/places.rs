//! Paths that are odd or of the wrong sort, devices that are not there, memory and disks that are too small.

use dv_tests::ffmpegs::skip;
use dv_tests::{packed_set, program, Call, Probe, Said, TINY};
use std::fs;
use std::path::Path;
use std::process::Command;
use tch::{Device, Kind, Tensor};

fn tiny(dir: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let (file, data) = (dir.join("tiny graph.toml"), dir.join("packed sets"));
    fs::create_dir_all(dir).unwrap();
    fs::write(&file, TINY).unwrap();
    packed_set(&data, "tiny", (32, 32), 8);
    (file, data)
}

fn run(file: &Path, data: &Path, out: &Path) -> Call {
    Call::new("run", file).path("--data", data).path("--out", out).args(["--threads", "1", "--compute-threads", "1"])
}

#[test]
fn paths_with_spaces_and_letters_of_other_scripts() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("Vidéos 動画 ü");
    let (file, data) = tiny(&home);
    for verb in ["check", "show"] {
        Call::new(verb, &file).path("--data", &data).run().done();
    }
    Call::new("diff", &file).arg(file.to_str().unwrap()).run().done();
    run(&file, &data, &home.join("un résultat")).run().done();
    assert!(home.join("un résultat/result.json").is_file());
    Call::new("inspect", data.join("tiny")).run().done();
    Call::new("verify", data.join("tiny")).run().done();
    let weights = home.join("un résultat/checkpoints/learn/00002/models.safetensors");
    let clips = Tensor::zeros([2, 3, 8, 32, 32], (Kind::Float, Device::Cpu));
    let probe = Probe::new(&file, "learn").with(|call| call.path("--weights", &weights));
    assert_eq!(probe.feed("normal.clips", &clips).fetch(["pool.features"]).values()["pool.features"].size()[0], 2);
}

#[test]
fn a_folder_where_a_file_was_meant_and_the_other_way_round() {
    let dir = tempfile::tempdir().unwrap();
    let (file, data) = tiny(dir.path());
    let folder = dir.path().join("a folder");
    fs::create_dir(&folder).unwrap();
    let here = folder.to_str().unwrap();
    for verb in ["check", "show", "run"] {
        Call::new(verb, &folder).run().refused(&[here, "it is a folder"]);
    }
    Call::new("diff", &file).arg(here).run().refused(&[here, "it is a folder"]);
    Call::new("bench", "data").arg(here).run().refused(&[here, "it is a folder"]);
    let clips = Tensor::zeros([2, 3, 8, 32, 32], (Kind::Float, Device::Cpu));
    let probe = |change: &dyn Fn(Call) -> Call| {
        Probe::new(&file, "learn").with(change).feed("normal.clips", &clips).fetch(["pool.features"]).said()
    };
    probe(&|call| call.path("--weights", &folder)).refused(&[here, "is a folder"]);
    let out = Call::new("probe", &file).args(["--stage", "learn", "--fetch", "after.head/weight"]);
    out.path("--out", &folder).run().refused(&[here, "it is a folder"]);

    let text = file.to_str().unwrap();
    run(&file, &file, &dir.path().join("out")).run().refused(&[text, "is a file", "--data DIR"]);
    run(&file, &data, &file).run().refused(&[text, "is a file", "--out DIR"]);
    for verb in ["inspect", "verify"] {
        Call::new(verb, &file).run().refused(&[text]);
    }
    let pack = |videos: &Path, out: &Path| {
        let call = Call::default().args(["pack", "folder", "--size", "32x32", "--filter", "bilinear"]);
        call.path("--videos", videos).path("--out", out).run()
    };
    pack(&file, &dir.path().join("set")).refused(&[text]);
    pack(&folder, &file).refused(&[text]);
    Call::default().args(["generate", "motion"]).path("--out", &file).run().refused(&[text]);
}

#[test]
fn devices_that_are_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let (file, data) = tiny(dir.path());
    // no machine has so many cards; some have one
    let mut absent = vec!["cuda:99"];
    match Path::new("/proc/driver/nvidia/gpus").exists() {
        true => skip("this machine has an NVIDIA card, so that it is not tested that `--device cuda` is refused where there is none"),
        false => absent.push("cuda"),
    }
    for device in absent {
        let told = ["no such device", "--device cpu"];
        run(&file, &data, &dir.path().join("out")).args(["--device", device]).run().refused(&told);
        let clips = Tensor::zeros([2, 3, 8, 32, 32], (Kind::Float, Device::Cpu));
        let probe = Probe::new(&file, "learn").with(|call| call.args(["--device", device]));
        probe.feed("normal.clips", &clips).fetch(["pool.features"]).said().refused(&told);
    }
}

/// `dv` under limits of the shell.
fn limited(limit: &str, call: &[&str]) -> Said {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{limit}; exec \"$0\" \"$@\"")]).arg(program()).args(call);
    dv_tests::said(command)
}

#[test]
fn memory_that_runs_out() {
    let dir = tempfile::tempdir().unwrap();
    let (file, _) = tiny(dir.path());
    // a network of a width whose parameters alone are beyond the limit
    let told = limited(
        "ulimit -v 6000000",
        &["run", file.to_str().unwrap(), "--smoke", "--set", "models.encoder.width=2048", "--threads", "1", "--compute-threads", "1"],
    );
    told.refused(&["out of memory", "reduce"]).never_says(&["defect", "panicked"]);
}

/// The second epoch's checkpoint does not fit; the first one's stays whole, and so does the last result.
#[test]
fn a_disk_that_is_full() {
    let dir = tempfile::tempdir().unwrap();
    let (file, data) = tiny(dir.path());
    let whole = dir.path().join("whole");
    run(&file, &data, &whole).run().done();
    let models = whole.join("checkpoints/learn/00001/models.safetensors");
    let blocks = fs::metadata(&models).unwrap().len() / 1024;
    let out = dir.path().join("cut");
    // no file may be larger than half of a checkpoint; a write beyond it fails, as on a full disk
    let call = ["run", file.to_str().unwrap(), "--data", data.to_str().unwrap(), "--out", out.to_str().unwrap(), "--threads", "1"];
    limited(&format!("trap '' XFSZ; ulimit -f {}", blocks), &call).refused(&["cannot write", "models.safetensors"]);
    assert!(out.join("graph.toml").is_file() && !out.join("checkpoints/learn/00001/state.json").exists());
    let left = fs::read_dir(out.join("checkpoints/learn/00001")).unwrap().count();
    assert_eq!(left, 0, "what was begun is taken away");
}
