//! The command line. Both `dv` and the engine process parse it from here, so that it is written down once.

mod pack;
mod weights;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::value::{Device, Feed, Setting};
pub use pack::{Filter, Pack, Preset};
pub use weights::{Export, From, Import, Like};

/// Self-supervised video representation learning: an experiment is one graph in a TOML file
#[derive(Debug, Parser)]
#[command(name = "dv", override_usage = "dv VERB [OPTIONS]", arg_required_else_help = true, disable_version_flag = true)]
pub struct Cli {
    #[command(subcommand)]
    pub verb: Option<Verb>,
    /// Print the versions of dv, torch and ffmpeg
    #[arg(short = 'V', long, exclusive = true)]
    pub version: bool,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run a graph's stages, from packed video to a table
    Run(Run),
    /// Report every error of graphs, with file:line:col; opens nothing heavy
    Check(Check),
    /// Show the resolved graph: shapes, rates, where each node runs
    Show(Show),
    /// Show what differs between two graphs after resolving, and what else that changes
    Diff(Diff),
    /// List the node kinds, a line each, or describe one
    Nodes(Nodes),
    /// Write a generated data set's video files
    Generate(Generate),
    /// Pack video files into frame shards
    Pack(Pack),
    /// Show what a packed data set holds, rejected files included; or what differs between two
    Inspect(Inspect),
    /// Check every checksum of a packed data set, or of a run; names file, video and frame of what is wrong
    Verify(Verify),
    /// Read a checkpoint of PyTorch (.pth, .pth.tar, .pt) into safetensors; nothing in it is executed
    Import(Import),
    /// Write a run's weights as safetensors, or as a file that torch.load reads
    Export(Export),
    /// Run a part of a graph on given tensors and write what its edges carry
    Probe(Probe),
    /// Measure
    #[command(subcommand)]
    Bench(Bench),
}

/// Which graph, with what changed.
#[derive(Debug, Args)]
pub struct Graph {
    /// The graph's TOML file
    pub graph: PathBuf,
    /// Only this point of a sweep, by its name as dv show lists it: AXIS=VALUE,AXIS=VALUE
    #[arg(long, value_name = "POINT")]
    pub point: Option<String>,
    #[command(flatten)]
    pub with: With,
}

/// What all verbs that read a graph take.
#[derive(Debug, Args)]
pub struct With {
    /// The folder that holds the packed sets by name [default: DV_DATA, else data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Replace a value of the graph: PATH is a TOML key, VALUE is TOML, else a string; repeatable
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub settings: Vec<Setting>,
}

impl With {
    /// Where packed sets lie: `--data`, else `DV_DATA`, else `data`.
    pub fn data_dir(&self) -> PathBuf {
        let named = || std::env::var_os("DV_DATA").filter(|dir| !dir.is_empty()).map(PathBuf::from);
        self.data.clone().or_else(named).unwrap_or_else(|| "data".into())
    }
}

/// A number from 1 to `most`.
fn count(most: usize) -> impl Fn(&str) -> Result<NonZeroUsize, String> + Clone {
    move |text| {
        let number = text.parse().ok().filter(|n: &NonZeroUsize| n.get() <= most);
        number.ok_or_else(|| format!("expected an integer from 1 to {most}"))
    }
}

/// Threads, or processes: more than any machine has cores.
const THREADS: usize = 1024;
/// Training steps of a run.
const RUN_STEPS: usize = 1_000_000_000_000;
/// Training steps of a probe.
const STEPS: usize = 1_000_000;
/// A day.
const SECONDS: usize = 86_400;

/// A seed, in the range of a graph's.
fn seed(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|n: &u64| i64::try_from(*n).is_ok());
    number.ok_or_else(|| format!("expected an integer from 0 to {}", i64::MAX))
}

/// What computes.
#[derive(Debug, Args)]
pub struct Compute {
    /// cpu, cuda or cuda:N [default: cuda where there is one, else cpu]
    #[arg(long)]
    pub device: Option<Device>,
    /// Torch's threads, from 1 to 1024 [default: one a core]
    #[arg(long, value_name = "N", value_parser = count(THREADS), allow_negative_numbers = true)]
    pub compute_threads: Option<NonZeroUsize>,
}

