//! Optimisers over libtorch's fused kernels, with their state in reach.

use crate::shim;
use crate::store::Store;
use anyhow::Result;
use dv_graph::stage::{Optimiser, ParameterGroup, Sgd};
use std::collections::BTreeMap;
use tch::Tensor;

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
    buffer: Tensor,
    /// Of its group, or of the stage.
    settings: Sgd,
}

impl Running {
    pub fn new(optimiser: &Optimiser, groups: &[ParameterGroup], store: &Store, models: &[String]) -> Running {
        let mut parameters = Vec::new();
        for (m, model) in models.iter().filter_map(|m| Some((m, store.models.get(m)?))) {
            for (n, role) in model.order.iter().filter(|(_, role)| role.trained()) {
                let path = format!("{m}/{n}");
                let group = groups.iter().find(|g| g.matches(&path, *role));
                let Optimiser::Sgd(settings) = group.map_or(optimiser, |g| &g.optimiser);
                let tensor = model.tensors[n].shallow_clone();
                parameters.push(Trained { path, buffer: tensor.detach().zeros_like(), tensor, settings: settings.clone() });
            }
        }
        Running { parameters, steps: 0 }
    }

    /// One step at what `rate` makes of each learning rate; gradients are taken and cleared. A parameter without a gradient stays.
    pub fn step(&mut self, rate: impl Fn(f64) -> f64) -> Result<()> {
        let mut done: Vec<&Sgd> = Vec::new();
        for settings in self.parameters.iter().map(|p| &p.settings) {
            if done.contains(&settings) {
                continue;
            }
            done.push(settings);
            let (mut p, mut g, mut b) = (Vec::new(), Vec::new(), Vec::new());
            for own in self.parameters.iter().filter(|own| own.settings == *settings) {
                let gradient = own.tensor.grad();
                if gradient.defined() {
                    p.push(own.tensor.detach());
                    g.push(gradient);
                    b.push(own.buffer.shallow_clone());
                }
            }
            let s = settings;
            // the kernel takes no empty list
            if !p.is_empty() {
                tch::no_grad(|| shim::fused_sgd(&p, &g, &b, rate(s.lr), s.momentum, s.weight_decay, self.steps == 0))?;
            }
        }
        self.steps += 1;
        for own in &mut self.parameters {
            own.tensor.zero_grad();
        }
        Ok(())
    }

    /// The state as tensors: momentum buffers under `momentum/<path>`, and `steps`.
    pub fn state(&self) -> BTreeMap<String, Tensor> {
        let mut out: BTreeMap<String, Tensor> =
            self.parameters.iter().map(|p| (format!("momentum/{}", p.path), p.buffer.shallow_clone())).collect();
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
            let mut sgd = Running::new(&Optimiser::Sgd(Sgd { lr, momentum: 0.9, weight_decay }), &[], &store, &["m".into()]);
            for step in 0..3 {
                let loss: Tensor = (&case["given.w"] * (&x - &case["given.target"]).square() * 0.5).sum(Kind::Float);
                loss.backward();
                sgd.step(|lr| lr).unwrap();
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
        let mut sgd = Running::new(&Optimiser::Sgd(Sgd { lr: 1.0, momentum: 0.9, weight_decay: 0.1 }), &[], &store, &["m".into()]);
        sgd.step(|lr| lr).unwrap();
        assert!(x.equal(&Tensor::ones([2], (Kind::Float, tch::Device::Cpu))));
    }
}
