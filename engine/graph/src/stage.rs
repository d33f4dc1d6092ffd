//! How a stage is driven: its settings beside its nodes.

use crate::optimiser::Optimiser;
use schemars::JsonSchema;
use serde::Deserialize;

/// No experiment trains for more epochs.
pub(crate) const EPOCHS: u32 = 1_000_000;
/// Samples of a global batch. The largest published ones have some ten thousand.
const BATCH: u32 = 1_048_576;
/// Processes of a paper.
const WORLD: u32 = 65_536;
/// A learning rate beyond it is a slip of the keyboard.
pub(crate) const RATE: f64 = 1e6;

/// A stage of the experiment. With `minimise` it trains; without, it extracts or evaluates.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StageSettings {
    /// Epochs to train.
    #[schemars(range(min = 1, max = EPOCHS))]
    pub epochs: Option<u64>,
    /// The global batch, in samples.
    #[schemars(range(min = 1, max = BATCH))]
    pub batch: Option<usize>,
    /// Equal parts into which the mathematics divides the global batch (the paper's number of processes).
    #[schemars(range(min = 1, max = WORLD))]
    pub world: Option<usize>,
    /// Whether batch norm sees the whole global batch or one part of the world.
    pub batch_norm: Option<BatchNorm>,
    /// Arithmetic of the models: `fp32`, or `bf16` for their forward and backward passes (autocast).
    pub precision: Option<Precision>,
    /// Whether an epoch drops its last batch where that has fewer samples than `batch` (default: true). With `false` the
    /// shorter batch is a step like the others, and `world` is 1. Of a stage that trains.
    pub drop_last: Option<bool>,
    /// Batches whose gradients one step of the optimiser takes the mean of (default: 1). At the end of an epoch it may be fewer. Batch norm
    /// and losses see one batch at a time. Of a stage that trains.
    #[schemars(range(min = 1, max = BATCH))]
    pub accumulate: Option<usize>,
    /// Gradients are scaled so that their 2-norm, over all trained parameters, is at most this (`torch.nn.utils.clip_grad_norm_`). Of a stage that
    /// trains.
    #[schemars(range(max = RATE), extend("exclusiveMinimum" = 0.0))]
    pub clip_norm: Option<f64>,
    /// A line of `metrics.jsonl` for every so many steps, beside that of each epoch. Of a stage that trains.
    #[schemars(range(min = 1, max = EPOCHS))]
    pub log_every: Option<u64>,
    /// The scalar to minimise, `node.port`.
    pub minimise: Option<String>,
    /// Scalars to report, `node.port`. Other scalars are logged and keep nothing alive.
    #[serde(default)]
    pub metrics: Vec<String>,
    /// Tables to write to files, `node.port`: OUT/files/STAGE/NODE.PORT.safetensors, with the samples' ids, rows and labels.
    #[serde(default)]
    pub files: Vec<String>,
    /// Models that are not trained and run in evaluation mode.
    #[serde(default)]
    pub frozen: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BatchNorm {
    Synced,
    PerRank,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    Fp32,
    Bf16,
}

/// A model that averages another: `p = momentum * p + (1 - momentum) * source` at the start of a training step (MoCo, eq. 2).
#[derive(Clone, Debug, PartialEq)]
pub struct Ema {
    pub of: String,
    pub momentum: Momentum,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Momentum {
    Constant(f64),
    Cosine(CosineMomentum),
}

/// Half a cosine over the steps of the stage (BYOL, section 3.2).
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CosineMomentum {
    /// In the first step.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub from: f64,
    /// After the last step.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub to: f64,
}

/// A momentum that stays the same, as the model's table states it.
pub(crate) fn momentum_schema() -> serde_json::Value {
    serde_json::json!({ "type": "number", "minimum": 0.0, "maximum": 1.0 })
}

impl Momentum {
    /// `step` counts from 0 among the `steps` of the stage.
    pub fn at(&self, step: u64, steps: u64) -> f64 {
        match self {
            Momentum::Constant(m) => *m,
            Momentum::Cosine(c) => {
                let way = step as f64 / (steps as f64).max(1.0);
                c.to - (c.to - c.from) * 0.5 * ((std::f64::consts::PI * way).cos() + 1.0)
            }
        }
    }
}

/// The learning rate stays as the optimiser says.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Constant {}

/// The learning rate is multiplied by `factor` from each of the epochs in `at` on (epochs count from 0, as in DualVar's code).
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Steps {
    /// Epochs, counted from 0, rising.
    #[schemars(length(max = 10_000), inner(range(min = 0, max = EPOCHS)))]
    pub at: Vec<u64>,
    /// What the learning rate is multiplied by at each of them.
    #[schemars(range(max = 1000.0), extend("exclusiveMinimum" = 0.0))]
    pub factor: f64,
}

/// A linear rise over the first part of all steps, rounded to whole ones, then half a cosine down to 0.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cosine {
    /// Share of all steps that the rise takes.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub warm_up: f64,
}

