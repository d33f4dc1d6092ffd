//! The parameters of all models and the state of all registers, and how they come about: from the seed, or from a file.

use crate::state::weights::Weights;
use anyhow::{bail, Context, Result};
use dv_graph::budget::{product, EDGE_BYTES};
use dv_graph::draw::Key;
use dv_graph::kind::{Init, Parameter, Role};
use dv_graph::plan::{ModelPlan, Register};
use dv_graph::port::{Dim, Type};
use indexmap::IndexMap;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// One model's tensors by PyTorch's names.
pub struct Model {
    pub tensors: HashMap<String, Tensor>,
    /// Names and roles in PyTorch's order.
    pub order: Vec<(String, Role)>,
}

/// All that a stage keeps from step to step: the models that it applies, and its registers by their nodes' paths.
#[derive(Default)]
pub struct Store {
    pub models: IndexMap<String, Model>,
    pub registers: IndexMap<String, RegisterState>,
}

/// A register's tensors, in the order in which it declares them.
pub struct RegisterState {
    pub tensors: HashMap<String, Tensor>,
    pub order: Vec<String>,
}

/// Whether a register has taken what stands at its `initial` edges: int64, 0-d, 0 or 1.
pub const STARTED: &str = "started";

/// Lengths that only the data knows, by their names.
pub type Lengths = HashMap<String, usize>;

/// A register's length as a number.
pub fn bound(dim: &Dim, lengths: &Lengths) -> Option<usize> {
    match dim {
        Dim::Known(n) => Some(*n),
        Dim::Symbol(name) => lengths.get(&**name).copied(),
    }
}

/// Values drawn from the seed and the parameter's path `model/name`: the same whatever else the graph holds.
fn initial(seed: u64, path: &str, p: &Parameter) -> Tensor {
    if p.role == Role::Counter {
        return Tensor::zeros(p.shape.iter().map(|d| *d as i64).collect::<Vec<_>>(), (Kind::Int64, Device::Cpu));
    }
    drawn(seed, path, &p.shape, p.init)
}

fn drawn(seed: u64, path: &str, shape: &[usize], init: Init) -> Tensor {
    let length = shape.last().copied().unwrap_or(1).max(1);
    let shape: Vec<i64> = shape.iter().map(|d| *d as i64).collect();
    let mut rng = Key::initial(seed, path).rng();
    match init {
        Init::Constant(value) => Tensor::full(&shape[..], value, (Kind::Float, Device::Cpu)),
        Init::Uniform(bound) => filled(&shape, 1, |v| v[0] = rng.uniform(-bound, bound) as f32),
        Init::Normal(deviation) => filled(&shape, 1, |v| v[0] = (rng.normal() * deviation) as f32),
        Init::UnitLength => filled(&shape, length, |v| {
            let drawn: Vec<f64> = v.iter().map(|_| rng.normal()).collect();
            let length = drawn.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-12);
            v.iter_mut().zip(drawn).for_each(|(v, x)| *v = (x / length) as f32);
        }),
    }
}

/// A tensor that `draw` fills in order, `unit` numbers at a time. libtorch allocates it: too large a one is its error, where a `Vec`'s
/// would end the process.
fn filled(shape: &[i64], unit: usize, mut draw: impl FnMut(&mut [f32])) -> Tensor {
    const PIECE: usize = 1 << 20;
    let out = Tensor::empty(shape, (Kind::Float, Device::Cpu));
    let flat = out.view(-1);
    let n = out.numel();
    let step = (PIECE / unit).max(1) * unit;
    let mut piece = vec![0f32; step.min(n)];
    for start in (0..n).step_by(step) {
        let piece = &mut piece[..step.min(n - start)];
        piece.chunks_mut(unit).for_each(&mut draw);
        flat.narrow(0, start as i64, piece.len() as i64).copy_(&Tensor::from_slice(piece));
    }
    out
}

