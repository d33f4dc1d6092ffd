//! `dv check` on damaged graphs: each is taken or refused with located faults, in little time and memory, and never ends the program.

use super::child::{self, End, Limits};
use super::mutate::mutated;
use super::random::Random;
use super::{Failure, Passed, Subject};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What checking any graph may take. Linking libtorch alone takes about 120 MB and a tenth of a second.
pub const LIMITS: Limits = Limits { memory: 300_000_000, cpu: 5.0, wall: Duration::from_secs(60) };

/// Folders with graphs, right ones and wrong ones.
const FOLDERS: &[&str] = &["graphs", "examples", "tests/parity/graphs", WRONG];
const WRONG: &str = "engine/graph/tests/faults";

/// The graphs that are damaged.
pub struct Corpus {
    /// Path below the checkout, and content.
    graphs: Vec<(PathBuf, String)>,
    /// How many of them, the first, are right.
    right: usize,
}

impl Corpus {
    /// All graphs of a checkout.
    pub fn of(root: &Path) -> Corpus {
        let mut graphs = Vec::new();
        for folder in FOLDERS {
            gather(root, Path::new(folder), &mut graphs);
        }
        let wrong = |path: &Path| path.starts_with(WRONG);
        graphs.sort_by(|(a, _), (b, _)| (wrong(a), a).cmp(&(wrong(b), b)));
        let right = graphs.iter().filter(|(path, _)| !wrong(path)).count();
        assert!(graphs.len() > 100, "{} graphs below {}", graphs.len(), root.display());
        Corpus { graphs, right }
    }

    /// A copy of the graphs' folders, since graphs extend each other, and a folder `odd` of files that are no graphs. Gives paths that an
    /// `extends` may be led to.
    pub fn lay_out(&self, dir: &Path) -> std::io::Result<Vec<String>> {
        for (path, text) in &self.graphs {
            let place = dir.join(path);
            fs::create_dir_all(place.parent().unwrap_or(dir))?;
            fs::write(place, text)?;
        }
        let odd = dir.join("odd");
        fs::create_dir_all(odd.join("folder.toml"))?;
        let fifo = Command::new("mkfifo").arg(odd.join("fifo.toml")).status()?;
        assert!(fifo.success(), "mkfifo failed");
        // its file stays when the listener goes
        drop(UnixListener::bind(odd.join("socket.toml"))?);
        symlink("loop.toml", odd.join("loop.toml"))?;
        symlink("fifo.toml", odd.join("to_fifo.toml"))?;
        File::create(odd.join("sparse.toml"))?.set_len(1 << 33)?;
        File::create(odd.join("zeros.toml"))?.set_len(900_000)?;
        fs::write(odd.join("binary.toml"), (0..=255).cycle().take(5000).collect::<Vec<u8>>())?;
        fs::write(odd.join("large.toml"), "# large\n".repeat(150_000))?;
        fs::write(odd.join("empty.toml"), "")?;
        fs::write(odd.join("self.toml"), "extends = 'self.toml'\n")?;
        let names = ["folder", "fifo", "socket", "loop", "to_fifo", "sparse", "zeros", "binary", "large", "empty", "self", "missing"];
        let odd = names.iter().map(|name| odd.join(format!("{name}.toml")).display().to_string());
        let devices =
            ["/dev/zero", "/dev/null", "/dev/tty", "/dev/full", "/proc/self/mem", "/proc/self/maps", "/", ".", "..", "soak.toml", ""];
        let good = self.graphs.iter().step_by(9).map(|(path, _)| dir.join(path).display().to_string());
        Ok(odd.chain(devices.map(String::from)).chain(good).collect())
    }

    /// The case of a seed: the folder that it belongs into, below the one that was laid out, and its text.
    pub fn case(&self, files: &[String], seed: u64) -> (&Path, Vec<u8>) {
        let mut random = Random::new(seed);
        // damage to what is right leads further into the check
        let among = if random.below(4) == 0 { self.graphs.len() } else { self.right };
        let (path, text) = &self.graphs[random.below(among)];
        (path.parent().unwrap_or(Path::new("")), mutated(text, files, &mut random))
    }
}

fn gather(root: &Path, folder: &Path, graphs: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(root.join(folder)).into_iter().flatten().flatten() {
        let path = folder.join(entry.file_name());
        if path.file_name().is_some_and(|n| n == "target") {
            continue;
        }
        if entry.path().is_dir() {
            gather(root, &path, graphs);
        } else if path.extension().is_some_and(|e| e == "toml") && path.file_name().is_some_and(|n| n != "Cargo.toml") {
            graphs.extend(fs::read_to_string(entry.path()).ok().map(|text| (path, text)));
        }
    }
}

/// `dv check` on the graphs of a corpus.
pub struct Graphs {
    pub corpus: Corpus,
    /// `dv`, beside which the engine lies.
    pub program: PathBuf,
    /// Where inputs are kept that make it fail.
    pub kept: PathBuf,
}

pub struct Worker {
    dir: tempfile::TempDir,
    files: Vec<String>,
}

impl Subject for Graphs {
    type Worker = Worker;

