use super::*;
use crate::state::store::Model;
use crate::state::tensors;
use dv_graph::kind::Role;
use dv_graph::optimiser::{Adam, AdamW, Lars, Sgd};
use std::collections::HashMap;
use std::path::Path;
use tch::nn::{self, OptimizerConfig, VarStore};

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
        let mut sgd = Running::new(&Optimiser::Sgd(Sgd { lr, momentum: 0.9, weight_decay, nesterov: false }), &[], &store, &["m".into()]);
        for step in 0..3 {
            let loss: Tensor = (&case["given.w"] * (&x - &case["given.target"]).square() * 0.5).sum(Kind::Float);
            loss.backward();
            sgd.step(|lr| lr).unwrap();
            for (what, now, tolerance) in [("x", x.detach(), 1e-6), ("momentum_buffer", sgd.state()["momentum/m/x"].shallow_clone(), 1e-5)]
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
    let mut sgd =
        Running::new(&Optimiser::Sgd(Sgd { lr: 0.5, momentum: 0.9, weight_decay: 0.1, nesterov: false }), &[], &store, &["m".into()]);
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
    let mut sgd =
        Running::new(&Optimiser::Sgd(Sgd { lr: 0.5, momentum: 0.0, weight_decay: 0.0, nesterov: false }), &[], &store, &["m".into()]);
    for wanted in [0.5, 0.0] {
        x.sum(Kind::Float).backward();
        sgd.step(|lr| lr).unwrap();
        assert_eq!(x.detach().double_value(&[0]), wanted);
    }
}

#[test]
fn a_parameter_without_a_gradient_stays() {
    let mut store = Store::default();
    let x = Tensor::ones([2], (Kind::Float, tch::Device::Cpu)).set_requires_grad(true);
    let model = Model { tensors: HashMap::from([("x".to_string(), x.shallow_clone())]), order: vec![("x".into(), Role::Weight)] };
    store.models.insert("m".into(), model);
    let mut sgd =
        Running::new(&Optimiser::Sgd(Sgd { lr: 1.0, momentum: 0.9, weight_decay: 0.1, nesterov: false }), &[], &store, &["m".into()]);
    sgd.step(|lr| lr).unwrap();
    assert!(x.equal(&Tensor::ones([2], (Kind::Float, tch::Device::Cpu))));
}

fn sgd(nesterov: bool) -> Optimiser {
    Optimiser::Sgd(Sgd { lr: 0.05, momentum: 0.9, weight_decay: 0.01, nesterov })
}

fn adam() -> Optimiser {
    Optimiser::Adam(Adam { lr: 0.02, beta_1: 0.9, beta_2: 0.99, weight_decay: 0.05, epsilon: 1e-6 })
}

fn adamw() -> Optimiser {
    Optimiser::AdamW(AdamW { lr: 0.02, beta_1: 0.9, beta_2: 0.95, weight_decay: 0.1, epsilon: 1e-8 })
}

fn lars(weight_decay: f64, trust_ratio: bool) -> Optimiser {
    Optimiser::Lars(Lars { lr: 4.0, momentum: 0.9, weight_decay, trust_coefficient: 0.01, trust_ratio })
}

const SHAPES: [(&str, &[i64], Role); 3] =
    [("conv.weight", &[6, 5], Role::Weight), ("conv.bias", &[6], Role::Bias), ("bn.weight", &[37], Role::Norm)];

/// Numbers in [-1, 1] that differ from place to place.
fn waves(shape: &[i64], phase: f64) -> Tensor {
    let n: i64 = shape.iter().product();
    ((Tensor::arange(n, (Kind::Double, tch::Device::Cpu)) * 1.7 + phase).sin()).to_kind(Kind::Float).reshape(shape)
}

/// A store with a model of three parameters, and these.
fn three() -> (Store, Vec<Tensor>) {
    let parameters: Vec<Tensor> = SHAPES.iter().map(|(_, shape, _)| waves(shape, 0.3).set_requires_grad(true)).collect();
    let tensors = SHAPES.iter().zip(&parameters).map(|((name, ..), t)| (name.to_string(), t.shallow_clone())).collect();
    let order = SHAPES.iter().map(|(name, _, role)| (name.to_string(), *role)).collect();
    let mut store = Store::default();
    store.models.insert("m".into(), Model { tensors, order });
    (store, parameters)
}