/// The learning rate is multiplied by `factor` when a metric got no better for more than `patience` epochs in which it was
/// taken (`torch.optim.lr_scheduler.ReduceLROnPlateau`: better means by more than a ten-thousandth, relative).
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plateau {
    /// The metric: `node.port` of this stage (its mean over an epoch), or `stage/node.port` of one that runs during it.
    pub on: String,
    /// What the learning rate is multiplied by.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub factor: f64,
    /// Epochs without improvement before the rate drops.
    #[schemars(range(min = 0, max = EPOCHS))]
    pub patience: u64,
    /// The learning rate never falls below this; no bound if omitted.
    #[schemars(range(min = 0.0, max = RATE))]
    pub least: Option<f64>,
    /// Which values are better (default: `lowest` for a port named `loss`, else `highest`).
    pub goal: Option<Goal>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    Highest,
    Lowest,
}

impl Goal {
    /// As the graph says; else by the metric's name.
    pub fn of(given: Option<Goal>, metric: &str) -> Goal {
        given.unwrap_or(if metric.ends_with(".loss") { Goal::Lowest } else { Goal::Highest })
    }
    /// Whether a value beats the best so far; what is no number never does.
    pub fn better(self, value: f64, best: f64) -> bool {
        match self {
            Goal::Highest => value > best,
            Goal::Lowest => value < best,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    Constant(Constant),
    Steps(Steps),
    Cosine(Cosine),
    Plateau(Plateau),
}

impl Schedule {
    /// What the learning rate is multiplied by, as far as epoch and step say it (a plateau's own factor comes on top). `epoch` and `step` count from 0; `step` is that of the whole stage.
    pub fn factor(&self, epoch: u64, step: u64, steps: u64) -> f64 {
        match self {
            Schedule::Constant(_) | Schedule::Plateau(_) => 1.0,
            Schedule::Steps(s) => (0..s.at.iter().filter(|at| **at <= epoch).count()).fold(1.0, |f, _| f * s.factor),
            Schedule::Cosine(c) => {
                let rise = (c.warm_up * steps as f64).round();
                let now = step as f64;
                if now < rise {
                    (now + 1.0) / rise
                } else {
                    let way = (now - rise) / (steps as f64 - rise).max(1.0);
                    0.5 * (1.0 + (std::f64::consts::PI * way).cos())
                }
            }
        }
    }
}

/// Which checkpoints stay: the newest, and the best by a metric. A checkpoint that another stage names stays as well.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// How many of the newest; without it the last one.
    #[schemars(range(min = 1, max = EPOCHS))]
    pub last: Option<u64>,
    /// The metric by which one more is kept: `node.port` of this stage, or `stage/node.port` of one that runs during it.
    pub best: Option<String>,
    /// Which values are best (default: `lowest` for a port named `loss`, else `highest`).
    pub goal: Option<Goal>,
    /// How often a checkpoint is written: `{ epochs = N }`, `{ steps = N }` or `{ minutes = N }`; without it every tenth of the stage. A run that is
    /// interrupted goes on from the last one.
    pub every: Option<Every>,
}

/// How often a checkpoint is written.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Every {
    /// After so many epochs.
    Epochs(#[schemars(range(min = 1, max = EPOCHS))] u64),
    /// After so many steps of the stage, within an epoch too.
    Steps(#[schemars(range(min = 1, max = EPOCHS))] u64),
    /// When so many minutes have passed, after the step under way.
    Minutes(#[schemars(range(min = 0.0, max = RATE))] f64),
}

/// When a stage runs while another trains.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct During {
    /// The stage that trains.
    pub stage: String,
    /// After each of so many of its epochs, and after its last.
    #[schemars(range(min = 1, max = EPOCHS))]
    pub every: u64,
}

/// Settings of the optimiser for some of the parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterGroup {
    pub name: String,
    /// Paths `model/parameter` with `*` for any characters; `:norm` and `:bias` (alone or after a path) take these roles only.
    pub patterns: Vec<String>,
    pub optimiser: Optimiser,
}

impl ParameterGroup {
    /// Whether a parameter belongs to the group.
    pub fn matches(&self, path: &str, role: crate::kind::Role) -> bool {
        use crate::kind::Role;
        self.patterns.iter().any(|p| {
            let (path_pattern, wanted) = p.split_once(':').map_or((p.as_str(), None), |(p, r)| (p, Some(r)));
            let fits = match wanted {
                None => true,
                Some("norm") => role == Role::Norm,
                Some(_) => role == Role::Bias,
            };
            fits && (path_pattern.is_empty() || glob(path_pattern, path))
        })
    }
}

/// `*` stands for any text, also an empty one or one with `/`.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Where a model's values come from at the start of a stage.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// Drawn anew from the seed and the parameter's path.
    Initial,
    /// As an earlier stage left them.
    Stage { stage: String, at: Checkpoint },
    /// A safetensors file, as an absolute path; `names` where it calls the model otherwise than the graph does.
    File { file: std::path::PathBuf, names: Option<Vec<String>> },
}

