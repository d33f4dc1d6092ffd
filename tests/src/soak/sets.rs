//! Damaged packed sets: a reader gets what was packed, or an error that says where; `dv verify` finds every change. Half of them have good
//! checksums for their absurd numbers, as someone makes them who means harm: of these nothing is asked but an answer.

use super::child::{self, End, Limits};
use super::random::Random;
use super::{seal, Failure, Passed, Subject};
use dv_datasets::generate::{smoke_set, SmokeSpec};
use dv_datasets::PackedSet;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What reading or verifying a set of a few small videos may take.
pub const LIMITS: Limits = Limits { memory: 300_000_000, cpu: 5.0, wall: Duration::from_secs(60) };

/// Files by their path below the set.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;

pub struct Sets {
    /// `dv`, for `dv verify`.
    pub program: PathBuf,
    /// `dv-soak`, which reads a set in a process of its own ([`report`]).
    pub reader: PathBuf,
    /// Where sets are kept that make it fail.
    pub kept: PathBuf,
}

pub struct Worker {
    dir: tempfile::TempDir,
    whole: Files,
    /// Of the same layout, with other videos.
    other: Files,
    /// What a reader says of the whole one.
    truth: Vec<String>,
}

/// All that a reader may get from a set, a line each: its description, each split, each video, each frame. Where there is an error, the
/// line is that.
pub fn report(dir: &Path) -> Vec<String> {
    let set = match PackedSet::open(dir) {
        Ok(set) => set,
        Err(e) => return vec![format!("error: {e:#}")],
    };
    let line = |of: anyhow::Result<String>| of.unwrap_or_else(|e| format!("error: {e:#}"));
    let mut lines = vec![
        format!("{} {} x {}, {:?}, {:?}", set.name, set.height, set.width, set.codec, set.streams),
        format!("fingerprint {}", set.fingerprint),
        format!("{} videos, classes {:?}", set.len(), set.classes),
        line(set.rejected().map(|rejected| format!("rejected {rejected:?}"))),
    ];
    for name in set.split_names() {
        lines.push(line(set.split_rows(name).map(|rows| format!("split {name} {rows:?}"))));
    }
    let mut frame = vec![0; set.frame_len()];
    for place in 0..set.len() {
        lines.push(line(set.video(place).map(|video| format!("video {place} {video:?}"))));
        lines.push(line(set.timestamps(place).map(|times| format!("times {place} {times:?}"))));
        let frames = match set.frames(place) {
            Ok(frames) => frames,
            Err(e) => {
                lines.push(format!("error: {e:#}"));
                continue;
            }
        };
        for number in 0..frames.min(MOST_FRAMES) {
            let read = set.read_frames(place, &[number], &mut frame);
            lines.push(line(read.map(|()| format!("frame {place} {number} {}", blake3::hash(&frame)))));
        }
    }
    lines
}

/// More than the sets here have.
const MOST_FRAMES: u32 = 100;

fn make(dir: &Path, frames: usize) -> Files {
    let splits = vec!["train01".to_string(), "test01".to_string()];
    let set = dir.join("small");
    smoke_set(&set, &SmokeSpec { height: 24, width: 20, splits, classes: 3, videos_per_split: 3, frames }).expect("a small set");
    let mut files = Files::new();
    gather(&set, Path::new(""), &mut files).expect("a set's files");
    files
}

pub fn gather(root: &Path, below: &Path, files: &mut Files) -> io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            gather(root, &path, files)?;
        } else {
            files.insert(path, fs::read(entry.path())?);
        }
    }
    Ok(())
}

pub fn lay_out(files: &Files, dir: &Path) -> io::Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir)?;
    }
    for (path, content) in files {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap_or(dir))?;
        fs::write(path, content)?;
    }
    Ok(())
}