#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    pub graph: Graph,
    /// The run's folder [default: runs/NAME, the graph's name]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Run this stage, and what upstream of it has no result yet; repeatable
    #[arg(long = "stage", value_name = "NAME")]
    pub stages: Vec<String>,
    #[command(flatten)]
    pub compute: Compute,
    /// The loader's threads, from 1 to 1024 [default: one a core]
    #[arg(long, value_name = "N", value_parser = count(THREADS), allow_negative_numbers = true)]
    pub threads: Option<NonZeroUsize>,
    /// How many processes compute; decides only the speed
    #[arg(long, value_name = "N", default_value = "1", value_parser = count(THREADS), allow_negative_numbers = true)]
    pub ranks: NonZeroUsize,
    /// Continue the run in --out from its last checkpoints, to the bit
    #[arg(long)]
    pub resume: bool,
    /// Stop after N training steps of this call, as a signal would: the state is saved, the exit status is 130
    #[arg(long, value_name = "N", value_parser = count(RUN_STEPS), allow_negative_numbers = true)]
    pub stop_after: Option<NonZeroUsize>,
    /// Run every stage in seconds, on tiny generated sets
    #[arg(long)]
    pub smoke: bool,
}

#[derive(Debug, Args)]
pub struct Check {
    /// The graphs' TOML files
    #[arg(required = true, value_name = "GRAPH")]
    pub graphs: Vec<PathBuf>,
    #[command(flatten)]
    pub with: With,
}

#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    pub graph: Graph,
    #[arg(long, value_enum, default_value = "text")]
    pub format: ShowFormat,
    /// Show what the stages cost instead: parameters, FLOPs and activation memory of a step, what an epoch reads (text or json)
    #[arg(long)]
    pub cost: bool,
    /// Only the cost of this stage
    #[arg(long, value_name = "STAGE", requires = "cost")]
    pub stage: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ShowFormat {
    Text,
    Dot,
    Svg,
    Json,
}

#[derive(Debug, Args)]
pub struct Diff {
    /// The graph that is compared
    #[arg(value_name = "A.toml")]
    pub a: PathBuf,
    /// What it is compared with; --set changes both
    #[arg(value_name = "B.toml")]
    pub b: PathBuf,
    /// The point of A where it is a sweep, as dv show lists them [default: the first]
    #[arg(long, value_name = "POINT")]
    pub point_a: Option<String>,
    /// The point of B where it is a sweep [default: the first]
    #[arg(long, value_name = "POINT")]
    pub point_b: Option<String>,
    #[command(flatten)]
    pub with: With,
    #[arg(long, value_enum, default_value = "text")]
    pub format: DocumentFormat,
}

