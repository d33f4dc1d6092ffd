//! Cases of the parity kit: numbers of the published code, its seeded inputs and weights, its tolerances.

use dv_parity::generate;
use std::collections::HashMap;
use std::path::PathBuf;
use tch::{Kind, Tensor};

pub struct Case {
    pub json: serde_json::Value,
    name: String,
    stored: HashMap<String, Tensor>,
}

impl Case {
    pub fn open(name: &str) -> Case {
        let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "parity", "cases"].iter().collect();
        let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap_or_else(|e| panic!("{name}: {e}"));
        let tensors = folder.join(format!("{name}.safetensors"));
        let stored = if tensors.exists() { Tensor::read_safetensors(tensors).unwrap().into_iter().collect() } else { HashMap::new() };
        Case { json: serde_json::from_str(&text).unwrap(), name: name.to_string(), stored }
    }
    fn stored(&self, name: &str) -> Tensor {
        self.stored.get(name).unwrap_or_else(|| panic!("{} holds no `{name}`", self.name)).copy()
    }
    /// An input that is stored.
    pub fn given(&self, name: &str) -> Tensor {
        self.stored(&format!("given.{name}"))
    }
    /// An input that is made from a seed.
    pub fn input(&self, name: &str) -> Tensor {
        let spec = &self.json["inputs"][name];
        let shape: Vec<usize> = serde_json::from_value(spec["shape"].clone()).unwrap();
        let seed = spec["seed"].as_u64().unwrap() as u32;
        match spec["kind"].as_str().unwrap() {
            "video" => Tensor::from_slice(&generate::video(&shape, seed)).reshape(int(&shape)),
            "uniform" => Tensor::from_slice(&generate::uniform(&shape, seed)).reshape(int(&shape)),
            "frame" => frame(shape[0], shape[1], seed),
            other => panic!("no rule for inputs of kind {other}"),
        }
    }
    /// Names and shapes of the weights, in the reference's order.
    pub fn weight_shapes(&self) -> Vec<(String, Vec<usize>)> {
        let names = self.json["weights"]["names"].as_object().unwrap();
        names.iter().map(|(name, shape)| (name.clone(), serde_json::from_value(shape.clone()).unwrap())).collect()
    }
    /// All parameters and buffers; parameters require gradients.
    pub fn weights(&self) -> HashMap<String, Tensor> {
        let shapes = self.weight_shapes();
        let normed = |name: &str| shapes.iter().any(|(n, _)| *n == format!("{}.running_mean", name.rsplit_once('.').map_or("", |p| p.0)));
        shapes.iter().map(|(name, shape)| (name.clone(), weight(name, shape, normed(name)))).collect()
    }
    /// Buffers with a recipe of their own: memory banks and queues.
    pub fn special(&self) -> HashMap<String, Tensor> {
        let specs = self.json["weights"]["special"].as_object().unwrap();
        let made = |spec| {
            let t = dv_parity::case::special(spec).unwrap();
            let kind = if t.kind == dv_parity::tensor::Kind::Index { Kind::Int64 } else { Kind::Float };
            Tensor::from_slice(&t.values).to_kind(kind).reshape(int(&t.shape))
        };
        specs.iter().map(|(name, spec)| (name.clone(), made(spec))).collect()
    }
    /// The largest error over the tolerance: 1 or less passes.
    fn error(&self, name: &str, actual: &Tensor) -> Result<f64, String> {
        if let Some(rule) = self.json["scalars"].get(name) {
            let value = actual.to_kind(Kind::Double).reshape([-1]).double_value(&[0]);
            let error = (value - rule["value"].as_f64().unwrap()).abs() / rule["tol"].as_f64().unwrap();
            return Ok(if error.is_nan() { f64::INFINITY } else { error });
        }
        let Some(rule) = self.json["expected"].get(name) else { return Err(format!("the case expects no `{name}`")) };
        let expected = self.stored(name);
        let long = |t: &Tensor| -> Vec<i64> { t.size().into_iter().filter(|n| *n != 1).collect() };
        if long(actual) != long(&expected) {
            return Err(format!("{name}: shape {:?}, expected {:?}", actual.size(), expected.size()));
        }
        let double = |t: &Tensor| t.detach().to_kind(Kind::Double).flatten(0, -1);
        let (actual, expected) = (double(actual), double(&expected));
        let difference = (&actual - &expected).abs();
        match rule["compare"].as_str() {
            Some("exact") => Ok(if actual == expected { 0.0 } else { f64::INFINITY }),
            Some(_) => Ok(difference.max().double_value(&[]).max(difference.mean(Kind::Double).double_value(&[]) / 0.02)),
            None => {
                let limit = expected.abs() * rule["rtol"].as_f64().unwrap() + rule["atol"].as_f64().unwrap();
                let finite = bool::try_from(actual.isfinite().all()).unwrap();
                Ok(if finite { (difference / limit).max().double_value(&[]) } else { f64::INFINITY })
            }
        }
    }
    /// Compares a tensor or scalar with the case's, within its tolerance.
    pub fn tensor(&self, name: &str, actual: &Tensor) {
        let ratio = self.error(name, actual).unwrap_or_else(|e| panic!("{}: {e}", self.name));
        println!("{} {name}: {ratio:.4} of the tolerance", self.name);
        assert!(ratio <= 1.0, "{} {name}: {ratio} times the tolerance", self.name);
    }
    pub fn scalar(&self, name: &str, actual: &Tensor) {
        self.tensor(name, actual);
    }
    /// Compares all that is there under the case's names: tells the worst of it in one line. Every failure is told at once;
    /// what the case has and the outcome lacks is one, but for what starts with a text of `without`.
    pub fn judge(&self, outcome: &HashMap<String, Tensor>, without: &[&str]) {
        let names = |group: &str| self.json[group].as_object().map(|o| o.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
        let (mut worst, mut failures) = ((0.0, String::from("none")), Vec::new());
        let (mut compared, mut left_out) = (0, 0);
        for name in names("expected").into_iter().chain(names("scalars")) {
            let Some(actual) = outcome.get(&name) else {
                match without.iter().any(|w| name.starts_with(w)) {
                    true => left_out += 1,
                    false => failures.push(format!("{name}: missing")),
                }
                continue;
            };
            compared += 1;
            match self.error(&name, actual) {
                Ok(ratio) => {
                    if ratio > 1.0 {
                        failures.push(format!("{name}: {ratio:.3} times the tolerance"));
                    }
                    if ratio > worst.0 {
                        worst = (ratio, name);
                    }
                }
                Err(text) => failures.push(text),
            }
        }
        println!("{}: {compared} compared, {left_out} left out, worst {:.4} of its tolerance ({})", self.name, worst.0, worst.1);
        assert!(failures.is_empty() && compared > 0, "{}:\n  {}", self.name, failures.join("\n  "));
    }
    /// The numbers of an output that the case keeps.
    pub fn strided(&self, output: &Tensor) -> Tensor {
        output.flatten(1, -1).slice(1, None, None, self.json["params"]["sample_stride"].as_i64().unwrap())
    }
    /// What stands behind a prefix in the names of `expected` or `scalars`.
    pub fn names(&self, group: &str, prefix: &str) -> Vec<String> {
        self.json[group].as_object().unwrap().keys().filter_map(|k| k.strip_prefix(prefix).map(String::from)).collect()
    }
    /// Compares every gradient that the case tells of.
    pub fn gradients(&self, weights: &HashMap<String, Tensor>) {
        for name in self.names("expected", "grad_sample:") {
            self.tensor(&format!("grad_sample:{name}"), &sample(&weights[&name].grad()));
        }
        for name in self.names("scalars", "grad_norm:") {
            let norm = weights[&name].grad().to_kind(Kind::Double).norm();
            self.scalar(&format!("grad_norm:{name}"), &norm);
        }
    }
    /// Compares every buffer that the case tells of.
    pub fn buffers(&self, weights: &HashMap<String, Tensor>) {
        for name in self.names("expected", "after.") {
            self.tensor(&format!("after.{name}"), &weights[&name]);
        }
    }
}

/// The 61 numbers that a case keeps of a large parameter or gradient.
pub fn sample(values: &Tensor) -> Tensor {
    let flat = values.flatten(0, -1);
    let step = (flat.numel() as i64 / 61).max(1);
    let all = flat.slice(0, None, None, step);
    all.narrow(0, 0, all.numel().min(61) as i64)
}

fn int(shape: &[usize]) -> Vec<i64> {
    shape.iter().map(|n| *n as i64).collect()
}

fn weight(name: &str, shape: &[usize], normed: bool) -> Tensor {
    if name.ends_with("num_batches_tracked") {
        return Tensor::zeros(int(shape), (Kind::Int64, tch::Device::Cpu));
    }
    let values = generate::weight(name, shape, normed).unwrap();
    let buffer = name.rsplit('.').next().is_some_and(|leaf| leaf.starts_with("running"));
    Tensor::from_slice(&values).reshape(int(shape)).set_requires_grad(!buffer)
}

/// A frame `[H, W, 3]` of bytes: blocks of 16 pixels and noise.
pub fn frame(h: usize, w: usize, seed: u32) -> Tensor {
    Tensor::from_slice(&generate::frame(h, w, seed)).reshape([h as i64, w as i64, 3])
}