    fn worker(&self) -> Worker {
        let dir = tempfile::tempdir().expect("a folder for the soak");
        let files = self.corpus.lay_out(dir.path()).expect("the graphs' folders");
        Worker { dir, files }
    }

    fn try_case(&self, worker: &mut Worker, seed: u64) -> Result<Passed, Failure> {
        let (folder, text) = self.corpus.case(&worker.files, seed);
        let name = folder.join("soak.toml");
        let place = worker.dir.path().join(&name);
        let mut command = Command::new(&self.program);
        for variable in ["LD_LIBRARY_PATH", "LIBTORCH", "DV_LIBTORCH", "DV_DATA", "OMP_NUM_THREADS", "RUST_BACKTRACE"] {
            command.env_remove(variable);
        }
        command.current_dir(worker.dir.path()).arg("check").arg(&name);
        let failed = |what: String| {
            let kept = self.kept.join(format!("graph-{seed}.toml"));
            let saved = fs::create_dir_all(&self.kept).and_then(|()| fs::write(&kept, &text));
            let what = match saved {
                Ok(()) => what,
                Err(e) => format!("{what} (its graph could not be kept: {e})"),
            };
            Failure { what: format!("in {}: {what}", folder.display()), kept }
        };
        let run = fs::write(&place, &text).and_then(|()| child::run(command, LIMITS, worker.dir.path()));
        let _ = fs::remove_file(&place);
        let ended = run.map_err(|e| failed(format!("it could not be run: {e}")))?;
        let told = judge(ended.end, &ended.stderr).map_err(|what| failed(format!("{what}\n{}", first_lines(&ended.stderr))))?;
        if ended.memory > LIMITS.memory {
            return Err(failed(format!("{:.0} MB of memory", ended.memory as f64 / 1e6)));
        }
        if ended.cpu > LIMITS.cpu {
            return Err(failed(format!("{:.1} s of CPU time", ended.cpu)));
        }
        Ok(Passed { outcomes: told, cpu: ended.cpu, memory: ended.memory })
    }
}

fn first_lines(text: &str) -> String {
    text.lines().take(12).map(|l| format!("    {}\n", l.chars().take(200).collect::<String>())).collect()
}

/// What a check came to: `ok`, or `refused` and the codes of its faults. An error says what it should not have done.
fn judge(end: End, stderr: &str) -> Result<Vec<String>, String> {
    match end {
        End::Status(0) => Ok(vec!["ok".into()]),
        End::Status(1) => {
            let codes = codes(stderr)?;
            if codes.is_empty() {
                return Err("it was refused, and no fault says why".into());
            }
            Ok(["refused".to_string()].into_iter().chain(codes).collect())
        }
        End::Status(status) => Err(format!("exit status {status}")),
        End::Signal(signal) => Err(format!("it ended by signal {signal}")),
        End::Hung => Err("it hung".into()),
        End::TooLarge => Err("it took twice the memory that it may have, and was ended".into()),
    }
}

/// The codes of the faults that are reported. Each has its place, and no line holds what a terminal would obey.
pub fn codes(report: &str) -> Result<BTreeSet<String>, String> {
    let mut codes = BTreeSet::new();
    for line in report.lines() {
        if let Some(c) = line.chars().find(|c| c.is_control() && *c != '\t' || "\u{202e}\u{2066}".contains(*c)) {
            return Err(format!("it prints the character {c:?}"));
        }
        if line.chars().count() > 2000 {
            return Err("it prints a line of more than 2000 characters".into());
        }
        if line.contains("a defect of dv") || line.starts_with("error:") {
            return Err(format!("it says `{line}`"));
        }
        // excerpts begin with a space, faults with a file
        let Some((place, rest)) = line.split_once(": error[").filter(|_| !line.starts_with(' ')) else { continue };
        let mut numbers = place.rsplitn(3, ':');
        let located = [numbers.next(), numbers.next()].iter().all(|n| n.is_some_and(|n| n.parse::<usize>().is_ok_and(|n| n > 0)));
        match rest.split_once(']') {
            Some((code, _)) if located && numbers.next().is_some_and(|file| !file.is_empty()) => drop(codes.insert(code.to_string())),
            _ => return Err(format!("a fault without a place: `{line}`")),
        }
    }
    Ok(codes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_an_outcome_is_seen() {
        let fault = "g.toml:3:1: error[unknown-key]: a graph has no `x`\n 3 | x = 1\n   | ^\ng.toml: 1 fault\n";
        assert_eq!(judge(End::Status(1), fault).unwrap(), ["refused", "unknown-key"]);
        assert_eq!(judge(End::Status(0), "").unwrap(), ["ok"]);
        for (end, said) in [
            (End::Status(1), "g.toml: 1 fault\n"),
            (End::Status(1), "g.toml: error[unknown-key]: no place\n"),
            (End::Status(1), "?:0:1: error[unknown-key]: no place\n"),
            (End::Status(1), &format!("{fault}error: something without a place\n")),
            (End::Status(1), &fault.replace("1\n", "\u{1b}[31m\n")),
            (End::Status(3), ""),
            (End::Status(101), ""),
            (End::Signal(6), ""),
            (End::Hung, ""),
            (End::TooLarge, ""),
        ] {
            assert!(judge(end, said).is_err(), "{end:?} {said}");
        }
    }
}