#[derive(Debug, Args)]
pub struct Nodes {
    /// A kind, as in loss/nt_xent, described in full; or a family, as in loss [default: a list of all kinds]
    pub kind: Option<String>,
    #[arg(long, value_enum, default_value = "text")]
    pub format: NodesFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NodesFormat {
    Text,
    Json,
    /// Every kind in full
    Markdown,
    /// The JSON schema of graph files, for editors
    Schema,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DocumentFormat {
    Text,
    Json,
}

#[derive(Debug, Args)]
pub struct Generate {
    /// Which set
    #[arg(value_enum)]
    pub name: Generated,
    /// Draws the videos; the texture on them is always the same
    #[arg(long, value_name = "N", default_value = "0", value_parser = seed, allow_negative_numbers = true)]
    pub seed: u64,
    /// The folder to make; it will hold videos/ and splits/
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// From 1 to 1024 [default: one a core]
    #[arg(long, value_name = "N", value_parser = count(THREADS), allow_negative_numbers = true)]
    pub threads: Option<NonZeroUsize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Generated {
    /// Twelve classes that only motion tells apart: 480 videos of 64 frames of 64x64
    Motion,
}

#[derive(Debug, Args)]
pub struct Inspect {
    /// The packed set's folder
    pub dir: PathBuf,
    /// Another packed set: print what differs between the two; exit status 0 where their content is equal, 1 where it is not
    #[arg(value_name = "OTHER")]
    pub other: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Verify {
    /// The folder of the packed set, of the run or of the sweep
    pub dir: PathBuf,
}

#[derive(Debug, Args)]
pub struct Probe {
    #[command(flatten)]
    pub graph: Graph,
    /// The stage whose graph is run
    #[arg(long, value_name = "NAME")]
    pub stage: String,
    /// Parameters, as model/path or by the graph's `names`
    #[arg(long, value_name = "W.safetensors")]
    pub weights: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "eval")]
    pub mode: Mode,
    /// Run N training steps, from 1 to 1,000,000, on feeds stacked along a first axis
    #[arg(long, value_name = "N", value_parser = count(STEPS), allow_negative_numbers = true)]
    pub steps: Option<NonZeroUsize>,
    /// Put a tensor in an edge's place
    #[arg(long = "feed", value_name = "node.port=IN.safetensors#KEY", num_args = 1..)]
    pub feeds: Vec<Feed>,
    /// Write what an edge carries, or after.NAME a parameter, buffer or register afterwards
    #[arg(long = "fetch", value_name = "node.port", num_args = 1..)]
    pub fetches: Vec<String>,
    /// Write the gradient of a parameter or edge
    #[arg(long = "grad", value_name = "PARAMETER_OR_node.port", num_args = 1..)]
    pub grads: Vec<String>,
    #[command(flatten)]
    pub compute: Compute,
    /// The file to write
    #[arg(long, value_name = "OUT.safetensors")]
    pub out: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    Train,
    Eval,
}

#[derive(Debug, Subcommand)]
pub enum Bench {
    /// How many clips a second the loader delivers, and what they cost
    Data(BenchData),
    /// What a training or evaluation step takes, on resident data and with the loader
    Step(BenchStep),
}

#[derive(Debug, Args)]
pub struct BenchStep {
    #[command(flatten)]
    pub graph: Graph,
    /// The stage whose steps are measured [default: the first that reads videos]
    #[arg(long, value_name = "NAME")]
    pub stage: Option<String>,
    /// How long to measure each of both, at most a day
    #[arg(long, value_name = "N", default_value = "10", value_parser = count(SECONDS), allow_negative_numbers = true)]
    pub seconds: NonZeroUsize,
    /// The loader's threads, from 1 to 1024 [default: one a core]
    #[arg(long, value_name = "N", value_parser = count(THREADS), allow_negative_numbers = true)]
    pub threads: Option<NonZeroUsize>,
    #[command(flatten)]
    pub compute: Compute,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct BenchData {
    #[command(flatten)]
    pub graph: Graph,
    /// The stage whose source is read [default: the first that has one]
    #[arg(long, value_name = "NAME")]
    pub stage: Option<String>,
    /// How long to measure, at most a day
    #[arg(long, value_name = "N", default_value = "10", value_parser = count(SECONDS), allow_negative_numbers = true)]
    pub seconds: NonZeroUsize,
    /// The loader's threads, from 1 to 1024 [default: one a core]
    #[arg(long, value_name = "N", value_parser = count(THREADS), allow_negative_numbers = true)]
    pub threads: Option<NonZeroUsize>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn definitions_hold_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn numbers_have_ranges() {
        let run = |option: &str, n: &str| Cli::try_parse_from(["dv", "run", "g.toml", option, n]);
        let bench = |option: &str, n: &str| Cli::try_parse_from(["dv", "bench", "data", "g.toml", option, n]);
        let generate = |n: &str| Cli::try_parse_from(["dv", "generate", "motion", "--out", "o", "--seed", n]);
        let probe = |n: &str| Cli::try_parse_from(["dv", "probe", "g.toml", "--stage", "s", "--out", "o", "--steps", n]);
        for option in ["--threads", "--compute-threads", "--ranks"] {
            assert!(run(option, "1").is_ok() && run(option, "1024").is_ok());
            for bad in ["0", "-1", "1025", "4294967297", "18446744073709551616", "1.5", "two"] {
                let said = run(option, bad).unwrap_err().to_string();
                assert!(said.contains(option) && said.contains("expected an integer from 1 to 1024"), "{said}");
            }
        }
        assert!(bench("--seconds", "86400").is_ok() && bench("--seconds", "86401").is_err() && bench("--threads", "1025").is_err());
        assert!(probe("1000000").is_ok() && probe("1000001").is_err() && probe("0").is_err());
        assert!(generate("0").is_ok() && generate("9223372036854775807").is_ok() && generate("9223372036854775808").is_err());
    }

    #[test]
    fn probe_takes_many_feeds() {
        let line = "dv probe g.toml --stage s --feed a.x=f#k b.y=f#l --fetch c.z after.d --feed e.v=f#m --out o";
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        let Some(Verb::Probe(probe)) = cli.verb else { panic!("not probe") };
        assert_eq!((probe.feeds.len(), probe.fetches.len(), probe.mode), (3, 2, Mode::Eval));
    }
}
