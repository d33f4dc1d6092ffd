//! Packing as users do it, where something goes wrong. A script stands in for ffmpeg, so that none is needed.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// A frame of 64x64 that is noise to zstd: 12 kB in a shard.
const FRAME: &str = "printf 'P6\\n64 64\\n255\\n'; head -c 12288 /dev/urandom";

struct Place(PathBuf);

impl Place {
    /// An empty folder for one test, with `count` files to pack.
    fn new(name: &str, count: usize) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("the videos")).unwrap();
        for i in 0..count {
            fs::write(dir.join("the videos").join(format!("ü {i}.avi")), "a video").unwrap();
        }
        Self(dir)
    }

    fn ffmpeg(&self, body: &str) -> PathBuf {
        let (text, program) = (self.0.join("ffmpeg.txt"), self.0.join("ffmpeg"));
        fs::write(&text, format!("#!/bin/sh\n[ \"$1\" = -version ] && echo ffmpeg version 7.0 && exit\n{body}\n")).unwrap();
        fs::set_permissions(&text, fs::Permissions::from_mode(0o755)).unwrap();
        // By another process, see `no_ffmpeg_of_the_current_folder`.
        assert!(Command::new("cp").arg("-p").args([&text, &program]).status().unwrap().success());
        program
    }

    /// `dv pack` of the videos to `out` below the place, by `sh` with `before` said first.
    fn command(&self, before: &str, out: &str, body: &str) -> Command {
        let mut command = Command::new("sh");
        let pack = "pack folder --size 64x64 --filter bilinear --threads 2 --videos 'the videos'";
        command.args(["-c", &format!("{before}\nexec '{}' {pack} --out '{out}'", env!("CARGO_BIN_EXE_dv"))]);
        command.current_dir(&self.0).env("DV_FFMPEG", self.ffmpeg(body));
        command
    }

    fn left(&self) -> Vec<String> {
        let names = fs::read_dir(&self.0).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned());
        names.filter(|n| n.starts_with("the set")).collect()
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn skip(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIP: {why}");
}

#[test]
fn a_limit_on_files() {
    let place = Place::new("limit", 40);
    // 100 blocks of 512 bytes.
    let output = place.command("ulimit -f 100", "the set", FRAME).output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("the set is not made; ") && said.contains("the set.partial: the same command goes on with them"), "{said}");
    assert!(said.contains("rgb-00000.dvs: files may not grow so large here") && said.contains("File too large"), "{said}");
    assert_eq!(place.left(), ["the set.partial"]);
    // Where the limit is gone it goes on.
    let said = text(&place.command("", "the set", FRAME).output().unwrap());
    assert!(said.contains(" files were done by an earlier call") && said.contains("the set: 40 videos"), "{said}");
    assert_eq!(place.left(), ["the set"]);
}

/// A real full disk: a file system of 1 MB in a namespace of its own.
#[test]
fn a_full_disk() {
    let place = Place::new("full", 200);
    let disk = place.0.join("disk");
    fs::create_dir(&disk).unwrap();
    let mount = "mount -t tmpfs -o size=1m tmpfs disk";
    let try_it = Command::new("unshare").args(["-rm", "sh", "-c", mount]).current_dir(&place.0).output();
    if !try_it.is_ok_and(|output| output.status.success()) {
        return skip("no file system of its own for a test of a full disk (`unshare -rm` and tmpfs)");
    }
    let inner = place.command("", "disk/the set", FRAME);
    let script = format!("{mount}\n({})\necho status $?\nls -A disk >&2", inner.get_args().nth(1).unwrap().to_str().unwrap());
    let output =
        Command::new("unshare").args(["-rm", "sh", "-c", &script]).current_dir(&place.0).env("DV_FFMPEG", place.0.join("ffmpeg")).output();
    let output = output.unwrap();
    let said = text(&output);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "status 1\n", "{said}");
    assert!(
        said.contains("disk/the set is not made; ") && said.contains("disk/the set.partial: the same command goes on with them"),
        "{said}"
    );
    assert!(said.contains("the disk is full: make room on it, or give an --out on another disk"), "{said}");
    assert!(said.trim_end().ends_with("No space left on device (os error 28)\nthe set.partial"), "{said}");
}

