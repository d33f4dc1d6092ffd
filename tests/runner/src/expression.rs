//! The conversions of `map.toml`: a source, then operations, `given.features | at 1 0`.

use crate::case::Case;
use crate::tensor::{Kind, Tensor};
use anyhow::{bail, ensure, Context, Result};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// What an expression comes to.
#[derive(Clone, Debug)]
pub enum Value {
    Tensor(Tensor),
    Json(Json),
}

impl Value {
    pub fn tensor(self) -> Result<Tensor> {
        match self {
            Value::Tensor(t) => Ok(t),
            Value::Json(j) => Tensor::of_json(&j),
        }
    }
    /// As a graph writes it: `null` is no limit.
    pub fn toml(&self) -> Result<String> {
        fn of(json: &Json) -> Result<String> {
            Ok(match json {
                Json::Null => "inf".into(),
                Json::Array(list) => format!("[{}]", list.iter().map(of).collect::<Result<Vec<_>>>()?.join(", ")),
                Json::Object(o) => {
                    let fields = o.iter().map(|(k, v)| Ok(format!("{k} = {}", of(v)?))).collect::<Result<Vec<_>>>()?;
                    format!("{{ {} }}", fields.join(", "))
                }
                other => other.to_string(),
            })
        }
        match self {
            Value::Json(j) => of(j),
            Value::Tensor(t) if t.values.len() == 1 => of(&number(t.values[0], t.kind)),
            Value::Tensor(t) => of(&Json::Array(t.values.iter().map(|v| number(*v, t.kind)).collect())),
        }
    }
}

fn number(value: f64, kind: Kind) -> Json {
    match kind {
        Kind::Float => serde_json::json!(value),
        _ => serde_json::json!(value as i64),
    }
}

/// What an expression may name.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    pub case: &'a Case,
    /// Of the file's name, and `map.KEY` of the map.
    pub variables: &'a BTreeMap<String, String>,
    pub tables: &'a Json,
    /// In a call that is made for each of a list.
    pub row: Option<&'a Json>,
    /// What earlier calls gave.
    pub results: &'a BTreeMap<String, Tensor>,
    /// What the engine wrote.
    pub found: &'a BTreeMap<String, Tensor>,
}

const GROUPS: [&str; 7] = ["input.", "given.", "params.", "row.", "expected.", "result.", "map."];

/// The edges and gradients that an expression asks the engine for.
pub fn asked(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for (i, step) in text.split(" ?? ").flat_map(|one| one.split(" | ").enumerate()) {
        let words: Vec<&str> = step.split_whitespace().collect();
        let sources: &[&str] = match (i, words.first()) {
            (0, _) => &words,
            (_, Some(&"stack")) => &words[words.len().min(2)..],
            _ => &[],
        };
        let named = sources.iter().filter(|s| **s != "?" && **s != "row" && !GROUPS.iter().any(|g| s.starts_with(g)));
        out.extend(named.filter(|s| i > 0 || literal(step).is_none() && literal(s).is_none()).map(|s| s.to_string()));
    }
    out
}

fn literal(text: &str) -> Option<Json> {
    serde_json::from_str(text.trim()).ok()
}

fn walk<'a>(json: &'a Json, path: &str) -> Option<&'a Json> {
    path.split('.').try_fold(json, |at, key| match at {
        Json::Array(list) => list.get(key.parse::<usize>().ok()?),
        other => other.get(key),
    })
}

