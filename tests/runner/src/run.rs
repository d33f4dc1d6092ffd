//! Runs a case: the calls of its family, one after the other, then the comparison.

use crate::case::Case;
use crate::expression::{asked, Scope};
use crate::function;
use crate::map::{renamed, Call, Map};
use crate::probe::Probe;
use crate::tensor::{Raw, Tensor};
use anyhow::{bail, Context, Result};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What one compared value came to.
pub struct Compared {
    pub name: String,
    /// Error over tolerance, or why there is none.
    pub ratio: Result<f64>,
}

pub struct Runner<'a> {
    pub map: &'a Map,
    /// Of the graphs that the map names.
    pub graphs: &'a Path,
    pub dv: &'a Path,
}

const NO_ROW: [Option<&Json>; 1] = [None];

impl Runner<'_> {
    pub fn case(&self, case: &Case) -> Result<Vec<Compared>> {
        let (family, mut variables) = self.map.family(&case.name)?;
        variables.insert("case".into(), case.name.clone());
        let expected: BTreeSet<String> = case.expected().into_iter().collect();
        let mut results: BTreeMap<String, Tensor> = BTreeMap::new();
        let mut compared = Vec::new();
        for call in &family.call {
            let empty = BTreeMap::new();
            let whole = Scope { case, variables: &variables, tables: &self.map.map, row: None, results: &results, found: &empty };
            let list = call.each.as_ref().map(|e| whole.value(e)).transpose()?.map(list).transpose()?;
            let rows: Vec<Option<&Json>> = list.as_ref().map_or(NO_ROW.to_vec(), |l| l.iter().map(Some).collect());
            let mut made: BTreeMap<String, Vec<Tensor>> = BTreeMap::new();
            for (i, row) in rows.iter().enumerate() {
                let before = Scope { row: *row, ..whole };
                if call.unless.as_ref().is_some_and(|e| before.value(e).is_ok()) {
                    continue;
                }
                let wanted = wanted(call, &expected, &before)?;
                if wanted.is_empty() && call.same.is_empty() && !call.parameters {
                    continue;
                }
                let found = self.call(call, case, &wanted, &before).with_context(|| place(call, i))?;
                let scope = Scope { found: &found, ..before };
                for (name, from) in &wanted {
                    made.entry(name.clone()).or_default().push(scope.tensor(from)?);
                }
                if call.parameters {
                    for name in &expected {
                        if let Some(value) = parameter(call, name, &found) {
                            made.insert(name.clone(), vec![value]);
                        }
                    }
                }
                // a row may lack what others have, but not all of it
                let known = call.same.iter().filter_map(|(want, from)| Some((scope.tensor(want).ok()?, from)));
                let before = compared.len();
                compared.extend(known.map(|(want, from)| {
                    let ratio = scope.tensor(from).map(|t| same(&want, &t));
                    Compared { name: format!("row {i}"), ratio }
                }));
                if compared.len() == before && !call.same.is_empty() {
                    let names: Vec<&str> = call.same.keys().map(String::as_str).collect();
                    let keys: Vec<String> = row.and_then(Json::as_object).map(|o| o.keys().cloned().collect()).unwrap_or_default();
                    bail!("row {i} has none of {}; it has {}", names.join(", "), keys.join(", "));
                }
            }
            for (name, mut list) in made {
                // by rows, unless each row has a name of its own
                let by_row = call.each.is_some() && list.len() == rows.len() && rows.len() > 1;
                let value = if by_row { Tensor::stack(&list, 0)? } else { list.remove(0) };
                results.insert(name, value);
            }
        }
        for name in expected {
            let ratio = results.get(&name).context("missing").and_then(|t| case.error(&name, t));
            compared.push(Compared { name, ratio });
        }
        if compared.is_empty() {
            bail!("nothing was compared");
        }
        Ok(compared)
    }

    fn call(&self, call: &Call, case: &Case, wanted: &BTreeMap<String, String>, scope: &Scope) -> Result<BTreeMap<String, Tensor>> {
        if let Some(name) = &call.function {
            let with = call.with.iter().map(|(k, e)| Ok((k.clone(), scope.value(e)?))).collect::<Result<_>>()?;
            return function::run(name, &with);
        }
        let text = |t: &Option<String>, what: &str| scope.fill(t.as_deref().with_context(|| format!("the call names no {what}"))?);
        let mut probe = Probe {
            graph: self.graphs.join(text(&call.graph, "graph")?),
            stage: text(&call.stage, "stage")?,
            train: call.mode.is_some() && text(&call.mode, "mode")? == "train",
            ..Probe::default()
        };
        let number = |e: &String| -> Result<usize> { Ok(scope.tensor(e)?.values.first().copied().context("a number")? as usize) };
        probe.steps = call.steps.as_ref().map(number).transpose()?;
        probe.frames = call.video.as_ref().map(number).transpose()?;
        for (path, value) in &call.set {
            probe.set.push((scope.fill(path)?, scope.value(value)?.toml()?));
        }
        for (edge, value) in &call.feed {
            probe.feeds.push((edge.clone(), scope.tensor(value).with_context(|| format!("what is fed to {edge}"))?));
        }
        let from = wanted.values().chain(call.same.values());
        for name in from.map(|e| scope.fill(e)).collect::<Result<Vec<_>>>()?.iter().flat_map(|e| asked(e)) {
            match name.strip_prefix("grad.") {
                Some(of) => probe.gradients.insert(of.to_string()),
                None => probe.fetches.insert(name),
            };
        }
        if let Some(patterns) = &call.weights {
            let all = case.weights()?.into_iter().map(|(n, w)| (renamed(patterns, &n), w));
            probe.weights = Some(all.filter(|(n, _)| !n.is_empty()).collect::<Raw>());
        }
        for (name, value) in &call.values {
            let value = scope.tensor(value)?;
            let (dtype, bytes) = value.bytes();
            probe.weights.get_or_insert_default().insert(name.clone(), (dtype, value.shape, bytes));
        }
        if call.parameters {
            for name in case.expected() {
                let Some((group, path)) = edge(call, &name) else { continue };
                match group {
                    "after." => probe.fetches.insert(format!("after.{path}")),
                    _ => probe.gradients.insert(path),
                };
            }
        }
        probe.run(self.dv)
    }
}