/// Which checkpoint of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checkpoint {
    Last,
    /// After so many completed epochs.
    Epoch(u64),
    /// The one that its `keep.best` chose.
    Best,
}

/// Everything about a stage but its nodes.
#[derive(Clone, Debug, Default)]
pub struct Drive {
    pub settings: StageSettings,
    pub optimiser: Option<Optimiser>,
    pub schedule: Option<Schedule>,
    pub keep: Option<Keep>,
    /// Model or register (or `*`) and origin.
    pub weights: Vec<(String, Origin)>,
    pub during: Option<During>,
    /// In the file's order; a parameter belongs to at most one.
    pub parameters: Vec<ParameterGroup>,
}

impl Drive {
    pub fn trains(&self) -> bool {
        self.settings.minimise.is_some()
    }
    pub fn world(&self) -> usize {
        self.settings.world.unwrap_or(1)
    }
    /// Whether an epoch of training drops a last batch that is shorter than the others.
    pub fn drops_last(&self) -> bool {
        self.settings.drop_last.unwrap_or(true)
    }
    /// The origin of a model, its own before `*`.
    pub fn origin(&self, model: &str) -> Option<&Origin> {
        let of = |name: &str| self.weights.iter().find(|(n, _)| n == name).map(|(_, o)| o);
        of(model).or_else(|| of("*"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimiser::Sgd;

    #[test]
    fn steps_multiply_from_the_epoch_of_the_milestone_on() {
        // DualVar's pretraining scripts: lr 0.003, milestones 120 and 160
        let s = Schedule::Steps(Steps { at: vec![120, 160], factor: 0.1 });
        let lr: Vec<f64> = [0, 119, 120, 159, 160, 199].iter().map(|e| 0.003 * s.factor(*e, 0, 1)).collect();
        for (lr, want) in lr.iter().zip([0.003, 0.003, 3e-4, 3e-4, 3e-5, 3e-5]) {
            assert!((lr / want - 1.0).abs() < 1e-9, "{lr} {want}");
        }
    }

    /// The reference's schedules (parity case h_lr_dualvar): the lr during each epoch, relative tolerance 1e-9.
    #[test]
    fn the_published_schedules() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/parity/cases/h_lr_dualvar.json");
        let case: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let schedules = case["params"]["schedules"].as_array().unwrap();
        assert!(schedules.len() >= 5);
        for s in schedules {
            let at = s["milestones"].as_array().unwrap().iter().map(|m| m.as_u64().unwrap()).collect();
            let schedule = Schedule::Steps(Steps { at, factor: s["gamma"].as_f64().unwrap() });
            let mut want = 0.0;
            for epoch in 0..s["epochs"].as_u64().unwrap() {
                let change = s["lr_changes"].as_array().unwrap().iter().find(|c| c["from"] == epoch);
                want = change.map_or(want, |c| c["lr"].as_f64().unwrap());
                let now = s["lr"].as_f64().unwrap() * schedule.factor(epoch, 0, 1);
                assert!((now / want - 1.0).abs() < 1e-9, "{} epoch {epoch}: {now} {want}", s["name"]);
            }
        }
    }

    #[test]
    fn a_momentum_goes_from_one_end_to_the_other() {
        let m = Momentum::Cosine(CosineMomentum { from: 0.99, to: 1.0 });
        assert!((m.at(0, 100) - 0.99).abs() < 1e-12 && (m.at(100, 100) - 1.0).abs() < 1e-12);
        assert!((m.at(50, 100) - 0.995).abs() < 1e-12);
    }

    #[test]
    fn groups_of_parameters() {
        use crate::kind::Role;
        let group = |patterns: &[&str]| ParameterGroup {
            name: "g".into(),
            patterns: patterns.iter().map(|p| p.to_string()).collect(),
            optimiser: Optimiser::Sgd(Sgd { lr: 1.0, momentum: 0.0, weight_decay: 0.0, nesterov: false }),
        };
        assert!(group(&["encoder/*"]).matches("encoder/conv1.weight", Role::Weight));
        assert!(!group(&["encoder/*"]).matches("head/weight", Role::Weight));
        assert!(
            group(&["*.weight"]).matches("encoder/a.weight", Role::Weight) && !group(&["*.weight"]).matches("m/a.weights", Role::Weight)
        );
        assert!(group(&["m/*a*b"]).matches("m/xaxb", Role::Weight) && !group(&["m/*a*b"]).matches("m/xb", Role::Weight));
        assert!(group(&[":norm"]).matches("m/bn.bias", Role::Norm) && !group(&[":norm"]).matches("m/fc.bias", Role::Bias));
        assert!(group(&["m/*:bias"]).matches("m/fc.bias", Role::Bias) && !group(&["n/*:bias"]).matches("m/fc.bias", Role::Bias));
        assert!(group(&["m/fc.bias"]).matches("m/fc.bias", Role::Bias) && !group(&["m/fc"]).matches("m/fc.bias", Role::Bias));
    }

    /// `torch.optim.lr_scheduler.LinearLR` and the closed form of `CosineAnnealingLR` after it, a step of which is one of the optimiser's.
    #[test]
    fn cosine_rises_then_falls_to_nothing() {
        for (warm_up, steps, rise) in [(0.0, 100, 0), (0.1, 100, 10), (0.07, 100, 7), (0.1, 96, 10), (0.3, 7, 2), (0.99, 5, 5)] {
            let s = Schedule::Cosine(Cosine { warm_up });
            for i in 0..steps {
                let want = match i < rise {
                    true => (i + 1) as f64 / rise as f64,
                    false => (1.0 + ((i - rise) as f64 * std::f64::consts::PI / (steps - rise) as f64).cos()) / 2.0,
                };
                let now = s.factor(0, i, steps);
                assert!((now - want).abs() < 1e-12 && now <= 1.0, "{warm_up} of {steps} at {i}: {now} {want}");
            }
        }
        assert!(Schedule::Cosine(Cosine { warm_up: 0.1 }).factor(0, 99, 100) < 0.001);
    }

    #[test]
    fn a_constant_rate_and_a_plateau_follow_no_step() {
        let plateau = Plateau { on: "x".into(), factor: 0.1, patience: 1, least: None, goal: None };
        for s in [Schedule::Constant(Constant {}), Schedule::Plateau(plateau)] {
            assert!((0..50).all(|i| s.factor(i / 10, i, 50) == 1.0));
        }
    }
}