impl Model {
    pub fn initial(name: &str, plan: &ModelPlan, seed: u64, device: Device) -> Model {
        let tensors =
            plan.parameters.iter().map(|p| (p.name.clone(), initial(seed, &format!("{name}/{}", p.name), p).to_device(device))).collect();
        Model { tensors, order: plan.parameters.iter().map(|p| (p.name.clone(), p.role)).collect() }
    }
    pub fn weights<'a>(&'a self, name: &'a str, training: bool) -> Weights<'a> {
        Weights::new(name, &self.tensors, training)
    }
    /// Whether gradients are recorded for the trained parameters.
    pub fn require_gradient(&mut self, on: bool) {
        for (name, _) in self.order.iter().filter(|(_, role)| role.trained()) {
            if let Some(t) = self.tensors.get_mut(name) {
                *t = t.detach().set_requires_grad(on);
            }
        }
    }
    /// Replaces a tensor's values. Errors: another shape, integers for floats or floats for a counter, a value that is not finite, a variance below 0.
    pub fn set(&mut self, name: &str, value: &Tensor) -> Result<()> {
        let own = self.tensors.get(name).with_context(|| format!("no parameter `{name}`"))?;
        let role = self.order.iter().find(|(n, _)| n == name).map(|(_, role)| *role);
        // of buffers only running variances are never negative
        let least = (role == Some(Role::Buffer) && name.ends_with("running_var")).then_some(0.0);
        replace(own, name, value, least)
    }
}

impl RegisterState {
    /// Values drawn from the seed and `path/tensor`. A length that nobody knows is a fault.
    pub fn initial(path: &str, plan: &Register, seed: u64, lengths: &Lengths, device: Device) -> Result<RegisterState> {
        let mut state = RegisterState { tensors: HashMap::new(), order: Vec::new() };
        for s in &plan.state {
            let shape: Vec<usize> = s
                .shape
                .iter()
                .map(|d| {
                    bound(d, lengths)
                        .with_context(|| format!("the register `{path}`: the length `{d}` is known only with the data (--data)"))
                })
                .collect::<Result<_>>()?;
            let numbers = product(shape.iter().copied());
            if numbers.saturating_mul(8) > EDGE_BYTES {
                bail!("the register `{path}`: `{}` would have {numbers} numbers ({shape:?}), more than can be held", s.name);
            }
            let mut tensor = drawn(seed, &format!("{path}/{}", s.name), &shape, s.init);
            if s.ty == Type::Index {
                tensor = tensor.to_kind(Kind::Int64);
            }
            state.put(s.name, tensor.to_device(device));
        }
        if !plan.initial.is_empty() {
            state.put(STARTED, Tensor::zeros([], (Kind::Int64, device)));
        }
        Ok(state)
    }
    fn put(&mut self, name: &str, tensor: Tensor) {
        self.tensors.insert(name.to_string(), tensor);
        self.order.push(name.to_string());
    }
    /// Replaces a tensor's values. Errors: another shape, integers for floats or floats for integers, a value that is not finite.
    pub fn set(&mut self, name: &str, value: &Tensor) -> Result<()> {
        let own = self.tensors.get(name).with_context(|| format!("no tensor `{name}`"))?;
        replace(own, name, value, None)
    }
}

/// Copies values that a tensor can hold. What would become another number in it is an error.
fn replace(own: &Tensor, name: &str, value: &Tensor, least: Option<f64>) -> Result<()> {
    if own.size() != value.size() {
        bail!("`{name}` has the shape {:?}, the file {:?}", own.size(), value.size());
    }
    let word = |t: &Tensor| if t.is_floating_point() { "floating point" } else { "integers" };
    let integer = |t: &Tensor| matches!(t.kind(), Kind::Int64 | Kind::Int | Kind::Int16 | Kind::Int8 | Kind::Uint8);
    if own.is_floating_point() != value.is_floating_point() || !(value.is_floating_point() || integer(value)) {
        bail!("`{name}` holds {}, and the file {:?} values", word(own), value.kind());
    }
    if value.is_floating_point() && value.numel() > 0 {
        let bad = i64::try_from(value.isfinite().logical_not().sum(Kind::Int64))?;
        if bad > 0 {
            bail!("`{name}`: {bad} of {} values are not finite", value.numel());
        }
        if let Some(least) = least.filter(|least| f64::try_from(value.min()).is_ok_and(|min| min < *least)) {
            bail!("`{name}`: a variance is below {least}");
        }
    }
    tch::no_grad(|| own.shallow_clone().copy_(value));
    Ok(())
}