/// Of which the gradients change from step to step.
fn loss(parameters: &[Tensor], step: usize) -> Tensor {
    let each = |t: &Tensor| (t - waves(&t.size(), step as f64)).square().sum(Kind::Float) * (1.0 + 0.1 * step as f64);
    parameters.iter().map(each).fold(Tensor::from(0.0f32), |sum, t| sum + t)
}

fn take(running: &mut Running, parameters: &[Tensor], steps: std::ops::Range<usize>) {
    for step in steps {
        loss(parameters, step).backward();
        running.step(|lr| lr).unwrap();
    }
}

fn group(pattern: &str, optimiser: Optimiser) -> ParameterGroup {
    ParameterGroup { name: "g".into(), patterns: vec![pattern.into()], optimiser }
}

/// libtorch's own optimiser for 20 steps, with its groups as `set` says, against ours.
fn equals_libtorch(own: &Optimiser, groups: &[ParameterGroup], of: impl OptimizerConfig, set: impl Fn(&mut nn::Optimizer)) {
    let vs = VarStore::new(tch::Device::Cpu);
    let add = |(i, (name, shape, _)): (usize, &(&str, &[i64], Role))| {
        vs.root().set_group(i).var_copy(&name.replace('.', "_"), &waves(shape, 0.3))
    };
    let theirs: Vec<Tensor> = SHAPES.iter().enumerate().map(add).collect();
    let mut torch = of.build(&vs, own.lr()).unwrap();
    set(&mut torch);
    let (store, ours) = three();
    let mut running = Running::new(own, groups, &store, &["m".into()]);
    for step in 0..20 {
        torch.backward_step(&loss(&theirs, step));
        take(&mut running, &ours, step..step + 1);
        for (a, b) in ours.iter().zip(&theirs) {
            let worst = (a - b).abs().max().double_value(&[]);
            assert!(worst <= 1e-6, "{own:?}: {worst} after step {step}");
        }
    }
    assert!(ours.iter().zip(SHAPES).all(|(t, (_, shape, _))| (t - waves(shape, 0.3)).abs().max().double_value(&[]) > 0.01));
}

#[test]
fn sgd_adam_and_adamw_are_those_of_libtorch() {
    equals_libtorch(&sgd(false), &[], nn::sgd(0.9, 0.0, 0.01, false), |_| {});
    equals_libtorch(&sgd(true), &[], nn::sgd(0.9, 0.0, 0.01, true), |_| {});
    equals_libtorch(&adam(), &[], nn::adam(0.9, 0.99, 0.05).eps(1e-6), |_| {});
    equals_libtorch(&adamw(), &[], nn::adamw(0.9, 0.95, 0.1), |_| {});
}

#[test]
fn groups_have_their_own_rate_and_decay() {
    let Optimiser::AdamW(stage) = adamw() else { unreachable!() };
    let slow = group("m/conv.weight", Optimiser::AdamW(AdamW { lr: 0.002, ..stage.clone() }));
    let bare = group(":norm", Optimiser::AdamW(AdamW { weight_decay: 0.0, ..stage }));
    equals_libtorch(&adamw(), &[slow, bare], nn::adamw(0.9, 0.95, 0.1), |torch| {
        torch.set_lr_group(0, 0.002);
        torch.set_weight_decay_group(2, 0.0);
    });
    let slow = group("m/conv.*", Optimiser::Sgd(Sgd { lr: 0.005, momentum: 0.9, weight_decay: 0.01, nesterov: true }));
    equals_libtorch(&sgd(true), &[slow], nn::sgd(0.9, 0.0, 0.01, true), |torch| {
        torch.set_lr_group(0, 0.005);
        torch.set_lr_group(1, 0.005);
    });
}

