//! The parameters of all models, and how they come about: from the seed, or from a file.

use crate::weights::Weights;
use anyhow::{bail, Context, Result};
use dv_graph::draw::Key;
use dv_graph::kind::{Init, Parameter, Role};
use dv_graph::plan::ModelPlan;
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

/// All models that a stage applies.
#[derive(Default)]
pub struct Store {
    pub models: IndexMap<String, Model>,
}

/// Values drawn from the seed and the parameter's path `model/name`: the same whatever else the graph holds.
fn initial(seed: u64, path: &str, p: &Parameter) -> Tensor {
    let n: usize = p.shape.iter().product();
    let shape: Vec<i64> = p.shape.iter().map(|d| *d as i64).collect();
    if p.role == Role::Counter {
        return Tensor::zeros(&shape[..], (Kind::Int64, Device::Cpu));
    }
    let values: Vec<f32> = match p.init {
        Init::Constant(value) => vec![value as f32; n],
        Init::Uniform(bound) => {
            let mut rng = Key::initial(seed, path).rng();
            (0..n).map(|_| rng.uniform(-bound, bound) as f32).collect()
        }
        Init::Normal(deviation) => {
            let mut rng = Key::initial(seed, path).rng();
            (0..n).map(|_| (rng.normal() * deviation) as f32).collect()
        }
    };
    Tensor::from_slice(&values).reshape(&shape[..])
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
    /// Parameters that are trained, in PyTorch's order.
    pub fn trained(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.order.iter().filter(|(_, role)| role.trained()).map(|(n, _)| (n.as_str(), &self.tensors[n]))
    }
    /// Whether gradients are recorded for the trained parameters.
    pub fn require_gradient(&mut self, on: bool) {
        for (name, _) in self.order.iter().filter(|(_, role)| role.trained()) {
            if let Some(t) = self.tensors.get_mut(name) {
                *t = t.detach().set_requires_grad(on);
            }
        }
    }
    /// Replaces a tensor's values; shape and dtype must agree.
    pub fn set(&mut self, name: &str, value: &Tensor) -> Result<()> {
        let own = self.tensors.get(name).with_context(|| format!("no parameter `{name}`"))?;
        if own.size() != value.size() {
            bail!("`{name}` has the shape {:?}, the file {:?}", own.size(), value.size());
        }
        tch::no_grad(|| own.shallow_clone().copy_(value));
        Ok(())
    }
}

impl Store {
    /// Every tensor as `model/name`, in order.
    pub fn named(&self) -> impl Iterator<Item = (String, &Tensor)> {
        self.models.iter().flat_map(|(m, model)| model.order.iter().map(move |(n, _)| (format!("{m}/{n}"), &model.tensors[n])))
    }
    pub fn get(&self, path: &str) -> Option<&Tensor> {
        let (model, name) = path.split_once('/')?;
        self.models.get(model)?.tensors.get(name)
    }
    /// Writes all tensors.
    pub fn save(&self, path: &Path) -> Result<()> {
        let tensors: BTreeMap<String, Tensor> = self.named().map(|(n, t)| (n, t.shallow_clone())).collect();
        crate::tensors::write(path, &tensors)
    }
}
