//! One step of each optimiser.

use crate::exec::shim;
use anyhow::Result;
use dv_graph::optimiser::{Adam, AdamW, Lars, Optimiser, Sgd};
use tch::{Kind, Tensor};

/// What an optimiser keeps for each parameter.
pub(super) fn names(optimiser: &Optimiser) -> &'static [&'static str] {
    match optimiser {
        Optimiser::Sgd(_) | Optimiser::Lars(_) => &["momentum"],
        Optimiser::Adam(_) | Optimiser::AdamW(_) => &["exp_avg", "exp_avg_sq", "step"],
    }
}

/// The same before the first step: as large as the parameter, but for the number of its steps.
pub(super) fn zeros(optimiser: &Optimiser, parameter: &Tensor) -> Vec<Tensor> {
    let zeros = |name: &&str| match *name {
        "step" => Tensor::zeros([], (Kind::Float, parameter.device())),
        _ => parameter.detach().zeros_like(),
    };
    names(optimiser).iter().map(zeros).collect()
}

/// Parameters with the same settings, their gradients, and what is kept for each.
pub(super) struct Part {
    pub parameters: Vec<Tensor>,
    gradients: Vec<Tensor>,
    /// A list for each of [`names`].
    state: Vec<Vec<Tensor>>,
}

impl Part {
    pub fn of(optimiser: &Optimiser) -> Part {
        Part { parameters: Vec::new(), gradients: Vec::new(), state: names(optimiser).iter().map(|_| Vec::new()).collect() }
    }
    pub fn add(&mut self, parameter: Tensor, gradient: Tensor, state: &[Tensor]) {
        self.parameters.push(parameter);
        self.gradients.push(gradient);
        self.state.iter_mut().zip(state).for_each(|(list, t)| list.push(t.shallow_clone()));
    }
}

/// One step at the learning rate `lr`, in place; gradients may change as well. `first`: the optimiser's first.
pub(super) fn step(optimiser: &Optimiser, part: &Part, lr: f64, first: bool) -> Result<()> {
    let Part { parameters, gradients, state } = part;
    let adam = |settings: &Adam, decoupled| shim::fused_adam(parameters, gradients, [&state[0], &state[1], &state[2]], settings, decoupled);
    match optimiser {
        Optimiser::Sgd(settings) => shim::fused_sgd(parameters, gradients, &state[0], &Sgd { lr, ..settings.clone() }, first),
        Optimiser::Adam(settings) => adam(&Adam { lr, ..settings.clone() }, false),
        Optimiser::AdamW(AdamW { beta_1, beta_2, weight_decay, epsilon, .. }) => {
            adam(&Adam { lr, beta_1: *beta_1, beta_2: *beta_2, weight_decay: *weight_decay, epsilon: *epsilon }, true)
        }
        Optimiser::Lars(settings) => {
            let Lars { momentum, mut weight_decay, .. } = *settings;
            if settings.trust_ratio {
                parameters.iter().zip(gradients).for_each(|(w, g)| scale(w, g, settings));
                // which the scaled gradient holds already
                weight_decay = 0.0;
            }
            // scaled gradients, then momentum: an SGD of them
            shim::fused_sgd(parameters, gradients, &state[0], &Sgd { lr, momentum, weight_decay, nesterov: false }, first)
        }
    }
}

/// Adds the weight decay to a gradient and multiplies it by its trust ratio, `trust_coefficient * |w| / |g|`, or by 1 where either is 0.
fn scale(w: &Tensor, g: &Tensor, settings: &Lars) {
    let mut g = g.shallow_clone();
    let _ = g.g_add_(&(w * settings.weight_decay));
    // 0-d, and so without waiting for a device
    let (of_weight, of_gradient) = (w.norm(), g.norm());
    let ratio = &of_weight * settings.trust_coefficient / &of_gradient;
    let both = of_weight.gt(0.0).logical_and(&of_gradient.gt(0.0));
    let _ = g.g_mul_(&ratio.where_self(&both, &ratio.ones_like()));
}
