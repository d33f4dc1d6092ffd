//! One case of the kit: its JSON, its stored tensors, what its seeds make, and the comparison.

use crate::generate;
use crate::tensor::{self, Kind, Raw, Tensor};
use anyhow::{bail, Context, Result};
use safetensors::tensor::Dtype;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::Path;

pub struct Case {
    /// The file's name without its ending.
    pub name: String,
    pub json: Json,
    stored: BTreeMap<String, Tensor>,
}

fn shape_of(json: &Json) -> Result<Vec<usize>> {
    serde_json::from_value(json["shape"].clone()).context("a shape is a list of lengths")
}

impl Case {
    pub fn open(path: &Path) -> Result<Case> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        // Python writes a number that JSON does not know
        let text = text.replace(": Infinity", ": null");
        let json: Json = serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))?;
        let tensors = path.with_extension("safetensors");
        let stored = if tensors.exists() { tensor::read(&tensors)? } else { BTreeMap::new() };
        Ok(Case { name: stem(path), json, stored })
    }
    fn stored(&self, name: &str) -> Result<&Tensor> {
        self.stored.get(name).with_context(|| format!("{}.safetensors holds no `{name}`", self.name))
    }
    pub fn given(&self, name: &str) -> Option<&Tensor> {
        self.stored.get(&format!("given.{name}"))
    }
    /// An input that is made from a seed.
    pub fn input(&self, name: &str) -> Result<Option<Tensor>> {
        self.json["inputs"].get(name).map(|spec| made(spec).with_context(|| format!("the input `{name}`"))).transpose()
    }
    /// All parameters and buffers under the reference's names.
    pub fn weights(&self) -> Result<Raw> {
        let mut out = Raw::new();
        let all = &self.json["weights"];
        let names = all["names"].as_object().cloned().unwrap_or_default();
        for (name, shape) in &names {
            let shape: Vec<usize> = serde_json::from_value(shape.clone())?;
            if name.ends_with("num_batches_tracked") {
                let zeros = vec![0; 8 * shape.iter().product::<usize>()];
                out.insert(name.clone(), (Dtype::I64, shape, zeros));
                continue;
            }
            let layer = name.rsplit_once('.').map_or("", |(l, _)| l);
            let values = generate::weight(name, &shape, names.contains_key(&format!("{layer}.running_mean")))?;
            out.insert(name.clone(), (Dtype::F32, shape, values.iter().flat_map(|x| x.to_le_bytes()).collect()));
        }
        for (name, spec) in all["special"].as_object().into_iter().flatten() {
            let made = special(spec).with_context(|| format!("the buffer `{name}`"))?;
            let (dtype, bytes) = made.bytes();
            out.insert(name.clone(), (dtype, made.shape, bytes));
        }
        Ok(out)
    }
    /// Names of all that the case expects.
    pub fn expected(&self) -> Vec<String> {
        ["expected", "scalars"].iter().flat_map(|g| self.json[g].as_object().into_iter().flat_map(|o| o.keys().cloned())).collect()
    }
    /// The largest error over the tolerance: 1 or less passes. A tensor of which the case keeps a sample is sampled.
    pub fn error(&self, name: &str, actual: &Tensor) -> Result<f64> {
        if let Some(rule) = self.json["scalars"].get(name) {
            let (value, tolerance) = (rule["value"].as_f64().context("a value")?, rule["tol"].as_f64().context("a tolerance")?);
            let Some(actual) = actual.values.first().filter(|_| actual.values.len() == 1) else {
                bail!("{name}: a tensor of {:?} in place of a number", actual.shape)
            };
            return Ok(ratio((actual - value).abs(), tolerance));
        }
        let rule = self.json["expected"].get(name).with_context(|| format!("the case expects no `{name}`"))?;
        let expected = self.stored(name)?;
        let sampled = (expected.values.len() == 61 && actual.values.len() > 61).then(|| actual.sample());
        let actual = sampled.as_ref().unwrap_or(actual);
        if actual.long() != expected.long() {
            bail!("{name}: shape {:?}, expected {:?}", actual.shape, expected.shape);
        }
        let pairs = || actual.values.iter().zip(&expected.values);
        Ok(match rule["compare"].as_str() {
            Some("exact") => pairs().map(|(a, b)| if a == b { 0.0 } else { f64::INFINITY }).fold(0.0, f64::max),
            Some(text) if text.starts_with("uint8") => {
                let largest = pairs().map(|(a, b)| ratio((a - b).abs(), 1.0)).fold(0.0, f64::max);
                largest.max(pairs().map(|(a, b)| (a - b).abs()).sum::<f64>() / expected.values.len().max(1) as f64 / 0.02)
            }
            Some(other) => bail!("{name}: no rule to compare by `{other}`"),
            None => {
                let (atol, rtol) = (rule["atol"].as_f64().context("an atol")?, rule["rtol"].as_f64().context("an rtol")?);
                pairs().map(|(a, b)| ratio((a - b).abs(), atol + rtol * b.abs())).fold(0.0, f64::max)
            }
        })
    }
}

/// No error passes whatever the tolerance, NaN never does.
fn ratio(error: f64, tolerance: f64) -> f64 {
    match error / tolerance {
        _ if error == 0.0 => 0.0,
        ratio if ratio.is_nan() => f64::INFINITY,
        ratio => ratio,
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A seeded tensor.
fn made(spec: &Json) -> Result<Tensor> {
    let shape = shape_of(spec)?;
    let seed = spec["seed"].as_u64().context("a seed")? as u32;
    let float = |values: Vec<f32>| Tensor::new(Kind::Float, &shape, values.into_iter().map(f64::from).collect());
    Ok(match spec["kind"].as_str().unwrap_or_default() {
        "uniform" => float(generate::uniform(&shape, seed)),
        "video" => float(generate::video(&shape, seed)),
        "normal" => float(generate::normal(&shape, seed, spec["scale"].as_f64().unwrap_or(1.0))),
        "unit" => {
            let axis = spec["axis"].as_i64().unwrap_or(-1);
            float(generate::unit(&shape, seed, axis.rem_euclid(shape.len() as i64) as usize))
        }
        "memory" => float(generate::memory(&shape, seed)),
        "frame" => {
            let values = generate::frame(shape[0], shape[1], seed).into_iter().map(f64::from).collect();
            Tensor::new(Kind::Byte, &[shape[0], shape[1], 3], values)
        }
        other => bail!("no rule for the kind `{other}`"),
    })
}

/// A buffer with a recipe of its own.
pub fn special(spec: &Json) -> Result<Tensor> {
    let shape = shape_of(spec)?;
    if let Some(values) = spec.get("values") {
        let kind = if spec["dtype"].as_str().is_some_and(|d| d.starts_with("int")) { Kind::Index } else { Kind::Float };
        let made = Tensor::of_json(values)?.reshape(&shape)?;
        return Ok(Tensor { kind, ..made });
    }
    if spec["kind"] == "series_queue" {
        let length = |key: &str| spec[key].as_u64().map(|n| n as usize).with_context(|| format!("`{key}` is a length"));
        let inner = [length("n_series")?, length("series_dim")?, shape[1]];
        let seed = spec["seed"].as_u64().context("a seed")? as u32;
        let values = generate::unit(&inner, seed, 1).into_iter().map(f64::from).collect();
        return Tensor::new(Kind::Float, &inner, values).reshape(&shape);
    }
    made(spec)
}