/// Damages one to three places, and says how.
pub fn damage(files: &mut Files, other: &Files, random: &mut Random) -> String {
    let mut told = Vec::new();
    for _ in 0..random.size(3) {
        let paths: Vec<PathBuf> = files.keys().cloned().collect();
        let Some(path) = paths.get(random.below(paths.len())) else { break };
        let Some(content) = files.get_mut(path) else { break };
        let length = content.len();
        let at = random.below(length);
        let run = random.size(length.max(1)).min(length - at.min(length));
        let what = match random.below(9) {
            0 | 1 if length > 0 => {
                content[at] ^= 1 << random.below(8);
                format!("a bit of byte {at} flipped")
            }
            2 if length > 0 => {
                content[at..at + run].iter_mut().for_each(|byte| *byte = random.draw() as u8);
                format!("{run} random bytes at {at}")
            }
            3 if length > 0 => {
                content[at..at + run].fill(0);
                format!("{run} zeros at {at}")
            }
            4 => {
                content.truncate(at);
                format!("cut to {at} of {length} bytes")
            }
            5 => {
                let more = random.size(4096);
                content.extend((0..more).map(|_| random.draw() as u8));
                format!("{more} bytes appended")
            }
            6 if length > 0 => {
                let from = random.below(length - run + 1);
                content.copy_within(from..from + run, at);
                format!("{run} bytes of {from} copied to {at}")
            }
            7 => {
                files.remove(path);
                "removed".to_string()
            }
            _ => {
                let Some(foreign) = other.get(path) else { continue };
                files.insert(path.clone(), foreign.clone());
                "another set's".to_string()
            }
        };
        told.push(format!("{}: {what}", path.display()));
    }
    told.join("; ")
}

/// Puts absurd numbers into one to three places of a set that lies in a folder, and repairs its checksums.
fn absurd(set: &Path, random: &mut Random) -> io::Result<String> {
    let mut told = Vec::new();
    for _ in 0..random.size(3) {
        let name = random.pick(&["set.json", "catalogue.dvc", "catalogue.dvc", "shards/rgb-00000.dvs"]);
        let path = set.join(name);
        let mut content = fs::read(&path)?;
        if name == "set.json" {
            let text = String::from_utf8_lossy(&content).into_owned();
            fs::write(&path, super::mutate::number(&text, random))?;
            told.push(format!("another number in {name}"));
            continue;
        }
        // Records and indices come first and last, and most of a file is pixels and strings.
        let at = match random.below(3) {
            0 => random.below(content.len()),
            1 => random.below(content.len().min(2000)),
            _ => content.len() - 1 - random.below(content.len().min(400)),
        };
        let number = match random.below(5) {
            0 => u64::MAX,
            1 => 1 << random.below(64),
            2 => content.len() as u64,
            3 => 0,
            _ => random.size(usize::MAX >> 1) as u64,
        };
        let end = content.len().min(at + [1, 4, 8][random.below(3)]);
        content[at..end].copy_from_slice(&number.to_le_bytes()[..end - at]);
        fs::write(&path, content)?;
        told.push(format!("{number} at byte {at} of {name}"));
    }
    seal::seal(set);
    Ok(format!("{}, sealed", told.join(", ")))
}

impl Subject for Sets {
    type Worker = Worker;

    fn worker(&self) -> Worker {
        let dir = tempfile::tempdir().expect("a folder for the soak");
        let (whole, other) = (make(dir.path(), 9), make(&dir.path().join("other"), 10));
        let truth = report(&dir.path().join("small"));
        assert!(truth.len() > 50 && !truth.iter().any(|line| line.starts_with("error")), "{truth:#?}");
        Worker { dir, whole, other, truth }
    }

