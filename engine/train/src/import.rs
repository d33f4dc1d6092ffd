//! Weights from a safetensors file: parameters, buffers and registers, by dv's names or by the reference's.

use crate::store::{Lengths, Store};
use crate::tensors;
use anyhow::{bail, Context, Result};
use dv_graph::kind::Reference;
use dv_graph::plan::{Plan, StagePlan};
use dv_graph::port::Dim;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tch::Tensor;

/// A file's tensors, taken out as they find their places.
pub struct WeightsFile {
    path: PathBuf,
    values: BTreeMap<String, Tensor>,
}

/// `[K, ...]` as `[..., K]`.
pub(crate) fn first_axis_last(t: &Tensor) -> Tensor {
    let n = t.dim() as i64;
    let order: Vec<i64> = (1..n).chain([0]).collect();
    t.permute(&order[..]).contiguous()
}

/// `[..., K]` as `[K, ...]`.
fn last_axis_first(t: &Tensor) -> Tensor {
    let n = t.dim() as i64;
    let order: Vec<i64> = [n - 1].into_iter().chain(0..n - 1).collect();
    t.permute(&order[..]).contiguous()
}

impl WeightsFile {
    pub fn read(path: &Path) -> Result<WeightsFile> {
        Ok(WeightsFile { path: path.to_path_buf(), values: tensors::read(path)? })
    }

    /// Lengths that only the data knows, as the file's registers have them.
    pub fn lengths(&self, stage: &StagePlan, lengths: &mut Lengths) {
        for node in &stage.nodes {
            for state in node.register.iter().flat_map(|r| &r.state) {
                let Some(value) = self.find(node, state.name) else { continue };
                for (dim, length) in state.shape.iter().zip(value.size()) {
                    if let Dim::Symbol(name) = dim {
                        lengths.entry(name.to_string()).or_insert(length as usize);
                    }
                }
            }
        }
    }

    fn find(&self, node: &dv_graph::plan::NodePlan, tensor: &str) -> Option<Tensor> {
        if let Some(value) = self.values.get(&format!("{}/{tensor}", node.path)) {
            return Some(value.shallow_clone());
        }
        let (name, layout) = node.register.as_ref()?.reference_name(tensor)?;
        let value = self.values.get(name)?;
        Some(if layout == Reference::FirstAxisLast { last_axis_first(value) } else { value.shallow_clone() })
    }

    /// All models and registers of a stage. What matches nothing, on either side, is a fault.
    pub fn load_all(mut self, plan: &Plan, stage: &StagePlan, store: &mut Store) -> Result<()> {
        let mut missing = Vec::new();
        let owners: Vec<String> = store.models.keys().cloned().collect();
        for model in &owners {
            self.model(plan, model, None, store, &mut missing)?;
        }
        for node in stage.nodes.iter().filter(|n| n.register.is_some()) {
            self.register(node, store, &mut missing)?;
        }
        // a checkpoint holds the graph's other models as well
        for (name, model) in &plan.models {
            for p in &model.parameters {
                self.values.remove(&format!("{name}/{}", p.name));
                model.reference_name(&p.name).and_then(|n| self.values.remove(&n));
            }
        }
        self.done(missing)
    }

    fn model(&mut self, plan: &Plan, name: &str, names: Option<&[String]>, store: &mut Store, missing: &mut Vec<String>) -> Result<()> {
        let model = &plan.models[name];
        for tensor in store.names_of(name) {
            let full = format!("{name}/{tensor}");
            let reference = model.name_under(names.unwrap_or(&model.names), &tensor);
            let own = if names.is_none() { self.values.remove(&full) } else { None };
            match own.or_else(|| self.values.remove(reference.as_deref()?)) {
                Some(v) => store.set(name, &tensor, &v).with_context(|| format!("{}: {full}", self.path.display()))?,
                None => missing.push(reference.unwrap_or(full)),
            }
        }
        Ok(())
    }

    /// What the reference has no tensor for may be lacking in a file with its names.
    fn register(&mut self, node: &dv_graph::plan::NodePlan, store: &mut Store, missing: &mut Vec<String>) -> Result<()> {
        let Some(register) = &node.register else { return Ok(()) };
        for tensor in store.names_of(&node.path) {
            let full = format!("{}/{tensor}", node.path);
            match self.find(node, &tensor) {
                Some(v) => store.set(&node.path, &tensor, &v).with_context(|| format!("{}: {full}", self.path.display()))?,
                None if register.names.is_empty() => missing.push(full.clone()),
                None => missing.extend(register.reference_name(&tensor).map(|(n, _)| n.to_string())),
            }
            self.values.remove(&full);
            register.reference_name(&tensor).and_then(|(n, _)| self.values.remove(n));
        }
        Ok(())
    }

    fn done(self, missing: Vec<String>) -> Result<()> {
        if !missing.is_empty() || !self.values.is_empty() {
            let list = |names: Vec<String>| if names.is_empty() { "none".to_string() } else { names.join(", ") };
            bail!(
                "{}: weights that match nothing\n  the graph asks for, and the file lacks: {}\n  the file holds, and the graph knows nothing of: {}",
                self.path.display(),
                list(missing),
                list(self.values.into_keys().collect())
            );
        }
        Ok(())
    }
}

/// One model or register from a file that may hold others: what lies beside its paths is left alone, what lies below them must match.
pub(crate) fn load(file: &Path, names: Option<&[String]>, plan: &Plan, stage: &StagePlan, name: &str, store: &mut Store) -> Result<()> {
    let mut weights = WeightsFile::read(file)?;
    let mut missing = Vec::new();
    let prefixes: Vec<String> = match plan.models.get(name) {
        Some(model) => {
            weights.model(plan, name, names, store, &mut missing)?;
            names.unwrap_or(&model.names).iter().map(|n| format!("{n}.")).chain([format!("{name}/")]).collect()
        }
        None => {
            let node = stage.node(name).with_context(|| format!("no register `{name}`"))?;
            weights.register(&stage.nodes[node], store, &mut missing)?;
            vec![format!("{name}/")]
        }
    };
    weights.values.retain(|n, _| prefixes.iter().any(|p| n.starts_with(p)));
    weights.done(missing)
}