impl Scope<'_> {
    /// `{net}` and `{row.name}` in a text.
    pub fn fill(&self, text: &str) -> Result<String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let end = rest[open..].find('}').map(|n| open + n);
            let name = end
                .map(|e| &rest[open + 1..e])
                .filter(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_alphanumeric() || "_.".contains(c)));
            match (name, end) {
                (Some(name), Some(end)) => {
                    let row = match name.strip_prefix("row.") {
                        Some(path) => self.row.and_then(|r| walk(r, path)),
                        None => self.row.filter(|_| name == "row"),
                    };
                    let row = row.map(|j| j.as_str().map_or(j.to_string(), String::from));
                    let value = row.or_else(|| self.variables.get(name).cloned());
                    out += &rest[..open];
                    out += &value.with_context(|| format!("there is no `{name}` in `{text}`"))?;
                    rest = &rest[end + 1..];
                }
                _ => {
                    out += &rest[..=open];
                    rest = &rest[open + 1..];
                }
            }
        }
        Ok(out + rest)
    }

    fn source(&self, name: &str) -> Result<Option<Value>> {
        let json = |j: Option<&Json>| j.cloned().map(Value::Json);
        Ok(match name.split_once('.').unwrap_or((name, "")) {
            ("row", "") => json(self.row),
            ("row", path) => json(self.row.and_then(|r| walk(r, path))),
            ("params", path) => json(walk(&self.case.json["params"], path)),
            ("map", path) => json(walk(self.tables, path)),
            ("expected", path) => json(self.case.json["expected"].get(path)),
            ("given", path) => self.case.given(path).cloned().map(Value::Tensor),
            ("input", path) => self.case.input(path)?.map(Value::Tensor),
            ("result", path) => self.results.get(path).cloned().map(Value::Tensor),
            _ => self.found.get(name).cloned().map(Value::Tensor),
        })
    }

    /// The first of the sources that is there.
    fn first(&self, text: &str) -> Result<Value> {
        if let Some(json) = literal(text) {
            return Ok(Value::Json(json));
        }
        for name in text.split(" ? ").map(str::trim) {
            if let Some(json) = literal(name) {
                return Ok(Value::Json(json));
            }
            // what is null is not there
            if let Some(value) = self.source(name)?.filter(|v| !matches!(v, Value::Json(Json::Null))) {
                return Ok(value);
            }
        }
        bail!("the case has no {}", text.replace(" ? ", " and no "))
    }

    /// `A ?? B`: the first of which all is there.
    pub fn value(&self, text: &str) -> Result<Value> {
        let mut all = text.split(" ?? ").map(|one| self.one(one));
        let first = all.next().context("an expression")?;
        all.fold(first, |found, next| found.or(next))
    }

    fn one(&self, text: &str) -> Result<Value> {
        let filled = self.fill(text)?;
        let mut steps = filled.split(" | ");
        let mut value = self.first(steps.next().unwrap_or_default().trim())?;
        for step in steps {
            value = self.step(value, step).with_context(|| format!("`{step}` in `{filled}`"))?;
        }
        Ok(value)
    }

    pub fn tensor(&self, text: &str) -> Result<Tensor> {
        self.value(text)?.tensor().with_context(|| format!("`{text}`"))
    }

    fn step(&self, value: Value, step: &str) -> Result<Value> {
        let words: Vec<&str> = step.split_whitespace().collect();
        let (name, words) = words.split_first().context("an operation")?;
        let count = |i: usize| -> Result<usize> {
            let word = words.get(i).with_context(|| format!("`{name}` takes a number more"))?;
            Ok(match word.parse() {
                Ok(n) => n,
                Err(_) => self.tensor(word)?.values.first().copied().with_context(|| format!("`{word}` is no number"))? as usize,
            })
        };
        let counts = || (0..words.len()).map(count).collect::<Result<Vec<_>>>();
        let tensor = |t: Result<Tensor>| t.map(Value::Tensor);
        match *name {
            // of JSON
            "get" => {
                let Value::Json(json) = &value else { bail!("a tensor has no fields") };
                return Ok(Value::Json(walk(json, words.first().context("a key")?).cloned().context("it has no such field")?));
            }
            "has" => {
                let Value::Json(json) = &value else { bail!("a tensor is no text") };
                let text = json.as_str().context("it is no text")?;
                let found = text.split('-').any(|w| w == words[0]);
                return Ok(Value::Json(if found { literal(words[1]).context("a number")? } else { Json::Bool(false) }));
            }
            "draws" => {
                let Value::Json(Json::Array(list)) = &value else { bail!("draws are a list") };
                let of = |d: &&Json| d["call"].as_str().is_some_and(|c| words.contains(&c));
                let found: Vec<Json> = list.iter().filter(of).map(|d| d["value"].clone()).collect();
                ensure!(!found.is_empty(), "there are none");
                return Ok(Value::Json(Json::Array(found)));
            }
            "choose" => {
                let Value::Json(json) = &value else { bail!("a tensor is no choice") };
                let word = words.get(usize::from(json.as_bool() != Some(true))).context("two values")?;
                return Ok(Value::Json(literal(word).context("a value")?));
            }
            "among" => {
                let Value::Json(Json::Array(list)) = &value else { bail!("texts are a list") };
                let place = |j: &Json| {
                    j.as_str().and_then(|t| words.iter().position(|w| *w == t)).with_context(|| format!("{j} is not among them"))
                };
                let places = list.iter().map(|j| Ok(place(j)? as f64)).collect::<Result<Vec<_>>>()?;
                return Ok(Value::Tensor(Tensor::new(Kind::Index, &[places.len()], places)));
            }
            "jitter" => {
                let Value::Json(json) = &value else { bail!("draws are JSON") };
                let threshold = self.case.json["params"]["p"].as_f64().unwrap_or(1.0);
                return crate::jitter::draws(json, threshold, words.first().copied().unwrap_or_default()).map(Value::Tensor);
            }
            _ => {}
        }
        let t = value.tensor()?;
        match *name {
            "at" => tensor(t.at(count(0)?, count(1)?)),
            "part" => {
                let start = count(1)?;
                tensor(t.take(count(0)?, &(start..start + count(2)?).collect::<Vec<_>>()))
            }
            "rows" => {
                let places: Vec<usize> = self.tensor(words[0])?.values.iter().map(|v| *v as usize).collect();
                tensor(t.take(0, &places))
            }
            "add" => tensor(t.add_axis(count(0)?)),
            "repeat" => tensor(Tensor::stack(&vec![t; count(0)?], 0)),
            "order" => tensor(t.permute(&counts()?)),
            "join" => {
                ensure!(t.shape.len() > 1, "it has one axis");
                let shape = [&[t.shape[0] * t.shape[1]], &t.shape[2..]].concat();
                tensor(t.reshape(&shape))
            }
            "head" | "like" | "tail" => {
                let other = self.first(&words.join(" "))?.tensor()?;
                let (n, mut values) = (other.values.len(), t.values);
                let sorted = |v: &[f64]| v.windows(2).all(|w| w[0] < w[1]);
                if *name == "like" && n > 2 && sorted(&other.values) {
                    values.sort_by(f64::total_cmp);
                }
                let start = if *name == "tail" { values.len().saturating_sub(n) } else { 0 };
                let values: Vec<f64> = values.into_iter().skip(start).take(n).collect();
                Ok(Value::Tensor(Tensor::new(t.kind, &[values.len()], values)))
            }
            "chunks" => {
                let (n, size) = (t.shape.first().copied().unwrap_or(0), count(0)?.max(1));
                let list: Vec<Vec<usize>> = (0..n).collect::<Vec<_>>().chunks(size).map(<[usize]>::to_vec).collect();
                Ok(Value::Json(serde_json::json!(list)))
            }
            "over" => {
                let by = count(0)? as f64;
                Ok(Value::Tensor(t.map(|v| (v / by).floor())))
            }
            "from" => {
                let whole = count(0)? as f64;
                Ok(Value::Tensor(Tensor { kind: Kind::Float, ..t }.map(|v| whole - v)))
            }
            "swaps" => {
                let items = count(0)?;
                let order = |pair: &[f64]| {
                    let mut order: Vec<f64> = (0..items).map(|i| i as f64).collect();
                    let first = pair[0] as usize % items;
                    order.swap(first, (first + pair[1] as usize + 1) % items);
                    order
                };
                let rows: Vec<Vec<f64>> = t.values.chunks_exact(2).map(order).collect();
                Ok(Value::Tensor(Tensor::new(Kind::Index, &[rows.len(), items], rows.concat())))
            }
            "fill" => {
                let (shape, value) = (counts()?, t.values.first().copied().context("a number")?);
                Ok(Value::Tensor(Tensor::new(t.kind, &shape, vec![value; shape.iter().product()])))
            }
            "shape" => tensor(t.reshape(&counts()?)),
            "columns" => {
                let columns = *t.shape.get(1).context("it has one axis")?;
                let row = (1..columns).map(|c| c as f64);
                let values = (0..t.shape[0]).flat_map(|_| row.clone()).collect();
                Ok(Value::Tensor(Tensor::new(Kind::Index, &[t.shape[0], columns - 1], values)))
            }
            "ln" => Ok(Value::Tensor(t.map(f64::ln))),
            "divide" => {
                let other = self.tensor(words.first().context("what it is divided by")?)?;
                ensure!(other.values.len() == t.values.len(), "{:?} over {:?}", t.shape, other.shape);
                let values = t.values.iter().zip(&other.values).map(|(a, b)| a / b).collect();
                Ok(Value::Tensor(Tensor::new(Kind::Float, &t.shape, values)))
            }
            "unit" => {
                let (rows, columns) = (count(0)?, t.values.first().copied().context("a number")? as usize);
                let values = (0..rows * columns).map(|i| f64::from(u8::from(i / columns == i % columns))).collect();
                Ok(Value::Tensor(Tensor::new(Kind::Float, &[rows, columns], values)))
            }
            "sum" => Ok(Value::Tensor(Tensor::scalar(t.values.iter().sum()))),
            "flat" => {
                let n = t.values.len();
                tensor(t.reshape(&[n]))
            }
            "rest" => {
                let (rows, n) = (t.shape.first().copied().unwrap_or(1), t.values.len());
                tensor(t.reshape(&[rows, n / rows.max(1)]))
            }
            "stride" => {
                let length = *t.shape.get(1).context("it has one axis")?;
                tensor(t.take(1, &(0..length).step_by(count(0)?).collect::<Vec<_>>()))
            }
            "stack" => {
                let mut list = vec![t];
                for source in &words[1..] {
                    list.push(self.tensor(source)?);
                }
                tensor(Tensor::stack(&list, count(0)?))
            }
            "length" => Ok(Value::Json(serde_json::json!(*t.shape.get(count(0)?).context("no such axis")?))),
            "times" => {
                let factor = self.tensor(words[0])?.values.first().copied().context("a factor")?;
                Ok(Value::Tensor(Tensor { kind: Kind::Float, ..t }.map(|v| v * factor)))
            }
            "mean" => {
                let mean = t.values.iter().sum::<f64>() / t.values.len().max(1) as f64;
                Ok(Value::Tensor(Tensor::scalar(mean)))
            }
            "float" => Ok(Value::Tensor(Tensor { kind: Kind::Float, ..t })),
            "first_column" => {
                let rows = t.shape.first().copied().unwrap_or(0);
                Ok(Value::Tensor(Tensor::new(Kind::Index, &[rows], vec![0.0; rows])))
            }
            "frames" => frames(&t).map(Value::Tensor),
            other => bail!("there is no operation `{other}`"),
        }
    }
}