    fn try_case(&self, worker: &mut Worker, seed: u64) -> Result<Passed, Failure> {
        let mut files = worker.whole.clone();
        let mut random = Random::new(seed);
        let sealed = random.below(2) == 0;
        let set = worker.dir.path().join("small");
        let what = if sealed {
            lay_out(&files, &set).and_then(|()| absurd(&set, &mut random)).and_then(|what| {
                files.clear();
                gather(&set, Path::new(""), &mut files)?;
                Ok(what)
            })
        } else {
            Ok(damage(&mut files, &worker.other, &mut random))
        };
        let what = what.unwrap_or_else(|e| format!("not damaged: {e}"));
        if files == worker.other {
            return Ok(Passed { outcomes: vec!["another set, whole".into()], cpu: 0.0, memory: 0 });
        }
        let fail = |why: String| {
            let kept = self.kept.join(format!("set-{seed}"));
            let saved = lay_out(&files, &kept).map_or_else(|e| format!(" (it could not be kept: {e})"), |()| String::new());
            Failure { what: format!("{what}: {why}{saved}"), kept }
        };
        lay_out(&files, &set).map_err(|e| fail(format!("it could not be written: {e}")))?;
        let run = |command: Command| {
            let ended = child::run(command, LIMITS, worker.dir.path()).map_err(|e| fail(format!("it could not be run: {e}")))?;
            match ended.end {
                End::Status(0 | 1) if ended.memory > LIMITS.memory => Err(fail(format!("{:.0} MB of memory", ended.memory as f64 / 1e6))),
                End::Status(0 | 1) if ended.cpu > LIMITS.cpu => Err(fail(format!("{:.1} s of CPU time", ended.cpu))),
                End::Status(0 | 1) => Ok(ended),
                end => Err(fail(format!("{end:?}: {}", ended.stderr))),
            }
        };
        let out = worker.dir.path().join("report.txt");
        let mut read = Command::new(&self.reader);
        read.arg("read").arg(&set).arg(&out);
        let read = run(read)?;
        let said = fs::read_to_string(&out).map_err(|e| fail(format!("no report: {e}")))?;
        let outcome = if sealed { compare_sealed(&said, &set) } else { compare(&said, &worker.truth, &set) }.map_err(fail)?;

        let mut verify = Command::new(&self.program);
        verify.arg("verify").arg(&set);
        let verify = run(verify)?;
        let same = files == worker.whole;
        match (verify.end == End::Status(0), same) {
            (true, false) if !sealed => return Err(fail("`dv verify` finds nothing".into())),
            (false, true) => return Err(fail(format!("`dv verify` refuses the whole set: {}", verify.stderr))),
            (false, false) if !verify.stderr.contains("small") => return Err(fail(format!("no place: {}", verify.stderr))),
            _ => {}
        }
        Ok(Passed { outcomes: vec![outcome], cpu: read.cpu.max(verify.cpu), memory: read.memory.max(verify.memory) })
    }
}

/// What a reader's report of a sealed set comes to: any data, or errors with their places.
fn compare_sealed(said: &str, set: &Path) -> Result<String, String> {
    let located = |line: &str| line.contains(&set.display().to_string()) || line.contains("set small");
    let mut errors = said.lines().filter(|line| line.starts_with("error: ")).peekable();
    let any = errors.peek().is_some();
    match errors.find(|line| !located(line)) {
        Some(line) => Err(format!("no place: {line}")),
        None => Ok(if any { "sealed and refused" } else { "sealed and read" }.into()),
    }
}

/// What a reader's report comes to, or what is wrong with it.
fn compare(said: &str, truth: &[String], set: &Path) -> Result<String, String> {
    let lines: Vec<&str> = said.lines().collect();
    let located = |line: &str| line.contains(&set.display().to_string()) || line.contains("set small");
    if let [only] = lines[..] {
        return match only.starts_with("error: ") && located(only) {
            true => Ok("refused when opened".into()),
            false => Err(format!("no place: {only}")),
        };
    }
    let known: HashSet<&str> = truth.iter().map(String::as_str).collect();
    let mut errors = 0;
    for line in &lines {
        match line {
            line if known.contains(line) => {}
            line if line.starts_with("error: ") && located(line) => errors += 1,
            line => return Err(format!("other data, silently: {line}")),
        }
    }
    if errors == 0 && lines != truth {
        return Err("less data, silently".into());
    }
    Ok(if errors > 0 { "refused when read" } else { "read whole" }.into())
}