#[test]
fn a_pack_at_work_is_left_alone() {
    let place = Place::new("two", 3);
    let slow = format!("{FRAME}; sleep 3");
    let mut child = place.command("", "the set", &slow).spawn().unwrap();
    let start = Instant::now();
    while !place.0.join("the set.partial/journal").exists() {
        assert!(start.elapsed() < Duration::from_secs(60), "nothing was begun");
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = place.command("", "the set", &slow).output().unwrap();
    assert!(text(&output).contains("another dv is packing the set just now"), "{}", text(&output));
    child.kill().unwrap();
    child.wait().unwrap();
}

/// With `kill -9` nothing of dv can run any more: still all that it has started ends, scripts, their children, and what ignores signals.
#[test]
fn nothing_outlives_a_killed_pack() {
    let place = Place::new("outlive", 4);
    let body = "trap '' HUP INT TERM PIPE; sleep 61 & echo $$ $! >> \"$PIDS\"; wait; sleep 62";
    let pids = place.0.join("pids");
    let mut child = place.command("", "the set", body).env("PIDS", &pids).spawn().unwrap();
    let start = Instant::now();
    let started = || fs::read_to_string(&pids).unwrap_or_default();
    while started().lines().count() < 2 {
        assert!(start.elapsed() < Duration::from_secs(60), "nothing was started");
        std::thread::sleep(Duration::from_millis(20));
    }
    // As Ctrl-C or a shell that hangs up may do to all of a group: what watches over them is to stay.
    child.kill().unwrap();
    child.wait().unwrap();
    let alive = |pid: &str| fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    let start = Instant::now();
    while started().split_whitespace().any(alive) {
        assert!(start.elapsed() < Duration::from_secs(10), "{} live on", started());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A program in the current folder, or above it, is none of the user's choice.
#[test]
fn no_ffmpeg_of_the_current_folder() {
    let place = Place::new("foreign", 1);
    let deps = place.0.join(".deps/ffmpeg");
    fs::create_dir_all(&deps).unwrap();
    let ran = place.0.join("ran");
    fs::rename(place.ffmpeg(&format!("touch '{}'", ran.display())), deps.join("ffmpeg")).unwrap();
    fs::copy(deps.join("ffmpeg"), place.0.join("ffmpeg")).unwrap();
    let below = place.0.join("the videos");
    // Alone in a folder of its own, so that none is above the executable.
    let elsewhere = std::env::temp_dir().join(format!("dv-foreign-{}", std::process::id()));
    fs::create_dir_all(&elsewhere).unwrap();
    let dv = elsewhere.join("dv");
    // By another process: while this one had it open, one that another test starts would have it too, and none could run it.
    assert!(Command::new("cp").args([Path::new(env!("CARGO_BIN_EXE_dv")), &dv]).status().unwrap().success());
    let mut command = Command::new(&dv);
    command.args(["pack", "folder", "--size", "8x8", "--filter", "bilinear", "--videos", ".", "--out", "../set"]);
    let output = command.current_dir(&below).env_remove("DV_FFMPEG").env("PATH", ":.:..").output();
    fs::remove_dir_all(&elsewhere).unwrap();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("ffmpeg not found: neither on PATH nor at .deps/ffmpeg/ffmpeg above dv"), "{}", text(&output));
    assert!(!ran.exists());
}

#[test]
fn files_for_folders() {
    let place = Place::new("swapped", 1);
    fs::write(place.0.join("file"), "").unwrap();
    let pack = |videos: &str, splits: &str, out: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dv"));
        command.args(["pack", "ucf101", "--videos", videos, "--splits", splits, "--out", out]);
        let output = command.current_dir(&place.0).env("DV_FFMPEG", place.ffmpeg(FRAME)).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        text(&output)
    };
    fs::write(place.0.join("s.csv"), "path,class,split\nü 0.avi,a,train\n").unwrap();
    assert!(pack("file", "s.csv", "o").contains("file is a file: give the folder that holds the videos"));
    assert!(pack("none", "s.csv", "o").contains("no folder of videos at none"));
    assert!(pack("the videos", "none", "o").contains("cannot read the splits none"));
    assert!(pack("the videos", "file", "o").contains("file:1: is empty: its first line must be path,class,split"));
    assert!(pack("the videos", "the videos", "o").contains("no split list in the videos"));
    let said = pack("the videos", "s.csv", "file/o");
    assert!(said.contains("cannot create file"), "{said}");
    assert!(pack("the videos", "s.csv", "file").contains("file exists already: give another --out"));
}
