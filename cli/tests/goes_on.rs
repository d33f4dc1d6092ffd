//! Packs that end early and go on, and sets that are updated, as users do it. A script stands in for ffmpeg.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Frames that depend on the file's content alone: as many as its first line says, and a note of each file that is decoded.
const DECODE: &str = r#"
for name; do case $name in file:*) file=${name#file:} ;; esac; done
[ -n "$DECODED" ] && echo "$file" >> "$DECODED"
read -r frames < "$file"
[ "$frames" = none ] && { echo '[error] Invalid data found' >&2; exit 1; }
while [ "$frames" -gt 0 ]; do
    printf 'P6\n64 64\n255\n'
    yes "$(cat "$file") $frames" | head -c 12288
    frames=$((frames - 1))
    [ -z "$SLOW" ] || sleep 0.01
done
"#;

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("goes_on-{name}"));
        let _ = fs::remove_dir_all(&dir);
        let place = Self(dir);
        for (i, frames) in ["3", "1", "none", "5", "2", "2", "4", "none", "1", "6"].iter().enumerate() {
            place.write(&format!("{}/{i}.avi", if i < 6 { "a" } else { "b" }), &format!("{frames}\nvideo {i}\n"));
        }
        let ffmpeg = place.0.join("ffmpeg");
        let text = place.0.join("ffmpeg.txt");
        fs::write(&text, format!("#!/bin/sh\n[ \"$1\" = -version ] && echo ffmpeg version 7.0 && exit\n{DECODE}")).unwrap();
        fs::set_permissions(&text, fs::Permissions::from_mode(0o755)).unwrap();
        // By another process: while this one had it open, one that another test starts would have it too, and none could run it.
        assert!(Command::new("cp").arg("-p").args([&text, &ffmpeg]).status().unwrap().success());
        place
    }

    fn write(&self, path: &str, content: &str) {
        let file = self.0.join("videos").join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }

    fn command(&self, out: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dv"));
        command.args(["pack", "folder", "--size", "64x64", "--filter", "bilinear", "--threads", "2", "--videos", "videos", "--out", out]);
        command.args(more).current_dir(&self.0).env("DV_FFMPEG", self.0.join("ffmpeg"));
        command
    }

    fn pack(&self, out: &str, more: &[&str]) -> String {
        done(&self.command(out, more).output().unwrap())
    }

    /// Every file of a set.
    fn bytes(&self, out: &str) -> BTreeMap<String, Vec<u8>> {
        let set = self.0.join(out);
        let mut files = BTreeMap::new();
        for dir in [set.clone(), set.join("shards")] {
            for entry in fs::read_dir(&dir).unwrap().flatten().filter(|entry| entry.path().is_file()) {
                files.insert(entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).unwrap());
            }
        }
        files
    }

    fn fingerprint(&self, out: &str) -> String {
        let set = String::from_utf8(self.bytes(out).remove("set.json").unwrap()).unwrap();
        set.lines().find(|line| line.contains("\"fingerprint\"")).unwrap().to_owned()
    }

    /// The names of the files that were decoded since.
    fn decoded(&self) -> Vec<String> {
        let file = self.0.join("decoded");
        let text = fs::read_to_string(&file).unwrap_or_default();
        let _ = fs::remove_file(file);
        let mut names: Vec<String> = text.lines().map(str::to_owned).collect();
        names.sort();
        names
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn done(output: &Output) -> String {
    let said = text(output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    said
}

/// Random enough to hit every moment.
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// However often it is killed, the pack ends in the bytes of an undisturbed one. `DV_KILLS`: how many kills at least.
#[test]
fn kills_at_random_moments() {
    let kills: usize = std::env::var("DV_KILLS").map_or(5, |n| n.parse().unwrap());
    let place = Place::new("kills");
    place.pack("whole/set", &[]);
    let whole = place.bytes("whole/set");
    let mut state = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
    println!("seed {state}");
    let (mut killed, mut continued) = (0, 0);
    while killed < kills {
        let _ = fs::remove_dir_all(place.0.join("set"));
        loop {
            let mut child = place.command("set", &[]).env("SLOW", "1").stderr(std::process::Stdio::piped()).spawn().unwrap();
            let until = Instant::now() + Duration::from_millis(random(&mut state) % 400);
            let ended = loop {
                match child.try_wait().unwrap() {
                    Some(_) => break true,
                    None if Instant::now() > until => break false,
                    None => std::thread::sleep(Duration::from_millis(1)),
                }
            };
            if !ended {
                child.kill().unwrap();
                killed += 1;
            }
            let output = child.wait_with_output().unwrap();
            continued += usize::from(text(&output).contains("were done by an earlier call"));
            if place.0.join("set").exists() {
                break;
            }
            assert!(!ended, "{}", text(&output));
        }
        assert!(place.bytes("set") == whole, "another set after {killed} kills");
        // A kill after the set had its name leaves a folder, which the next pack of that name takes away.
        let verify = Command::new(env!("CARGO_BIN_EXE_dv")).args(["verify", "set"]).current_dir(&place.0).output().unwrap();
        assert!(verify.status.success());
    }
    println!("{killed} kills; {continued} packs went on");
}

#[test]
fn signals_leave_what_is_packed() {
    let place = Place::new("signals");
    place.pack("whole/set", &[]);
    for signal in ["INT", "TERM", "HUP"] {
        let _ = fs::remove_dir_all(place.0.join("set"));
        // One file never ends, and is not waited for.
        place.write("b/9.avi", "100000\nvideo 9\n");
        let child = place.command("set", &[]).env("SLOW", "1").stderr(std::process::Stdio::piped()).spawn().unwrap();
        let journal = place.0.join("set.partial/journal");
        let start = Instant::now();
        while fs::read_to_string(&journal).map_or(0, |text| text.lines().count()) < 5 {
            assert!(start.elapsed() < Duration::from_secs(60), "nothing was packed");
            std::thread::sleep(Duration::from_millis(5));
        }
        let start = Instant::now();
        assert!(Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert!(start.elapsed() < Duration::from_secs(5), "{signal}: {:?}", start.elapsed());
        assert_eq!(output.status.code(), Some(130), "{}", text(&output));
        let said = text(&output);
        assert!(said.contains("interrupted: set is not made; ") && said.contains("set.partial: the same command goes on"), "{said}");
        place.write("b/9.avi", "6\nvideo 9\n");
        let said = place.pack("set", &[]);
        assert!(said.contains("were done by an earlier call"), "{said}");
        assert!(place.bytes("set") == place.bytes("whole/set"), "{signal}");
    }
}

/// A kill while the last files are written leaves them, or files of temporary names, beside the shards.
#[test]
fn what_a_kill_at_the_end_leaves_is_no_part_of_the_set() {
    let place = Place::new("end");
    place.pack("whole/set", &[]);
    let mut child = place.command("set", &[]).env("SLOW", "1").stderr(std::process::Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while fs::read_to_string(place.0.join("set.partial/journal")).map_or(0, |text| text.lines().count()) < 3 {
        assert!(start.elapsed() < Duration::from_secs(60), "nothing was packed");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let set = place.0.join("set.partial/set");
    for (name, content) in [(".dv-temporary-7-0", "half a catal"), ("shards/.dv-temporary-7-1", ""), ("catalogue.dvc", "of fewer videos")] {
        fs::write(set.join(name), content).unwrap();
    }
    assert!(place.pack("set", &[]).contains("were done by an earlier call"));
    assert!(place.bytes("set") == place.bytes("whole/set"));
}

/// What is not as it was when the pack began.
#[test]
fn a_pack_goes_on_only_as_it_began() {
    let place = Place::new("changed");
    let stop = |place: &Place| {
        place.write("b/8.avi", "100000\nvideo 8\n");
        let mut child = place.command("set", &[]).env("SLOW", "1").stderr(std::process::Stdio::piped()).spawn().unwrap();
        let start = Instant::now();
        while fs::read_to_string(place.0.join("set.partial/journal")).map_or(0, |text| text.lines().count()) < 9 {
            assert!(start.elapsed() < Duration::from_secs(60), "nothing was packed");
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        place.write("b/8.avi", "1\nvideo 8\n");
    };
    stop(&place);
    let output = place.command("set", &["--codec", "yuv420"]).output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("set.partial holds a pack that was begun otherwise (codec rgb, now yuv420)"), "{said}");
    // A video that has changed meanwhile, and one that is new, are packed as they are now, and all behind them.
    place.write("a/4.avi", "3\nanother video 4\n");
    place.pack("whole/set", &[]);
    place.decoded();
    let output = place.command("set", &[]).env("DECODED", place.0.join("decoded")).output().unwrap();
    let said = done(&output);
    assert!(said.contains("4 files were done by an earlier call"), "{said}");
    assert_eq!(place.decoded().first().map(String::as_str), Some("4.avi"));
    assert!(place.bytes("set") == place.bytes("whole/set"));
    // A shard that was damaged meanwhile.
    fs::remove_dir_all(place.0.join("set")).unwrap();
    stop(&place);
    let shard = place.0.join("set.partial/set/shards/rgb-00000.dvs");
    let mut bytes = fs::read(&shard).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&shard, bytes).unwrap();
    let said = place.pack("set", &[]);
    assert!(said.contains("files were done by an earlier call"), "{said}");
    assert!(place.bytes("set") == place.bytes("whole/set"));
}

#[test]
fn an_update_decodes_what_is_new() {
    let place = Place::new("update");
    let update = || {
        place.decoded();
        let output = place.command("set", &["--update"]).env("DECODED", place.0.join("decoded")).output().unwrap();
        (done(&output), place.decoded())
    };
    let output = place.command("set", &["--update"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("--update changes a set that is there"), "{}", text(&output));
    place.pack("set", &[]);
    let first = place.fingerprint("set");
    // What does not decode is tried again: another ffmpeg may take it.
    let (said, decoded) = update();
    assert!(said.contains("8 of 8 videos are as they were"), "{said}");
    assert_eq!(decoded, ["2.avi", "7.avi"]);
    assert_eq!(place.fingerprint("set"), first);

    place.write("a/0.avi", "4\nanother video 0\n");
    place.write("a/2.avi", "2\nvideo 2, mended\n");
    place.write("c/new.avi", "2\na new video\n");
    fs::remove_file(place.0.join("videos/b/6.avi")).unwrap();
    // The time alone is no change.
    place.write("a/1.avi", "1\nvideo 1\n");
    let (said, decoded) = update();
    assert!(said.contains("6 of 9 videos are as they were"), "{said}");
    assert_eq!(decoded, ["0.avi", "2.avi", "7.avi", "new.avi"]);
    place.pack("fresh/set", &[]);
    assert_eq!(place.fingerprint("set"), place.fingerprint("fresh/set"));
    assert_ne!(place.fingerprint("set"), first);
    let verify = Command::new(env!("CARGO_BIN_EXE_dv")).args(["verify", "set"]).current_dir(&place.0).output().unwrap();
    assert!(verify.status.success(), "{}", text(&verify));
    let compare = Command::new(env!("CARGO_BIN_EXE_dv")).args(["inspect", "set", "fresh/set"]).current_dir(&place.0).output().unwrap();
    assert!(compare.status.success(), "{}", String::from_utf8_lossy(&compare.stdout));

    // With everything replaced the former shards go.
    for i in 0..10 {
        let path = place.0.join("videos").join(format!("{}/{i}.avi", if i < 6 { "a" } else { "b" }));
        let _ = fs::remove_file(path);
    }
    place.write("c/new.avi", "1\nonly this\n");
    update();
    let names: Vec<String> = place.bytes("set").into_keys().collect();
    assert_eq!(names, ["catalogue.dvc", "rgb-00002.dvs", "set.json"]);
    assert!(!place.0.join("set.partial").exists());

    let output = place.command("set", &["--update", "--codec", "yuv420"]).output().unwrap();
    assert!(text(&output).contains("set cannot be updated: its codec is rgb, not yuv420"), "{}", text(&output));
    assert_eq!(place.left(), ["set"]);
}

/// Killed, an update leaves the set as it was and goes on.
#[test]
fn a_killed_update_goes_on() {
    let place = Place::new("update-kill");
    place.pack("set", &[]);
    let before = place.bytes("set");
    place.write("a/3.avi", "2\nanother video 3\n");
    place.write("b/z.avi", "100000\nwithout end\n");
    let mut child = place.command("set", &["--update"]).env("SLOW", "1").stderr(std::process::Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while fs::read_to_string(place.0.join("set.partial/journal")).map_or(0, |text| text.lines().count()) < 11 {
        assert!(start.elapsed() < Duration::from_secs(60), "nothing was packed");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(place.bytes("set") == before);
    place.write("b/z.avi", "2\nwith an end\n");
    let said = place.pack("set", &["--update"]);
    assert!(said.contains("10 files were done by an earlier call") && said.contains("7 of 9 videos are as they were"), "{said}");
    place.pack("fresh/set", &[]);
    assert_eq!(place.fingerprint("set"), place.fingerprint("fresh/set"));

    // Killed just after the new set had its name: what lies there is the former set, and is not gone on with.
    let partial = place.0.join("set.partial");
    fs::create_dir_all(partial.join("set/shards")).unwrap();
    fs::write(partial.join(".lock"), "").unwrap();
    for (name, bytes) in &before {
        let folder = if name.ends_with(".dvs") { "set/shards" } else { "set" };
        fs::write(partial.join(folder).join(name), bytes).unwrap();
    }
    let fingerprint = String::from_utf8(before["set.json"].clone()).unwrap();
    let fingerprint = fingerprint.lines().find_map(|line| line.trim().strip_prefix("\"fingerprint\": \"")).unwrap();
    let terms = format!("[[\"update of\",\"{}\"]]", fingerprint.trim_end_matches("\","));
    let sum = crc32fast::hash(terms.as_bytes());
    fs::write(partial.join("journal"), format!("{sum:08x} {terms}\n")).unwrap();
    let said = place.pack("set", &["--update"]);
    assert!(said.contains("9 of 9 videos are as they were") && !partial.exists(), "{said}");
}

impl Place {
    fn left(&self) -> Vec<String> {
        let names = fs::read_dir(&self.0).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned());
        names.filter(|n| n.starts_with("set")).collect()
    }
}
