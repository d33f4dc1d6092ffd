//! `dv export`: the weights of a run's stage, for PyTorch or another graph.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{bail, ensure, Context, Result};
use dv_datasets::file::{self, Limit};
use dv_datasets::text;

use crate::args::{Export, Like};
use crate::checkpoint::safetensors::{self, Declared};
use crate::checkpoint::write::{self, Stored, Wrapper};
use crate::out;
use crate::run::{Checkpoint, Run};

/// As much as a checkpoint of dv may have.
const CHECKPOINT: Limit = Limit::new(1 << 40, "a checkpoint");

pub fn run(args: &Export) -> Result<()> {
    let torch = is_torch(&args.out)?;
    let run = Run::open(&args.run)?;
    let checkpoint = run.checkpoint(&args.stage)?;
    let content = file::read(&checkpoint.path, CHECKPOINT)?;
    let sum = blake3::hash(&content).to_hex();
    let path = text::path(&checkpoint.path);
    ensure!(sum.as_str() == checkpoint.hash, "{path} is not what the stage `{}` left: it was changed or damaged", args.stage);
    let tensors = safetensors::read(&content).with_context(|| path.clone())?;
    let tensors = renamed(&run, tensors, args)?;
    let names: Vec<String> = tensors.iter().map(|(d, _)| d.name.clone()).collect();
    if torch {
        let wrapper = args.like.map(|like| Wrapper { key: key_of(like), epoch: checkpoint.epoch });
        write::write(&args.out, &tensors, wrapper.as_ref())?;
    } else {
        let (declared, bytes): (Vec<Declared>, Vec<&[u8]>) = tensors.into_iter().unzip();
        safetensors::write(&args.out, &declared, |put| bytes.iter().enumerate().try_for_each(|(i, bytes)| put(i, bytes)))?;
    }
    tell(&names, &checkpoint, args)
}

/// Which format a file's name asks for.
fn is_torch(out: &Path) -> Result<bool> {
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    match (ends(&[".pth", ".pt", ".pth.tar"]), ends(&[".safetensors"])) {
        (true, _) => Ok(true),
        (_, true) => Ok(false),
        _ => bail!("--out {}: the name says what is written: give it the end .pth or .safetensors", text::path(out)),
    }
}

fn key_of(like: Like) -> &'static str {
    match like {
        Like::Iic => "model",
        Like::Dualvar => "state_dict",
    }
}

/// Where DualVar's pretraining keeps the encoder; IIC's network stands at the root.
const ENCODER: &str = "encoder_q.0";

/// Tensors under the names that the reader looks for.
fn renamed<'a>(run: &Run, tensors: Vec<Stored<'a>>, args: &Export) -> Result<Vec<Stored<'a>>> {
    let owner = |tensor: &Declared| tensor.name.rsplit_once('/').map_or("", |(model, _)| model).to_string();
    let mut models: Vec<String> = tensors.iter().map(|(t, _)| owner(t)).collect();
    models.dedup();
    let models: BTreeSet<String> = models.into_iter().collect();
    if let Some(model) = args.model.as_ref().filter(|model| !models.contains(*model)) {
        let list: Vec<&str> = models.iter().map(String::as_str).collect();
        bail!("the stage `{}` has no model `{}`; its models: {}", args.stage, text::line(model), list.join(", "));
    }
    let mut seen = BTreeSet::new();
    let mut out = Vec::new();
    for model in models.iter().filter(|model| args.model.as_ref().is_none_or(|only| only == *model)) {
        let own = || tensors.iter().filter(|(t, _)| owner(t) == *model);
        let paths: Vec<&str> = own().map(|(t, _)| &t.name[model.len() + 1..]).collect();
        let main = models.len() == 1 || args.model.is_some() || model == "encoder";
        let names = match (run.names(model)?, args.like) {
            (_, None) if args.model.is_some() => vec![String::new()],
            (_, Some(Like::Iic)) if main => vec![String::new()],
            (names, _) if !names.is_empty() => names,
            (_, Some(Like::Dualvar)) if main => vec![ENCODER.to_string()],
            _ => vec![model.clone()],
        };
        let parallel = if args.like == Some(Like::Dualvar) { "module." } else { "" };
        for ((tensor, bytes), name) in own().zip(under(&names, &paths, model)?) {
            let name = format!("{parallel}{name}");
            ensure!(seen.insert(name.clone()), "two tensors would have the name `{name}`: choose one model with --model");
            out.push((Declared { name, dtype: tensor.dtype, shape: tensor.shape.clone() }, *bytes));
        }
    }
    Ok(out)
}

/// Paths of a model under the graph's `names`: one for the model, or one a layer.
fn under(names: &[String], paths: &[&str], model: &str) -> Result<Vec<String>> {
    if let [one] = names {
        let full = |path: &&str| if one.is_empty() { path.to_string() } else { format!("{one}.{path}") };
        return Ok(paths.iter().map(full).collect());
    }
    let split = |path: &'_ str| path.rsplit_once('.').map_or((String::new(), path.to_string()), |(a, b)| (a.to_string(), b.to_string()));
    let mut layers: Vec<String> = paths.iter().map(|path| split(path).0).collect();
    // in the order of their numbers, as PyTorch registers the layers of a Sequential
    let numbers =
        |layer: &String| layer.split('.').map(|part| part.parse::<u64>().map_err(|_| part.to_string())).map(swap).collect::<Vec<_>>();
    layers.sort_by_key(numbers);
    layers.dedup();
    ensure!(layers.len() == names.len(), "the graph has {} names for `{model}`, which has {} layers", names.len(), layers.len());
    let full = |path: &&str| {
        let (layer, leaf) = split(path);
        let i = layers.iter().position(|l| *l == layer).context("a layer of the model")?;
        Ok(format!("{}.{leaf}", names[i]))
    };
    paths.iter().map(full).collect()
}

/// Numbers before words.
fn swap(part: std::result::Result<u64, String>) -> (u64, String) {
    match part {
        Ok(number) => (number, String::new()),
        Err(word) => (u64::MAX, word),
    }
}

fn tell(names: &[String], checkpoint: &Checkpoint, args: &Export) -> Result<()> {
    let state = if checkpoint.finished { "" } else { " (the stage is not finished)" };
    let line =
        format!("{}: {} tensors of the stage `{}` after epoch {}{state}", args.out.display(), names.len(), args.stage, checkpoint.epoch);
    out::line(text::line(&line))?;
    for (name, tensors, _) in crate::checkpoint::names::groups(names.iter().map(|name| (name.as_str(), 0))) {
        out::line(text::line(&format!("  {name:<28} {tensors:>5} tensors")))?;
    }
    Ok(())
}