/// What a call gives of what the case expects.
fn wanted(call: &Call, expected: &BTreeSet<String>, scope: &Scope) -> Result<BTreeMap<String, String>> {
    let named = call.give.iter().map(|(n, e)| Ok((scope.fill(n)?, e.clone()))).collect::<Result<Vec<_>>>()?;
    Ok(named.into_iter().filter(|(n, _)| n.starts_with('_') || expected.contains(n)).collect())
}

/// A parameter that a name of the case speaks of, as dv calls it. What `give` says comes first.
fn edge<'a>(call: &Call, name: &'a str) -> Option<(&'static str, String)> {
    if call.give.contains_key(name) {
        return None;
    }
    let of = |group: &'static str| -> Option<(&'static str, &'a str)> { Some((group, name.strip_prefix(group)?)) };
    let (group, path) = of("after.").or_else(|| of("grad_norm:")).or_else(|| of("grad_sample:"))?;
    let none = BTreeMap::new();
    Some((group, renamed(call.weights.as_ref().unwrap_or(&none), path)))
}

fn parameter(call: &Call, name: &str, found: &BTreeMap<String, Tensor>) -> Option<Tensor> {
    let (group, path) = edge(call, name)?;
    let value = found.get(&format!("{}{path}", if group == "after." { "after." } else { "grad." }))?;
    Some(if group == "grad_norm:" { Tensor::scalar(value.norm()) } else { value.clone() })
}

fn place(call: &Call, row: usize) -> String {
    match call.each {
        Some(_) => format!("row {row}"),
        None => call.stage.clone().or_else(|| call.function.clone()).unwrap_or_default(),
    }
}

fn list(value: crate::expression::Value) -> Result<Vec<Json>> {
    match value {
        crate::expression::Value::Json(Json::Array(list)) => Ok(list),
        // rows by name, or one row alone
        crate::expression::Value::Json(Json::Object(o)) if o.values().all(Json::is_object) => Ok(o.into_iter().map(|(_, v)| v).collect()),
        crate::expression::Value::Json(row @ Json::Object(_)) => Ok(vec![row]),
        _ => bail!("`each` is a list"),
    }
}

/// Exact, but for the rounding of 64 bits.
fn same(want: &Tensor, found: &Tensor) -> f64 {
    if want.values.len() != found.values.len() {
        return f64::INFINITY;
    }
    let off = |(a, b): (&f64, &f64)| if (a - b).abs() <= 1e-9 * a.abs() { 0.0 } else { f64::INFINITY };
    want.values.iter().zip(&found.values).map(off).fold(0.0, f64::max)
}
