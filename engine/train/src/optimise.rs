//! Optimisers over libtorch's fused kernels, with their state in reach.

use crate::shim;
use crate::store::Store;
use anyhow::Result;
use dv_graph::stage::{Optimiser, Sgd};
use std::collections::BTreeMap;
use tch::Tensor;

/// An optimiser and its state for the trained parameters of some models.
pub struct Running {
    settings: Sgd,
    /// `model/name` and the tensor, detached, sharing the model's storage.
    parameters: Vec<(String, Tensor)>,
    buffers: Vec<Tensor>,
    steps: u64,
}

impl Running {
    pub fn new(optimiser: &Optimiser, store: &Store, models: &[String]) -> Running {
        let Optimiser::Sgd(settings) = optimiser;
        let parameters: Vec<(String, Tensor)> = models
            .iter()
            .filter_map(|m| Some((m, store.models.get(m)?)))
            .flat_map(|(m, model)| model.trained().map(move |(n, t)| (format!("{m}/{n}"), t.shallow_clone())))
            .collect();
        let buffers = parameters.iter().map(|(_, t)| t.detach().zeros_like()).collect();
        Running { settings: settings.clone(), parameters, buffers, steps: 0 }
    }

    /// One step at `factor` times the learning rate; gradients are taken and cleared. A parameter without a gradient stays.
    pub fn step(&mut self, factor: f64) -> Result<()> {
        let (mut p, mut g, mut b) = (Vec::new(), Vec::new(), Vec::new());
        for ((_, tensor), buffer) in self.parameters.iter().zip(&self.buffers) {
            let gradient = tensor.grad();
            if gradient.defined() {
                p.push(tensor.detach());
                g.push(gradient);
                b.push(buffer.shallow_clone());
            }
        }
        let s = &self.settings;
        tch::no_grad(|| shim::fused_sgd(&p, &g, &b, s.lr * factor, s.momentum, s.weight_decay, self.steps == 0))?;
        self.steps += 1;
        for (_, tensor) in &mut self.parameters {
            tensor.zero_grad();
        }
        Ok(())
    }

    /// The state as tensors: momentum buffers under `momentum/<path>`, and `steps`.
    pub fn state(&self) -> BTreeMap<String, Tensor> {
        let mut out: BTreeMap<String, Tensor> =
            self.parameters.iter().zip(&self.buffers).map(|((n, _), b)| (format!("momentum/{n}"), b.shallow_clone())).collect();
        out.insert("steps".into(), Tensor::from(self.steps as i64));
        out
    }
}