/// In float64, number by number: weight decay, trust ratio (where the group has one), momentum, step.
#[test]
fn lars_is_its_formula_and_groups_are_excluded() {
    let (store, parameters) = three();
    let plain = group(":norm", lars(0.0, false));
    let mut running = Running::new(&lars(0.02, true), &[plain], &store, &["m".into()]);
    let numbers = |t: &Tensor| Vec::<f64>::try_from(t.detach().to_kind(Kind::Double).flatten(0, -1)).unwrap();
    let mut exact: Vec<[Vec<f64>; 2]> = parameters.iter().map(|t| [numbers(t), vec![0.0; t.numel()]]).collect();
    let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
    for step in 0..20 {
        for ([w, buffer], (_, shape, role)) in exact.iter_mut().zip(SHAPES) {
            let target = numbers(&waves(shape, step as f64));
            let (decay, trusts) = if role == Role::Norm { (0.0, false) } else { (0.02, true) };
            let g: Vec<f64> = w.iter().zip(target).map(|(w, t)| 2.0 * (w - t) * (1.0 + 0.1 * step as f64) + decay * w).collect();
            let ratio = if trusts { 0.01 * norm(w) / norm(&g) } else { 1.0 };
            for ((w, b), g) in w.iter_mut().zip(buffer).zip(g) {
                *b = 0.9 * *b + ratio * g;
                *w -= 0.02 * *b;
            }
        }
        loss(&parameters, step).backward();
        running.step(|_| 0.02).unwrap();
        for (t, [w, _]) in parameters.iter().zip(&exact) {
            let worst = numbers(t).iter().zip(w).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(worst <= 2e-6, "{worst} after step {step}");
        }
    }
}

/// MoCo v3's code: the ratio is 1 where a norm is 0, as of a bias that starts at 0.
#[test]
fn lars_moves_a_parameter_of_length_0() {
    let (store, x, y) = two();
    let _ = tch::no_grad(|| x.shallow_clone().zero_());
    let mut running = Running::new(&lars(0.0, true), &[], &store, &["m".into()]);
    (&x + &y * 0.0).sum(Kind::Float).backward();
    running.step(|_| 0.5).unwrap();
    assert_eq!(Vec::<f32>::try_from(x.detach()).unwrap(), [-0.5; 2]);
    assert_eq!(Vec::<f32>::try_from(y.detach()).unwrap(), [1.0; 2]);
}

/// A parameter without a gradient in a step counts no step, as in PyTorch: its bias correction waits.
#[test]
fn adam_counts_the_steps_of_each_parameter() {
    let (store, x, y) = two();
    let mut running = Running::new(&adam(), &[], &store, &["m".into()]);
    x.sum(Kind::Float).backward();
    running.step(|lr| lr).unwrap();
    (&x + &y).sum(Kind::Float).backward();
    running.step(|lr| lr).unwrap();
    let state = running.state();
    assert_eq!(["x", "y"].map(|n| state[&format!("step/m/{n}")].double_value(&[])), [2.0, 1.0]);
}

#[test]
fn a_state_in_a_file_goes_on_bit_by_bit() {
    for optimiser in [sgd(false), sgd(true), adam(), adamw(), lars(0.02, true)] {
        let plain = [group(":norm", lars(0.0, false))];
        let groups = if matches!(optimiser, Optimiser::Lars(_)) { &plain[..] } else { &[] };
        let (store, straight) = three();
        let mut running = Running::new(&optimiser, groups, &store, &["m".into()]);
        take(&mut running, &straight, 0..3);

        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("optimiser.safetensors");
        tensors::write(&file, &running.state()).unwrap();
        let (other, resumed) = three();
        tch::no_grad(|| resumed.iter().zip(&straight).for_each(|(to, from)| to.shallow_clone().copy_(from)));
        let mut again = Running::new(&optimiser, groups, &other, &["m".into()]);
        again.load(tensors::read(&file).unwrap()).unwrap();

        take(&mut running, &straight, 3..6);
        take(&mut again, &resumed, 3..6);
        assert!(straight.iter().zip(&resumed).all(|(a, b)| a.equal(b)), "{optimiser:?}");
        let (a, b) = (running.state(), again.state());
        assert!(a.len() == b.len() && a.iter().all(|(name, t)| t.equal(&b[name])), "{optimiser:?}");

        let mut less = tensors::read(&file).unwrap();
        let (name, _) = less.pop_first().unwrap();
        assert!(again.load(less).unwrap_err().to_string().contains(&name));
    }
}
