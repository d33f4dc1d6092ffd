//! Optimisers, as the table of a stage states them.

use crate::stage::RATE;
use schemars::JsonSchema;
use serde::Deserialize;

/// A weight decay beyond it leaves nothing of the weights.
const DECAY: f64 = 1000.0;

/// Stochastic gradient descent as `torch.optim.SGD` computes it: `g = gradient + weight_decay * w`,
/// `buffer = momentum * buffer + g` (the first step takes `g`), `w -= lr * buffer`; with `nesterov`, `w -= lr * (g + momentum * buffer)`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sgd {
    /// Learning rate.
    #[schemars(range(max = RATE), extend("exclusiveMinimum" = 0.0))]
    pub lr: f64,
    /// Share of the last step's buffer that stays.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub momentum: f64,
    /// On every trained parameter, batch norm and biases included.
    #[schemars(range(min = 0.0, max = DECAY))]
    pub weight_decay: f64,
    /// Nesterov's momentum (default: false). Needs a `momentum` above 0.
    #[serde(default)]
    pub nesterov: bool,
}

/// Adam (Kingma and Ba 2015) as `torch.optim.Adam` computes it: `g = gradient + weight_decay * w`, running means of `g` and of its square, and after `t` steps
/// `w -= lr * (mean / (1 - beta_1^t)) / (sqrt(square / (1 - beta_2^t)) + epsilon)`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Adam {
    /// Learning rate.
    #[schemars(range(max = RATE), extend("exclusiveMinimum" = 0.0))]
    pub lr: f64,
    /// Share of the running mean of gradients that stays, 0.9 in the paper.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta_1: f64,
    /// Share of the running mean of their squares that stays, 0.999 in the paper.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta_2: f64,
    /// Added to the gradient, on every trained parameter (for decoupled weight decay, use `adamw`).
    #[schemars(range(min = 0.0, max = DECAY))]
    pub weight_decay: f64,
    /// Added to the root of the squares (default: 1e-8).
    #[serde(default = "epsilon")]
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    pub epsilon: f64,
}

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019) as `torch.optim.AdamW` computes it: first `w -= lr * weight_decay * w`, then Adam's step on
/// the gradient alone.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdamW {
    /// Learning rate.
    #[schemars(range(max = RATE), extend("exclusiveMinimum" = 0.0))]
    pub lr: f64,
    /// Share of the running mean of gradients that stays, 0.9 in the paper.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta_1: f64,
    /// Share of the running mean of their squares that stays, 0.999 in the paper.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta_2: f64,
    /// Each step takes this times `lr` off every trained parameter.
    #[schemars(range(min = 0.0, max = DECAY))]
    pub weight_decay: f64,
    /// Added to the root of the squares (default: 1e-8).
    #[serde(default = "epsilon")]
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    pub epsilon: f64,
}

/// LARS (You et al. 2017) in the form of MoCo v3's and Barlow Twins' code: `g = gradient + weight_decay * w`, scaled for each parameter by its trust ratio
/// `trust_coefficient * |w| / |g|` (1 where a norm is 0), then `buffer = momentum * buffer + g`, `w -= lr * buffer`. (The paper's eq. 6 divides
/// by `|gradient| + weight_decay * |w|`.) Norm and bias parameters are usually excluded from both, by a parameter group.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lars {
    /// Learning rate.
    #[schemars(range(max = RATE), extend("exclusiveMinimum" = 0.0))]
    pub lr: f64,
    /// Share of the last step's buffer that stays.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub momentum: f64,
    /// On every trained parameter, before the trust ratio.
    #[schemars(range(min = 0.0, max = DECAY))]
    pub weight_decay: f64,
    /// What the trust ratio is multiplied by (default: 0.001).
    #[serde(default = "trust_coefficient")]
    #[schemars(range(max = 1000.0), extend("exclusiveMinimum" = 0.0))]
    pub trust_coefficient: f64,
    /// Whether steps are scaled by the trust ratio (default: true). With `false`, in a parameter group, they are those of `sgd`.
    #[serde(default = "trust_ratio")]
    pub trust_ratio: bool,
}

fn epsilon() -> f64 {
    1e-8
}

fn trust_coefficient() -> f64 {
    0.001
}

fn trust_ratio() -> bool {
    true
}

/// The optimisers that a graph may name.
#[derive(Clone, Debug, PartialEq)]
pub enum Optimiser {
    Sgd(Sgd),
    Adam(Adam),
    AdamW(AdamW),
    Lars(Lars),
}

impl Optimiser {
    /// The learning rate, before any schedule.
    pub fn lr(&self) -> f64 {
        match self {
            Optimiser::Sgd(o) => o.lr,
            Optimiser::Adam(o) => o.lr,
            Optimiser::AdamW(o) => o.lr,
            Optimiser::Lars(o) => o.lr,
        }
    }
}
