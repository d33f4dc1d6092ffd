//! Packs that are killed, run out of disk, or get files and names that nobody meant: each ends with an error or a whole set, what ended early
//! goes on to the bytes of an undisturbed pack, and every file is in the set or reported.

use super::child::{self, End, Ended, Limits};
use super::random::Random;
use super::words::TEXTS;
use super::{Failure, Passed, Subject};
use dv_datasets::{Ffmpeg, PackedSet};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a pack of a few tiny files may take, the decoders not counted.
pub const LIMITS: Limits = Limits { memory: 600_000_000, cpu: 20.0, wall: Duration::from_secs(150) };

pub struct Packs {
    /// `dv`.
    pub program: PathBuf,
    pub ffmpeg: Ffmpeg,
    /// Where the folders are kept that make it fail.
    pub kept: PathBuf,
}

pub struct Worker {
    dir: tempfile::TempDir,
    /// Small videos of several formats: name and content.
    corpus: Vec<(String, Vec<u8>)>,
    /// What an undisturbed pack of the corpus makes.
    whole: BTreeMap<String, Vec<u8>>,
    /// How long that takes.
    takes: Duration,
}

/// Formats of the corpus: the file's ending and the encoder.
const FORMATS: [(&str, &str); 6] =
    [("avi", "mpeg4"), ("avi", "mjpeg"), ("mkv", "ffv1"), ("mp4", "mpeg4"), ("gif", "gif"), ("mov", "mjpeg")];

fn corpus(ffmpeg: &Ffmpeg, dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for (number, (ending, encoder)) in FORMATS.into_iter().enumerate() {
        let (name, source) = (format!("{number}.{ending}"), format!("testsrc2=size=64x48:rate=10:duration=0.{}", number + 4));
        let file = dir.join(&name);
        let mut command = Command::new(ffmpeg.program());
        command.args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", &source, "-c:v", encoder]).arg(&file);
        let output = command.output().expect("ffmpeg starts");
        assert!(output.status.success(), "{encoder}: {}", String::from_utf8_lossy(&output.stderr));
        all.push((name, fs::read(&file).expect("what ffmpeg made")));
    }
    all
}

/// Every file of a set.
fn bytes(set: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for dir in [set.to_owned(), set.join("shards")] {
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.is_file() {
                files.insert(path.strip_prefix(set).unwrap_or(&path).display().to_string(), fs::read(&path)?);
            }
        }
    }
    Ok(files)
}

