//! What only the whole can show: starting the built programs, small sets and files for them, the parity kit's cases.

#[path = "../../datasets/tests/common/ffmpegs.rs"]
pub mod ffmpegs;
pub mod parity;
pub mod soak;

use dv_datasets::generate::{smoke_set, SmokeSpec};
use dv_datasets::Ffmpeg;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Instant;
use tch::Tensor;

/// The checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// A graph of the checkout.
pub fn graph(name: &str) -> PathBuf {
    root().join("graphs").join(name)
}

/// The built program `dv`: two folders above a test's executable.
pub fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let dv = test.ancestors().nth(2).unwrap().join("dv");
    for file in [&dv, &dv.with_file_name("dv-engine")] {
        assert!(file.is_file(), "{} is missing; build first: cargo build --release", file.display());
    }
    dv
}

/// What a call of `dv` came to.
pub struct Said {
    pub line: String,
    pub status: Option<i32>,
    pub out: String,
    pub err: String,
    pub seconds: f64,
}

impl Said {
    fn told(&self) -> String {
        format!("{} (status {:?}, {:.1} s)\n--- stdout\n{}\n--- stderr\n{}", self.line, self.status, self.seconds, self.out, self.err)
    }
    /// Exit status 0.
    #[track_caller]
    pub fn done(self) -> Said {
        assert_eq!(self.status, Some(0), "{}", self.told());
        self
    }
    /// Exit status 1, with all of these words on stderr.
    #[track_caller]
    pub fn refused(self, words: &[&str]) -> Said {
        assert_eq!(self.status, Some(1), "{}", self.told());
        self.says(words)
    }
    /// All of these words on stderr.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Said {
        for word in words {
            assert!(self.err.contains(word), "nothing said `{word}`: {}", self.told());
        }
        self
    }
    /// None of these words on stderr.
    #[track_caller]
    pub fn never_says(self, words: &[&str]) -> Said {
        for word in words {
            assert!(!self.err.contains(word), "`{word}` was said: {}", self.told());
        }
        self
    }
}

/// Calls that compute come one after the other: each has all cores.
static TURN: Mutex<()> = Mutex::new(());

/// Calls `dv` as a user does: nothing of cargo's environment helps it.
pub fn dv<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Said {
    Program::at(&program()).call(args)
}

/// A program that takes dv's verbs.
pub struct Program(PathBuf);

impl Program {
    pub fn at(path: &Path) -> Program {
        Program(path.to_path_buf())
    }
    pub fn call<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Said {
        let mut command = Command::new(&self.0);
        command.args(args);
        said(command)
    }
}

/// Runs a call as a user would, and gives what came of it.
pub fn said(mut command: Command) -> Said {
    for name in ["LD_LIBRARY_PATH", "LIBTORCH", "DV_LIBTORCH", "DV_DATA", "OMP_NUM_THREADS"] {
        command.env_remove(name);
    }
    let args: Vec<String> = command.get_args().map(|a| a.to_string_lossy().into_owned()).collect();
    let computes = !matches!(args.first().map(String::as_str), Some("check" | "show" | "diff" | "nodes"));
    let _turn = computes.then(|| TURN.lock().unwrap_or_else(|e| e.into_inner()));
    let start = Instant::now();
    let output = command.output().unwrap();
    Said {
        line: format!("dv {}", args.join(" ")),
        status: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
        seconds: start.elapsed().as_secs_f64(),
    }
}

/// A call put together bit by bit.
#[derive(Clone, Default)]
pub struct Call {
    args: Vec<String>,
    env: Vec<(&'static str, PathBuf)>,
}

impl Call {
    /// The verb and the graph.
    pub fn new(verb: &str, graph: impl AsRef<Path>) -> Call {
        Call::default().arg(verb).arg(graph.as_ref().to_str().unwrap())
    }
    pub fn arg(mut self, text: impl Into<String>) -> Call {
        self.args.push(text.into());
        self
    }
    pub fn args<'a>(self, list: impl IntoIterator<Item = &'a str>) -> Call {
        list.into_iter().fold(self, |call, text| call.arg(text))
    }
    /// An option with a path.
    pub fn path(self, option: &str, path: &Path) -> Call {
        self.arg(option).arg(path.to_str().unwrap())
    }
    /// `--set` for each.
    pub fn set<'a>(self, list: impl IntoIterator<Item = &'a str>) -> Call {
        list.into_iter().fold(self, |call, text| call.arg("--set").arg(text))
    }
    /// Packs and generates with this ffmpeg.
    pub fn ffmpeg(mut self, ffmpeg: &Ffmpeg) -> Call {
        self.env.push(("DV_FFMPEG", ffmpeg.program().to_path_buf()));
        self
    }
    pub fn run(&self) -> Said {
        let mut command = Command::new(program());
        command.args(&self.args).envs(self.env.iter().map(|(name, value)| (name, value)));
        said(command)
    }
}

/// `dv probe` of a stage: what is fed and asked for, and where both lie.
pub struct Probe {
    call: Call,
    dir: tempfile::TempDir,
    feeds: Vec<(String, Tensor)>,
}

