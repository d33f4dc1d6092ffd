//! Weights from a safetensors file: parameters, buffers and registers, by dv's names or by the reference's.

use crate::state::store::{Lengths, Store};
use crate::state::tensors;
use anyhow::{bail, Context, Result};
use dv_graph::kind::Reference;
use dv_graph::mismatch;
use dv_graph::plan::{NodePlan, Plan, StagePlan};
use dv_graph::port::Dim;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tch::Tensor;

/// A file's tensors, taken out as they find their places.
pub struct WeightsFile {
    path: PathBuf,
    values: BTreeMap<String, Tensor>,
    /// All names that the file has.
    names: Vec<String>,
    /// Settings with which models that lack tensors would find them.
    hints: Vec<String>,
}

/// `[K, ...]` as the reference's queues lie: `[D, K]`, all axes but the first as one.
pub(crate) fn first_axis_last(t: &Tensor) -> Tensor {
    t.reshape([t.size().first().copied().unwrap_or(1), -1]).transpose(0, 1).contiguous()
}

/// Back again, where the lengths after the first are known.
fn last_axis_first(t: &Tensor, shape: &[Dim]) -> Option<Tensor> {
    let rest: Vec<i64> = shape.iter().skip(1).map(|d| d.known().map(|d| d as i64)).collect::<Option<_>>()?;
    let rows = t.size().last().copied()?;
    t.f_reshape([t.numel() as i64 / rows.max(1), rows]).ok()?.transpose(0, 1).contiguous().f_reshape([&[rows], &rest[..]].concat()).ok()
}

impl WeightsFile {
    pub fn read(path: &Path) -> Result<WeightsFile> {
        let values = tensors::read(path)?;
        Ok(WeightsFile { path: path.to_path_buf(), names: values.keys().cloned().collect(), values, hints: Vec::new() })
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

    fn find(&self, node: &NodePlan, tensor: &str) -> Option<Tensor> {
        if let Some(value) = self.values.get(&format!("{}/{tensor}", node.path)) {
            return Some(value.shallow_clone());
        }
        let register = node.register.as_ref()?;
        let (name, layout) = register.reference_name(tensor)?;
        let value = self.values.get(name)?;
        let shape = &register.state.iter().find(|s| s.name == tensor)?.shape;
        let turned = if layout == Reference::FirstAxisLast { last_axis_first(value, shape) } else { None };
        Some(turned.unwrap_or_else(|| value.shallow_clone()))
    }

    /// All models and registers of a stage. What matches nothing, on either side, is a fault.
    pub fn load_all(mut self, plan: &Plan, stage: &StagePlan, store: &mut Store) -> Result<()> {
        let mut missing = Vec::new();
        let owners: Vec<String> = store.models.keys().cloned().collect();
        for model in &owners {
            self.model(plan, model, None, store, &mut missing)?;
        }
        let mut found = Vec::new();
        for node in stage.nodes.iter().filter(|n| n.register.is_some()) {
            self.register(node, store, &mut missing, &mut found)?;
        }
        // two registers may have one pointer there
        for name in found {
            self.values.remove(&name);
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
        let before = missing.len();
        for tensor in store.names_of(name) {
            let full = format!("{name}/{tensor}");
            let reference = model.name_under(names.unwrap_or(&model.names), &tensor);
            let own = if names.is_none() { self.values.remove(&full) } else { None };
            match own.or_else(|| self.values.remove(reference.as_deref()?)) {
                Some(v) => store.set(name, &tensor, &v).with_context(|| format!("{}: {full}", self.path.display()))?,
                None => missing.push(reference.unwrap_or(full)),
            }
        }
        if missing.len() > before {
            self.hint(name, names.unwrap_or(&model.names), &store.names_of(name));
        }
        Ok(())
    }

    /// Names under which the file has all of a model's tensors.
    fn hint(&mut self, model: &str, names: &[String], tensors: &[String]) {
        let one = mismatch::found_under(&self.names, tensors).map(|path| vec![path.to_string()]);
        let Some(fitting) = one.or_else(|| mismatch::with_prefix(&self.names, names)) else { return };
        let list = format!("[{}]", fitting.iter().map(|n| format!("{n:?}")).collect::<Vec<_>>().join(", "));
        self.hints
            .push(format!("the file has `{model}` under other names; give them in the model or in the stage's weights: names = {list}"));
    }

    /// What the reference has no tensor for may be lacking in a file with its names.
    fn register(&self, node: &NodePlan, store: &mut Store, missing: &mut Vec<String>, found: &mut Vec<String>) -> Result<()> {
        let Some(register) = &node.register else { return Ok(()) };
        for tensor in store.names_of(&node.path) {
            let full = format!("{}/{tensor}", node.path);
            match self.find(node, &tensor) {
                Some(v) => store.set(&node.path, &tensor, &v).with_context(|| format!("{}: {full}", self.path.display()))?,
                None if register.names.is_empty() => missing.push(full.clone()),
                None => missing.extend(register.reference_name(&tensor).map(|(n, _)| n.to_string())),
            }
            found.extend(register.reference_name(&tensor).map(|(n, _)| n.to_string()).into_iter().chain([full]));
        }
        Ok(())
    }

    fn done(self, missing: Vec<String>) -> Result<()> {
        if !missing.is_empty() || !self.values.is_empty() {
            let spare: Vec<String> = self.values.into_keys().collect();
            bail!("{}", mismatch::report(&self.path, &self.names, &missing, &spare, &self.hints));
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
            let mut found = Vec::new();
            weights.register(&stage.nodes[node], store, &mut missing, &mut found)?;
            weights.values.retain(|n, _| !found.contains(n));
            vec![format!("{name}/")]
        }
    };
    weights.values.retain(|n, _| prefixes.iter().any(|p| n.starts_with(p)));
    weights.done(missing)
}
