//! Run folders that are wrecked, and runs that are killed: what goes on ends in the bytes of an undisturbed run, or in an error that says where.

use super::child::{self, End, Limits};
use super::random::Random;
use super::sets::{damage, gather, lay_out, Files};
use super::{Failure, Passed, Subject};
use crate::{packed_set, GALLERY, TINY};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// What a run of a few steps on a small network may take.
pub const LIMITS: Limits = Limits { memory: 1_500_000_000, cpu: 60.0, wall: Duration::from_secs(120) };

pub struct Runs {
    pub program: PathBuf,
    /// Where folders are kept that make it fail.
    pub kept: PathBuf,
}

pub struct Worker {
    dir: tempfile::TempDir,
    /// A finished run, and one that was interrupted in its third step.
    finished: Files,
    stopped: Files,
    /// As the latter, of another seed.
    other: Files,
    /// How long a run takes.
    takes: Duration,
}

impl Runs {
    fn command(&self, dir: &Path, more: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["run", "g.toml", "--data", "data", "--out", "run", "--compute-threads", "1", "--threads", "1"]).args(more);
        for name in ["LD_LIBRARY_PATH", "LIBTORCH", "DV_LIBTORCH", "DV_DATA", "OMP_NUM_THREADS"] {
            command.env_remove(name);
        }
        command.current_dir(dir);
        command
    }

    fn made(&self, dir: &Path, more: &[&str], status: i32) -> Files {
        let run = dir.join("run");
        let _ = fs::remove_dir_all(&run);
        let output = self.command(dir, more).output().expect("dv starts");
        assert_eq!(output.status.code(), Some(status), "{}", String::from_utf8_lossy(&output.stderr));
        let mut files = Files::new();
        gather(&run, Path::new(""), &mut files).expect("a run's files");
        files
    }

    fn case(&self, worker: &Worker, random: &mut Random) -> Result<(String, f64, u64), String> {
        let text = |e: io::Error| e.to_string();
        let dir = worker.dir.path();
        let run = dir.join("run");
        if run.exists() {
            fs::remove_dir_all(&run).map_err(text)?;
        }
        let (what, more): (String, &[&str]) = match random.below(3) {
            0 => (self.kill(worker, random)?, &["--resume"]),
            1 => {
                let mut files = worker.stopped.clone();
                let what = damage(&mut files, &worker.other, random);
                lay_out(&files, &run).map_err(text)?;
                (what, &["--resume"])
            }
            _ => {
                let mut files = worker.finished.clone();
                let what = damage(&mut files, &worker.other, random);
                lay_out(&files, &run).map_err(text)?;
                (what, &["--stage", "gallery"])
            }
        };
        // where nothing was begun there is nothing to go on with
        let more = if run.join("run.json").exists() || !what.starts_with("killed") { more } else { &[] };
        let ended = child::run(self.command(dir, more), LIMITS, dir).map_err(text)?;
        let outcome = match ended.end {
            End::Status(0) => {
                let mut files = Files::new();
                gather(&run, Path::new(""), &mut files).map_err(text)?;
                let tensors = |files: &Files| -> Vec<(PathBuf, Vec<u8>)> {
                    let own = files.iter().filter(|(path, _)| path.extension().is_some_and(|e| e == "safetensors"));
                    // what lies beside the run's own files is not read
                    own.filter(|(path, _)| worker.finished.contains_key(*path)).map(|(p, b)| (p.clone(), b.clone())).collect()
                };
                if tensors(&files) != tensors(&worker.finished) {
                    // a checkpoint that nothing has read may be wrecked still, and then `dv verify` says so
                    let mut verify = Command::new(&self.program);
                    verify.arg("verify").arg(&run);
                    let verify = child::run(verify, LIMITS, dir).map_err(text)?;
                    if verify.end == End::Status(0) {
                        return Err(format!("{what}: other results, silently"));
                    }
                }
                if what.starts_with("killed") {
                    let mut verify = Command::new(&self.program);
                    verify.arg("verify").arg(&run);
                    let verify = child::run(verify, LIMITS, dir).map_err(text)?;
                    if verify.end != End::Status(0) {
                        return Err(format!("{what}: `dv verify` finds {}", verify.stderr));
                    }
                }
                "went on"
            }
            End::Status(1) if ended.stderr.contains("run") => "refused",
            end => return Err(format!("{what}: {end:?}: {}", ended.stderr)),
        };
        let sort = if what.starts_with("killed") { "killed" } else { "wrecked" };
        Ok((format!("{sort}, {outcome}"), ended.cpu, ended.memory))
    }

    fn kill(&self, worker: &Worker, random: &mut Random) -> Result<String, String> {
        for _ in 0..random.size(3) {
            let resumed = worker.dir.path().join("run/run.json").exists();
            let more: &[&str] = if resumed { &["--resume"] } else { &[] };
            let mut command = self.command(worker.dir.path(), more);
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(|e| e.to_string())?;
            std::thread::sleep(Duration::from_nanos(random.draw() % worker.takes.as_nanos() as u64));
            let _ = child.kill();
            child.wait().map_err(|e| e.to_string())?;
        }
        Ok("killed".into())
    }
}

impl Subject for Runs {
    type Worker = Worker;

    fn worker(&self) -> Worker {
        let dir = tempfile::tempdir().expect("a folder for the soak");
        packed_set(&dir.path().join("data"), "tiny", (32, 32), 8);
        let graph = format!("{TINY}{GALLERY}").replace("keep       = { last = 2 }", "keep       = { last = 2, every = { steps = 1 } }");
        let write = |text: &str| fs::write(dir.path().join("g.toml"), text).expect("the soak's graph");
        write(&graph.replace("seed   = 0", "seed   = 1"));
        let other = self.made(dir.path(), &["--stop-after", "3"], 130);
        write(&graph);
        let stopped = self.made(dir.path(), &["--stop-after", "3"], 130);
        let start = std::time::Instant::now();
        let finished = self.made(dir.path(), &[], 0);
        Worker { dir, finished, stopped, other, takes: start.elapsed() }
    }

    fn try_case(&self, worker: &mut Worker, seed: u64) -> Result<Passed, Failure> {
        match self.case(worker, &mut Random::new(seed)) {
            Ok((outcome, cpu, memory)) if cpu <= LIMITS.cpu && memory <= LIMITS.memory => {
                Ok(Passed { outcomes: vec![outcome], cpu, memory })
            }
            result => {
                let what = result.map_or_else(|what| what, |(what, cpu, memory)| format!("{what}: {cpu} s, {memory} bytes"));
                let kept = self.kept.join(format!("run-{seed}"));
                let _ = fs::remove_dir_all(&kept);
                let _ = Command::new("cp").arg("-a").arg(worker.dir.path()).arg(&kept).status();
                Err(Failure { what, kept })
            }
        }
    }
}