impl Probe {
    pub fn new(graph: impl AsRef<Path>, stage: &str) -> Probe {
        let call = Call::new("probe", graph).args(["--stage", stage]);
        Probe { call, dir: tempfile::tempdir().unwrap(), feeds: Vec::new() }
    }
    pub fn with(mut self, change: impl FnOnce(Call) -> Call) -> Probe {
        self.call = change(self.call);
        self
    }
    pub fn set<'a>(self, list: impl IntoIterator<Item = &'a str>) -> Probe {
        self.with(|call| call.set(list))
    }
    pub fn feed(mut self, edge: &str, value: &Tensor) -> Probe {
        self.feeds.push((edge.to_string(), value.contiguous()));
        self
    }
    pub fn fetch<S: AsRef<str>>(self, edges: impl IntoIterator<Item = S>) -> Probe {
        self.with(|call| edges.into_iter().fold(call, |call, edge| call.arg("--fetch").arg(edge.as_ref())))
    }
    pub fn gradients<S: AsRef<str>>(self, of: impl IntoIterator<Item = S>) -> Probe {
        self.with(|call| of.into_iter().fold(call, |call, name| call.arg("--grad").arg(name.as_ref())))
    }
    pub fn weights(self, all: &HashMap<String, Tensor>) -> Probe {
        let path = self.dir.path().join("weights.safetensors");
        write(&path, all.iter().map(|(n, t)| (n.as_str(), t)));
        self.with(|call| call.path("--weights", &path))
    }
    fn out(&self) -> PathBuf {
        self.dir.path().join("out.safetensors")
    }
    /// The call itself, whatever comes of it.
    pub fn said(&self) -> Said {
        let path = self.dir.path().join("feeds.safetensors");
        write(&path, self.feeds.iter().map(|(n, t)| (n.as_str(), t)));
        let feed = |call: Call, (edge, _): &(String, Tensor)| call.arg("--feed").arg(format!("{edge}={}#{edge}", path.display()));
        self.feeds.iter().fold(self.call.clone(), feed).path("--out", &self.out()).run()
    }
    /// What was asked for, by its name.
    #[track_caller]
    pub fn values(&self) -> HashMap<String, Tensor> {
        self.said().done();
        read(&self.out())
    }
}

/// All tensors of a file.
pub fn read(path: &Path) -> HashMap<String, Tensor> {
    let list = Tensor::read_safetensors(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    list.into_iter().collect()
}

pub fn write<'a>(path: &Path, tensors: impl Iterator<Item = (&'a str, &'a Tensor)>) {
    let list: Vec<(&str, Tensor)> = tensors.map(|(name, t)| (name, t.detach().contiguous())).collect();
    Tensor::write_safetensors(&list, path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

/// A packed set `name` below `data`, with the splits `train01` and `test01`.
pub fn packed_set(data: &Path, name: &str, (height, width): (u32, u32), videos_per_split: usize) {
    let splits = vec!["train01".to_string(), "test01".to_string()];
    smoke_set(&data.join(name), &SmokeSpec { height, width, splits, classes: 12, videos_per_split, frames: 40 }).unwrap();
}

/// A graph of one stage, `learn`, that trains for two epochs on the set `tiny` of 32 x 32 pixels: small enough for a second.
pub const TINY: &str = r#"schema = 1
name   = "tiny"
about  = "labels on a small network"
seed   = 0
[models.encoder]
kind  = "backbone/r3d"
width = 4
[models.head]
kind    = "head/linear"
classes = 12
[stages.learn]
epochs     = 2
batch      = 4
world      = 1
batch_norm = "synced"
precision  = "fp32"
minimise   = "loss.loss"
optimiser  = { kind = "sgd", lr = 0.1, momentum = 0.9, weight_decay = 0.0 }
schedule   = { kind = "constant" }
keep       = { last = 2 }
[stages.learn.nodes]
video  = { kind = "source/shards", set = "tiny", split = "train01", hold_out = 0, height = 32, width = 32 }
clip   = { kind = "clip/at", in = "video.frames", position = "first", length = 8, stride = 1 }
normal = { kind = "view/normalize", in = "clip.clips", mean = [0.5, 0.5, 0.5], deviation = [0.2, 0.2, 0.2] }
seen   = { apply = "encoder", in = "normal.clips" }
pool   = { kind = "head/global_pool", in = "seen.map" }
logits = { apply = "head", in = "pool.features" }
loss   = { kind = "loss/cross_entropy", in = { logits = "logits.logits", label = "video.label" } }
"#;

/// A further stage of [`TINY`], which reads what training left.
pub const GALLERY: &str = r#"
[stages.gallery]
weights   = "learn"
batch     = 4
precision = "fp32"
files     = ["table.rows"]
[stages.gallery.nodes]
video  = { kind = "source/shards", set = "tiny", split = "train01", hold_out = 0, height = 32, width = 32 }
clip   = { kind = "clip/at", in = "video.frames", position = "first", length = 8, stride = 1 }
normal = { kind = "view/normalize", in = "clip.clips", mean = [0.5, 0.5, 0.5], deviation = [0.2, 0.2, 0.2] }
seen   = { apply = "encoder", in = "normal.clips" }
pool   = { kind = "head/global_pool", in = "seen.map" }
table  = { kind = "collect/mean", in = { rows = "pool.features", label = "video.label" }, over = [] }
"#;