impl Packs {
    fn command(&self, dir: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["pack", "folder", "--size", "32x32", "--filter", "bilinear", "--threads", "2", "--videos", "videos", "--out", "set"]);
        command.current_dir(dir).env("DV_FFMPEG", self.ffmpeg.program());
        command
    }

    fn fail(&self, dir: &Path, seed: u64, what: String) -> Failure {
        let kept = self.kept.join(format!("pack-{seed}"));
        let _ = fs::remove_dir_all(&kept);
        let _ = fs::create_dir_all(&self.kept);
        let copied = Command::new("cp").arg("-a").arg(dir).arg(&kept).status().is_ok_and(|status| status.success());
        Failure { what: if copied { what } else { format!("{what} (it could not be kept)") }, kept }
    }

    /// Kills and signals at random moments, then the end.
    fn killed(&self, worker: &Worker, random: &mut Random) -> Result<(String, Option<Ended>), String> {
        let set = worker.dir.path().join("case/set");
        let mut ends = 0;
        for _ in 0..random.size(4) {
            let mut child = self.command(&worker.dir.path().join("case")).stderr(Stdio::piped()).spawn().map_err(|e| e.to_string())?;
            let wait = Duration::from_nanos(random.draw() % (worker.takes.as_nanos() as u64 * 3 / 2));
            std::thread::sleep(wait);
            let signal = [libc::SIGKILL, libc::SIGKILL, libc::SIGTERM, libc::SIGINT, libc::SIGHUP][random.below(5)];
            // SAFETY: the call takes two numbers; the child is not reaped yet, so that the number is no other process's.
            unsafe { libc::kill(child.id() as libc::pid_t, signal) };
            let start = Instant::now();
            let output = loop {
                if child.try_wait().map_err(|e| e.to_string())?.is_some() {
                    break child.wait_with_output().map_err(|e| e.to_string())?;
                }
                if start.elapsed() > Duration::from_secs(30) {
                    let _ = child.kill();
                    return Err(format!("signal {signal} does not end it"));
                }
                std::thread::sleep(Duration::from_millis(2));
            };
            let said = String::from_utf8_lossy(&output.stderr);
            match output.status.code() {
                None if signal == libc::SIGKILL => ends += 1,
                // Before it watches for signals they end it as they end any program.
                None if !said.contains("packing") && !set.exists() => ends += 1,
                Some(130) if signal != libc::SIGKILL && said.contains("interrupted: set is not made") => ends += 1,
                Some(0) if set.exists() => {}
                _ => return Err(format!("signal {signal}: {}: {said}", output.status)),
            }
            if set.exists() {
                break;
            }
        }
        Ok((format!("killed {ends} times"), None))
    }

    /// A limit on the size of files, as a full disk that can be made without being root.
    fn limited(&self, worker: &Worker, random: &mut Random) -> Result<(String, Option<Ended>), String> {
        let bytes = random.size(40_000) as u64;
        let mut command = self.command(&worker.dir.path().join("case"));
        let limit = move || {
            let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
            // SAFETY: the call reads one struct, which lives until it returns, and is among those that may be made between fork and exec.
            match unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &limit) } {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        };
        // SAFETY: the closure makes one system call and allocates nothing.
        unsafe { command.pre_exec(limit) };
        let ended = child::run(command, LIMITS, worker.dir.path()).map_err(|e| e.to_string())?;
        match ended.end {
            End::Status(0) => Ok(("a limit that is high enough".into(), Some(ended))),
            // What dv says goes into a file too, which has the same limit.
            End::Status(1) if bytes < 2000 || ended.stderr.contains("files may not grow so large here") => {
                Ok(("a full disk".into(), Some(ended)))
            }
            end => Err(format!("files of {bytes} bytes at most: {end:?}: {}", ended.stderr)),
        }
    }

    /// Files whose content or name nobody meant. How many there are.
    fn hostile(&self, worker: &Worker, random: &mut Random) -> Result<(usize, String), String> {
        let videos = worker.dir.path().join("case/videos");
        let mut count = worker.corpus.len();
        for _ in 0..random.size(6) {
            let (_, content) = &worker.corpus[random.below(worker.corpus.len())];
            let (_, other) = &worker.corpus[random.below(worker.corpus.len())];
            let at = random.below(content.len());
            let content: Vec<u8> = match random.below(9) {
                0 => Vec::new(),
                1 => (0..random.size(5000)).map(|_| random.draw() as u8).collect(),
                2 => content[..at].to_vec(),
                3 => [&content[..at], &other[random.below(other.len())..]].concat(),
                4 => b"#EXTM3U\n#EXTINF:1,\n0.avi\n#EXT-X-ENDLIST\n".to_vec(),
                5 => b"ffconcat version 1.0\nfile 0.avi\n".to_vec(),
                6 => random.pick(TEXTS).repeat(random.size(50)).into_bytes(),
                _ => {
                    let mut bad = content.clone();
                    for _ in 0..random.size(200) {
                        let at = random.below(bad.len());
                        bad[at] = random.draw() as u8;
                    }
                    bad
                }
            };
            let mut name: Vec<u8> = match random.below(6) {
                0 => (0..random.size(40)).map(|_| random.draw() as u8).collect(),
                1 => random.pick(TEXTS).as_bytes().to_vec(),
                2 => "x\n[error] forged\u{1b}[2J\u{202e}".into(),
                3 => "-i http: concat:|".into(),
                4 => vec![b'y'; random.size(200)],
                _ => format!("plain {}", random.draw()).into_bytes(),
            };
            name.retain(|byte| *byte != 0 && *byte != b'/');
            name.truncate(230);
            name.extend(random.pick(&[".avi", ".mp4", ".mkv", "", ".jpg.gif"]).bytes());
            let hidden = name.starts_with(b".") || name.is_empty();
            if hidden || videos.join(OsString::from_vec(name.clone())).exists() {
                continue;
            }
            fs::write(videos.join(OsString::from_vec(name)), content).map_err(|e| e.to_string())?;
            count += 1;
        }
        Ok((count, format!("{} odd files", count - worker.corpus.len())))
    }

    fn case(&self, worker: &Worker, random: &mut Random) -> Result<Passed, String> {
        let text = |e: io::Error| e.to_string();
        let case = worker.dir.path().join("case");
        if case.exists() {
            fs::remove_dir_all(&case).map_err(text)?;
        }
        fs::create_dir_all(case.join("videos")).map_err(text)?;
        for (name, content) in &worker.corpus {
            fs::write(case.join("videos").join(name), content).map_err(text)?;
        }
        let (mut files, mut same) = (worker.corpus.len(), true);
        let (what, first) = match random.below(3) {
            0 => self.killed(worker, random)?,
            1 => self.limited(worker, random)?,
            _ => {
                let (count, what) = self.hostile(worker, random)?;
                (files, same) = (count, count == worker.corpus.len());
                (what, None)
            }
        };
        let set = case.join("set");
        let last = if set.exists() {
            None
        } else {
            let ended = child::run(self.command(&case), LIMITS, worker.dir.path()).map_err(text)?;
            if ended.end != End::Status(0) {
                return Err(format!("{what}: then {:?}: {}", ended.end, ended.stderr));
            }
            if ended.stderr.contains('\u{1b}') || ended.stderr.lines().any(|line| line.starts_with("[error]")) {
                return Err(format!("{what}: a name is obeyed: {}", ended.stderr));
            }
            Some(ended)
        };
        let made = bytes(&set).map_err(text)?;
        if same && made != worker.whole {
            let names: BTreeSet<&String> = made.keys().chain(worker.whole.keys()).collect();
            let differing: Vec<&&String> = names.iter().filter(|name| made.get(**name) != worker.whole.get(**name)).collect();
            return Err(format!("{what}: another set than that of an undisturbed pack: {differing:?}"));
        }
        let packed = PackedSet::open(&set).map_err(|e| format!("{what}: {e:#}"))?;
        let rejected = packed.rejected().map_err(|e| format!("{what}: {e:#}"))?.len();
        if packed.len() + rejected != files {
            return Err(format!("{what}: {files} files, {} packed and {rejected} rejected", packed.len()));
        }
        let mut verify = Command::new(&self.program);
        verify.arg("verify").arg(&set);
        let verify = child::run(verify, LIMITS, worker.dir.path()).map_err(text)?;
        if verify.end != End::Status(0) {
            return Err(format!("{what}: `dv verify`: {:?}: {}", verify.end, verify.stderr));
        }
        if fs::metadata(case.join("set.partial")).is_ok_and(|_| last.is_some()) {
            return Err(format!("{what}: set.partial is left"));
        }
        let ends: Vec<&Ended> = first.iter().chain(&last).chain([&verify]).collect();
        let most = |of: &dyn Fn(&Ended) -> f64| ends.iter().map(|e| of(e)).fold(0.0, f64::max);
        let (cpu, memory) = (most(&|e| e.cpu), most(&|e| e.memory as f64) as u64);
        if cpu > LIMITS.cpu || memory > LIMITS.memory {
            return Err(format!("{what}: {cpu:.1} s of CPU time, {:.0} MB of memory", memory as f64 / 1e6));
        }
        Ok(Passed { outcomes: vec![what], cpu, memory })
    }
}

impl Subject for Packs {
    type Worker = Worker;

    fn worker(&self) -> Worker {
        let dir = tempfile::tempdir().expect("a folder for the soak");
        let whole = dir.path().join("whole");
        fs::create_dir_all(whole.join("videos")).expect("a folder for the soak");
        let corpus = corpus(&self.ffmpeg, &whole.join("videos"));
        let start = Instant::now();
        let output = self.command(&whole).output().expect("dv starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let whole = bytes(&whole.join("set")).expect("the set");
        Worker { dir, corpus, whole, takes: start.elapsed() }
    }

    fn try_case(&self, worker: &mut Worker, seed: u64) -> Result<Passed, Failure> {
        let result = self.case(worker, &mut Random::new(seed));
        result.map_err(|what| self.fail(&worker.dir.path().join("case"), seed, what))
    }
}