impl Store {
    /// Models that average others take their step: `p = momentum * p + (1 - momentum) * source`, parameters only. Before the step's passes.
    pub fn average(&self, models: &IndexMap<String, ModelPlan>, trained: &[(String, bool)], frozen: &[String], step: u64, steps: u64) {
        for (name, model) in &self.models {
            let Some(ema) = models.get(name).and_then(|m| m.ema.as_ref()) else { continue };
            let moves = trained.iter().any(|(m, t)| *m == ema.of && *t) && !frozen.contains(name);
            let (Some(source), true) = (self.models.get(&ema.of), moves) else { continue };
            let momentum = ema.momentum.at(step, steps);
            tch::no_grad(|| {
                for (p, _) in model.order.iter().filter(|(_, role)| role.trained()) {
                    let own = model.tensors[p].shallow_clone();
                    let mean = &own * momentum + &source.tensors[p] * (1.0 - momentum);
                    own.shallow_clone().copy_(&mean);
                }
            });
        }
    }
    /// A model's values from another of the same kind.
    pub fn copy_model(&mut self, from: &str, to: &str) -> Result<()> {
        let source = self.models.get(from).with_context(|| format!("no model `{from}`"))?;
        let values: Vec<(String, Tensor)> = source.order.iter().map(|(n, _)| (n.clone(), source.tensors[n].detach())).collect();
        let target = self.models.get_mut(to).with_context(|| format!("no model `{to}`"))?;
        values.iter().try_for_each(|(n, v)| target.set(n, v))
    }
    /// Names of a model's or register's tensors.
    pub fn names_of(&self, name: &str) -> Vec<String> {
        match (self.models.get(name), self.registers.get(name)) {
            (Some(m), _) => m.order.iter().map(|(n, _)| n.clone()).collect(),
            (None, Some(r)) => r.order.clone(),
            (None, None) => Vec::new(),
        }
    }
    /// Replaces a tensor of a model or register.
    pub fn set(&mut self, owner: &str, name: &str, value: &Tensor) -> Result<()> {
        match (self.models.get_mut(owner), self.registers.get_mut(owner)) {
            (Some(m), _) => m.set(name, value),
            (None, Some(r)) => r.set(name, value),
            (None, None) => bail!("no model or register `{owner}`"),
        }
    }
    /// Takes the values of all tensors, as [`Store::named`] gave them: to the bit, whatever they are. Errors: one is missing, too many, of another
    /// shape or type.
    pub fn restore(&mut self, mut values: BTreeMap<String, Tensor>) -> Result<()> {
        for (name, own) in self.named() {
            let value = values.remove(&name).with_context(|| format!("there is no `{name}`"))?;
            if own.size() != value.size() || own.kind() != value.kind() {
                bail!("`{name}` is {:?} {:?}, and {:?} {:?} here", value.kind(), value.size(), own.kind(), own.size());
            }
            tch::no_grad(|| own.shallow_clone().copy_(&value));
        }
        match values.into_keys().next() {
            Some(name) => bail!("`{name}` is of no model or register here"),
            None => Ok(()),
        }
    }
    /// Every tensor as `model/name` or `register/name`, in order.
    pub fn named(&self) -> impl Iterator<Item = (String, &Tensor)> {
        let models =
            self.models.iter().flat_map(|(m, model)| model.order.iter().map(move |(n, _)| (format!("{m}/{n}"), &model.tensors[n])));
        models.chain(self.registers.iter().flat_map(|(r, state)| state.order.iter().map(move |n| (format!("{r}/{n}"), &state.tensors[n]))))
    }
    /// A tensor by `owner/name`: parameters have no `/` in their names, registers may have it in theirs.
    pub fn get(&self, path: &str) -> Option<&Tensor> {
        let (owner, name) = path.rsplit_once('/')?;
        match self.models.get(owner) {
            Some(model) => model.tensors.get(name),
            None => self.registers.get(owner)?.tensors.get(name),
        }
    }
    /// Writes all tensors.
    pub fn save(&self, path: &Path) -> Result<()> {
        let tensors: BTreeMap<String, Tensor> = self.named().map(|(n, t)| (n, t.shallow_clone())).collect();
        crate::state::tensors::write(path, &tensors)
    }
}
