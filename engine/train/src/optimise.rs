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
        // the kernel takes no empty list
        if !p.is_empty() {
            tch::no_grad(|| shim::fused_sgd(&p, &g, &b, s.lr * factor, s.momentum, s.weight_decay, self.steps == 0))?;
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Model;
    use crate::tensors;
    use dv_graph::kind::Role;
    use std::collections::HashMap;
    use std::path::Path;
    use tch::Kind;

    /// Three steps on `sum(0.5 * w * (x - target)^2)`: the numbers of `torch.optim.SGD` (parity case h_sgd).
    #[test]
    fn sgd_takes_the_steps_of_the_reference() {
        let case = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/parity/cases/h_sgd.safetensors"));
        let case = tensors::read(case).unwrap();
        // each setting starts where the one before ended, with no momentum
        let mut start = case["given.x0"].copy();
        for (name, lr, weight_decay) in [("lr0.1_wd1e-4", 0.1, 1e-4), ("lr0.05_wd1e-3", 0.05, 1e-3), ("lr0.001_wd5e-4", 0.001, 5e-4)] {
            let x = start.copy().set_requires_grad(true);
            let mut store = Store::default();
            let model = Model { tensors: HashMap::from([("x".to_string(), x.shallow_clone())]), order: vec![("x".into(), Role::Weight)] };
            store.models.insert("m".into(), model);
            let mut sgd = Running::new(&Optimiser::Sgd(Sgd { lr, momentum: 0.9, weight_decay }), &store, &["m".into()]);
            for step in 0..3 {
                let loss: Tensor = (&case["given.w"] * (&x - &case["given.target"]).square() * 0.5).sum(Kind::Float);
                loss.backward();
                sgd.step(1.0).unwrap();
                for (what, now, tolerance) in
                    [("x", x.detach(), 1e-6), ("momentum_buffer", sgd.state()["momentum/m/x"].shallow_clone(), 1e-5)]
                {
                    let want = case[&format!("{name}.{what}")].get(step);
                    let worst = (now - &want).abs() - want.abs() * 1e-5;
                    assert!(f64::try_from(worst.max()).unwrap() <= tolerance, "{name} {what} step {step}");
                }
            }
            start = x.detach();
        }
    }

    #[test]
    fn a_parameter_without_a_gradient_stays() {
        let mut store = Store::default();
        let x = Tensor::ones([2], (Kind::Float, tch::Device::Cpu)).set_requires_grad(true);
        let model = Model { tensors: HashMap::from([("x".to_string(), x.shallow_clone())]), order: vec![("x".into(), Role::Weight)] };
        store.models.insert("m".into(), model);
        let mut sgd = Running::new(&Optimiser::Sgd(Sgd { lr: 1.0, momentum: 0.9, weight_decay: 0.1 }), &store, &["m".into()]);
        sgd.step(1.0).unwrap();
        assert!(x.equal(&Tensor::ones([2], (Kind::Float, tch::Device::Cpu))));
    }
}