/// The frame numbers of clips `[..., 3, T, H, W]` of a numbered video.
fn frames(t: &Tensor) -> Result<Tensor> {
    let n = t.shape.len();
    ensure!(n >= 4 && t.shape[n - 4] == 3, "{:?} are no clips", t.shape);
    let corner = t.at(n - 1, 0)?.at(n - 2, 0)?;
    let [r, g, b] = [0, 1, 2].map(|c| corner.at(n - 4, c));
    let (r, g, b) = (r?, g?, b?);
    let values = r.values.iter().zip(&g.values).zip(&b.values).map(|((r, g), b)| r * 65536.0 + g * 256.0 + b).collect();
    Ok(Tensor::new(Kind::Index, &r.shape, values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_of_the_engine() {
        let of = |text: &str| asked(text).join(" ");
        assert_eq!(of("clip.features | at 1 0"), "clip.features");
        assert_eq!(of("grad.a.x | stack 2 grad.b.x given.y after.c/bias"), "grad.a.x grad.b.x after.c/bias");
        assert_eq!(of("[[1, 2], [3, 4]] | float"), "");
        assert_eq!(of("row.frames ? 0 | flat ?? sample.clips | frames"), "sample.clips");
        assert_eq!(of("given.x | rows given.index"), "");
    }

    #[test]
    fn values_as_a_graph_writes_them() {
        let of = |text: &str| Value::Json(serde_json::from_str(text).unwrap()).toml().unwrap();
        assert_eq!(of("{\"kind\": \"view/mirror\", \"size\": [1, 2]}"), "{ kind = \"view/mirror\", size = [1, 2] }");
        assert_eq!((of("null"), of("false"), of("0.5")), ("inf".to_string(), "false".to_string(), "0.5".to_string()));
        assert_eq!(Value::Tensor(Tensor::scalar(3.0)).toml().unwrap(), "3.0");
    }

    #[test]
    fn frames_show_their_numbers() {
        // two frames of 1 x 1: 1 and 300
        let clip = Tensor::new(Kind::Byte, &[3, 2, 1, 1], vec![0.0, 0.0, 0.0, 1.0, 1.0, 44.0]);
        assert_eq!(frames(&clip).unwrap().values, [1.0, 300.0]);
    }
}
