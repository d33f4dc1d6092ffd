//! Optimisers over libtorch's fused kernels, with their state in reach.

use crate::exec::shim;
use crate::state::store::Store;
use anyhow::{ensure, Context, Result};
use dv_graph::optimiser::Optimiser;
use dv_graph::stage::ParameterGroup;
use rule::Part;
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

mod rule;

/// An optimiser and its state for the trained parameters of some models.
pub struct Running {
    parameters: Vec<Trained>,
    steps: u64,
}

struct Trained {
    /// `model/name`
    path: String,
    /// Detached, sharing the model's storage.
    tensor: Tensor,
    /// In the order of [`rule::names`].
    state: Vec<Tensor>,
    /// Of its group, or of the stage.
    optimiser: Optimiser,
}

impl Trained {
    /// Its state by the names that a checkpoint has: `momentum/<path>`.
    fn named(&self) -> impl Iterator<Item = (String, &Tensor)> {
        rule::names(&self.optimiser).iter().zip(&self.state).map(|(name, t)| (format!("{name}/{}", self.path), t))
    }
}

impl Running {
    pub fn new(optimiser: &Optimiser, groups: &[ParameterGroup], store: &Store, models: &[String]) -> Running {
        let mut parameters = Vec::new();
        for (m, model) in models.iter().filter_map(|m| Some((m, store.models.get(m)?))) {
            for (n, role) in model.order.iter().filter(|(_, role)| role.trained()) {
                let path = format!("{m}/{n}");
                let group = groups.iter().find(|g| g.matches(&path, *role));
                let optimiser = group.map_or(optimiser, |g| &g.optimiser).clone();
                let tensor = model.tensors[n].shallow_clone();
                parameters.push(Trained { path, state: rule::zeros(&optimiser, &tensor), tensor, optimiser });
            }
        }
        Running { parameters, steps: 0 }
    }

    /// The 2-norm over all gradients together (`torch.nn.utils.clip_grad_norm_`), and the first parameter whose gradient is not finite.
    pub fn gradient_norm(&self) -> Result<(f64, Option<&str>)> {
        let gradients = self.parameters.iter().map(|own| (own, own.tensor.grad())).filter(|(_, g)| g.defined());
        let (owners, norms): (Vec<&Trained>, Vec<Tensor>) = gradients.map(|(own, g)| (own, g.norm().to_kind(Kind::Float))).unzip();
        if norms.is_empty() {
            return Ok((0.0, None));
        }
        let norms = Tensor::stack(&norms, 0);
        let total = f64::try_from(norms.norm())?;
        if total.is_finite() {
            return Ok((total, None));
        }
        let each = Vec::<f32>::try_from(&norms)?;
        let first = owners.iter().zip(&each).find(|(_, norm)| !norm.is_finite()).map(|(own, _)| own.path.as_str());
        // each may be finite and their squares' sum not
        Ok((total, first.or(Some("all parameters together"))))
    }

    /// Scales all gradients, whose norm is `norm`, to a norm of at most `most`, as `torch.nn.utils.clip_grad_norm_` does.
    pub fn clip_gradients(&self, norm: f64, most: f64) {
        let factor = most / (norm + 1e-6);
        if factor < 1.0 {
            tch::no_grad(|| {
                for gradient in self.parameters.iter().map(|own| own.tensor.grad()).filter(Tensor::defined) {
                    let _ = gradient.shallow_clone().g_mul_scalar_(factor);
                }
            });
        }
    }

    /// One step at what `rate` makes of each learning rate; gradients are taken and cleared. A parameter that has no gradient in this step is skipped
    /// (no momentum, no weight decay), whether or not it had one before: as torch 2, which sets gradients to none.
    pub fn step(&mut self, rate: impl Fn(f64) -> f64) -> Result<()> {
        let mut done: Vec<&Optimiser> = Vec::new();
        for optimiser in self.parameters.iter().map(|p| &p.optimiser) {
            if done.contains(&optimiser) {
                continue;
            }
            done.push(optimiser);
            let mut part = Part::of(optimiser);
            for own in self.parameters.iter().filter(|own| own.optimiser == *optimiser) {
                let gradient = own.tensor.grad();
                if gradient.defined() {
                    part.add(own.tensor.detach(), gradient, &own.state);
                }
            }
            // the kernels take no empty list
            if !part.parameters.is_empty() {
                tch::no_grad(|| rule::step(optimiser, &part, rate(optimiser.lr()), self.steps == 0))?;
            }
        }
        self.steps += 1;
        shim::clear_gradients(self.parameters.iter().map(|own| &own.tensor))
    }

    /// The state as tensors: what each parameter keeps, under PyTorch's name for it and its path (`momentum/<path>`, `exp_avg/<path>`), and `steps`.
    pub fn state(&self) -> BTreeMap<String, Tensor> {
        let own = self.parameters.iter().flat_map(Trained::named).map(|(name, t)| (name, t.shallow_clone()));
        own.chain([("steps".into(), Tensor::from(self.steps as i64))]).collect()
    }

    /// Takes a state that [`Running::state`] gave. Errors: a tensor is missing, has another shape, or belongs to no parameter here.
    pub fn load(&mut self, mut state: BTreeMap<String, Tensor>) -> Result<()> {
        for (name, own) in self.parameters.iter().flat_map(Trained::named) {
            let value = state.remove(&name).with_context(|| format!("the optimiser's state has no `{name}`"))?;
            ensure!(value.size() == own.size(), "`{name}` has the shape {:?}, the parameter {:?}", value.size(), own.size());
            own.shallow_clone().copy_(&value);
        }
        let steps = state.remove("steps").context("the optimiser's state has no `steps`")?;
        self.steps = u64::try_from(i64::try_from(&steps)?).context("`steps`")?;
        ensure!(state.is_empty(), "the optimiser knows nothing of {}", state.keys().cloned().collect::<Vec<_>>().join(", "));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
