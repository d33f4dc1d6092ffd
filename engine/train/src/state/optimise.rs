//! Optimisers over libtorch's fused kernels, with their state in reach.

use crate::exec::shim;
use crate::state::store::Store;
use anyhow::{ensure, Context, Result};
use dv_graph::stage::{Optimiser, ParameterGroup, Sgd};
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

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
        shim::clear_gradients(self.parameters.iter().map(|own| &own.tensor))
    }

    /// The state as tensors: momentum buffers under `momentum/<path>`, and `steps`.
    pub fn state(&self) -> BTreeMap<String, Tensor> {
        let mut out: BTreeMap<String, Tensor> =
            self.parameters.iter().map(|p| (format!("momentum/{}", p.path), p.buffer.shallow_clone())).collect();
        out.insert("steps".into(), Tensor::from(self.steps as i64));
        out
    }

    /// Takes a state that [`Running::state`] gave. Errors: a buffer is missing, has another shape, or belongs to no parameter here.
    pub fn load(&mut self, mut state: BTreeMap<String, Tensor>) -> Result<()> {
        for own in &self.parameters {
            let name = format!("momentum/{}", own.path);
            let value = state.remove(&name).with_context(|| format!("the optimiser's state has no `{name}`"))?;
            ensure!(value.size() == own.buffer.size(), "`{name}` has the shape {:?}, the parameter {:?}", value.size(), own.buffer.size());
            own.buffer.shallow_clone().copy_(&value);
        }
        let steps = state.remove("steps").context("the optimiser's state has no `steps`")?;
        self.steps = u64::try_from(i64::try_from(&steps)?).context("`steps`")?;
        ensure!(state.is_empty(), "the optimiser knows nothing of {}", state.keys().cloned().collect::<Vec<_>>().join(", "));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::store::Model;
    use crate::state::tensors;
    use dv_graph::kind::Role;
    use std::collections::HashMap;
    use std::path::Path;

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

    fn two() -> (Store, Tensor, Tensor) {
        let mut store = Store::default();
        let parameter = || Tensor::ones([2], (Kind::Float, tch::Device::Cpu)).set_requires_grad(true);
        let (x, y) = (parameter(), parameter());
        let tensors = HashMap::from([("x".to_string(), x.shallow_clone()), ("y".to_string(), y.shallow_clone())]);
        store.models.insert("m".into(), Model { tensors, order: vec![("x".into(), Role::Weight), ("y".into(), Role::Weight)] });
        (store, x, y)
    }

    /// Against `torch.optim.SGD` of torch 2.11: `y` has a gradient in the first step only, and stays where that left it.
    #[test]
    fn a_parameter_that_had_a_gradient_is_skipped_without_one() {
        let (store, x, y) = two();
        let mut sgd = Running::new(&Optimiser::Sgd(Sgd { lr: 0.5, momentum: 0.9, weight_decay: 0.1 }), &[], &store, &["m".into()]);
        (&x + &y).sum(Kind::Float).backward();
        sgd.step(|lr| lr).unwrap();
        for _ in 0..2 {
            x.sum(Kind::Float).backward();
            sgd.step(|lr| lr).unwrap();
        }
        let first = |t: &Tensor| t.detach().double_value(&[0]);
        // 1 - 0.5 * (1 + 0.1)
        assert!((first(&y) - 0.45).abs() < 1e-6, "{}", first(&y));
        // momentum and decay go on
        assert!(first(&x) < -1.5, "{}", first(&x));
    }

    #[test]
    fn without_momentum_a_step_is_the_gradient_alone() {
        let (store, x, _) = two();
        let mut sgd = Running::new(&Optimiser::Sgd(Sgd { lr: 0.5, momentum: 0.0, weight_decay: 0.0 }), &[], &store, &["m".into()]);
        for wanted in [0.5, 0.0] {
            x.sum(Kind::Float).backward();
            sgd.step(|lr| lr).unwrap();
            assert_eq!(x.detach().double_value(&[0]), wanted);
        }
    }

    #[test]
    fn a_state_that_was_kept_goes_on_bit_by_bit() {
        let optimiser = Optimiser::Sgd(Sgd { lr: 0.1, momentum: 0.9, weight_decay: 0.01 });
        let step = |sgd: &mut Running, x: &Tensor| {
            x.square().sum(Kind::Float).backward();
            sgd.step(|lr| lr).unwrap();
        };
        let (store, x, _) = two();
        let mut straight = Running::new(&optimiser, &[], &store, &["m".into()]);
        (0..2).for_each(|_| step(&mut straight, &x));
        let (other, y, _) = two();
        tch::no_grad(|| y.shallow_clone().copy_(&x));
        let mut resumed = Running::new(&optimiser, &[], &other, &["m".into()]);
        let copy = |state: BTreeMap<String, Tensor>| state.into_iter().map(|(n, t)| (n, t.copy())).collect::<BTreeMap<_, _>>();
        resumed.load(copy(straight.state())).unwrap();
        (0..2).for_each(|_| step(&mut straight, &x));
        (0..2).for_each(|_| step(&mut resumed, &y));
        assert!(x.equal(&y));
        let mut less = copy(straight.state());
        less.remove("momentum/m/y");
        assert!(resumed.load(less).unwrap_err().to_string().contains("momentum/m/y"));
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
