//! `dv import`: a checkpoint of PyTorch into safetensors.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{ensure, Context, Result};
use dv_datasets::text;

use crate::args::{From, Import};
use crate::checkpoint::choose::{choose, Chosen};
use crate::checkpoint::dtype::Dtype;
use crate::checkpoint::names;
use crate::checkpoint::safetensors::{self, Declared};
use crate::checkpoint::source::Source;
use crate::checkpoint::tensor::View;
use crate::out;

/// Of more names than these the first are listed.
const SHOWN: usize = 12;
/// Classes that checkpoints of torch's own hold: naming them tells nothing.
const USUAL: [&str; 10] = [
    "collections.OrderedDict",
    "collections.defaultdict",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch._tensor._rebuild_from_type_v2",
    "torch.Size",
    "torch.device",
];

/// What was made of a checkpoint.
struct Imported {
    form: &'static str,
    chosen: Chosen,
    tensors: Vec<Declared>,
    /// Whether `module.` was taken off.
    stripped: bool,
    counters: usize,
    globals: Vec<String>,
}

pub fn run(args: &Import) -> Result<()> {
    let named = || text::path(&args.checkpoint);
    let same = |a: &Path, b: &Path| a.canonicalize().ok().zip(b.canonicalize().ok()).is_some_and(|(a, b)| a == b);
    ensure!(!same(&args.checkpoint, &args.out), "--out {} is the checkpoint itself: give another file", text::path(&args.out));
    let source = Source::open(&args.checkpoint).with_context(|| format!("cannot import {}", named()))?;
    let imported = import(&source, args).with_context(|| format!("cannot import {}", named()))?;
    tell(&imported, args)
}

fn import(source: &Source, args: &Import) -> Result<Imported> {
    let preferred = match args.from {
        Some(From::Iic) => Some("model"),
        Some(From::Dualvar | From::Coclr) => Some("state_dict"),
        Some(From::Torchvision) | None => None,
    };
    let mut chosen = choose(source, args.key.as_deref(), preferred)?;
    let stripped = args.from.is_some() && names::is_parallel(chosen.tensors.iter().map(|(n, _)| n.as_str()));
    if stripped {
        for (name, _) in &mut chosen.tensors {
            name.drain(..names::PARALLEL.len());
        }
    }
    let declared = |(name, view): &(String, View)| Declared { name: name.clone(), dtype: view.dtype, shape: view.size.clone() };
    let mut tensors: Vec<Declared> = chosen.tensors.iter().map(declared).collect();
    let counters = names::missing_counters(chosen.tensors.iter().map(|(n, _)| n.as_str()));
    let integers = Dtype::of_torch("int64").context("int64 is known")?;
    tensors.extend(counters.iter().map(|name| Declared { name: name.clone(), dtype: integers, shape: Vec::new() }));
    // storage by storage, so that each is read once and one at a time is in memory
    let mut by_storage: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, (_, view)) in chosen.tensors.iter().enumerate() {
        by_storage.entry(&view.storage).or_default().push(i);
    }
    safetensors::write(&args.out, &tensors, |put| {
        for (key, views) in &by_storage {
            let storage = source.storage(key).with_context(|| format!("the tensor `{}`", chosen.tensors[views[0]].0))?;
            for i in views {
                let (name, view) = &chosen.tensors[*i];
                put(*i, &view.gather(&storage).with_context(|| format!("the tensor `{name}`"))?)?;
            }
        }
        (chosen.tensors.len()..tensors.len()).try_for_each(|i| put(i, &0i64.to_le_bytes()))
    })?;
    let usual = |name: &String| USUAL.contains(&name.as_str()) || name.starts_with("torch.") && name.ends_with("Storage");
    let globals = source.values.globals.iter().filter(|name| !usual(name)).cloned().collect();
    Ok(Imported { form: source.form, chosen, tensors, stripped, counters: counters.len(), globals })
}

/// A list with commas, of which the first are shown.
fn list(items: &[String]) -> String {
    let more = items.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    format!("{}{more}", items[..items.len().min(SHOWN)].join(", "))
}

fn tell(done: &Imported, args: &Import) -> Result<()> {
    let place = match &done.chosen.keys[..] {
        [] => "the state dict itself".to_string(),
        keys => format!("the state dict under `{}`", keys.join(".")),
    };
    let say = |label: &str, what: &str| out::line(text::line(&format!("{label:<12}{what}")));
    say("read", &format!("{}: {}, {place}", args.checkpoint.display(), done.form))?;
    let mut types: BTreeMap<&str, usize> = BTreeMap::new();
    for tensor in &done.tensors {
        *types.entry(tensor.dtype.torch).or_default() += 1;
    }
    let types: Vec<String> = types.iter().map(|(name, n)| format!("{n} {name}")).collect();
    let bytes: u64 = done.tensors.iter().map(Declared::bytes).sum();
    say("written", &format!("{}: {} tensors ({}), {bytes} bytes", args.out.display(), done.tensors.len(), types.join(", ")))?;
    for (name, tensors, numbers) in names::groups(done.tensors.iter().map(|t| (t.name.as_str(), t.count()))).into_iter().take(SHOWN * 4) {
        say("", &format!("{name:<28} {tensors:>5} tensors {numbers:>12} numbers"))?;
    }
    let all = || done.tensors.iter().map(|t| t.name.as_str());
    if done.stripped {
        say("prefix", "`module.` was taken off every name")?;
    } else if names::is_parallel(all()) {
        say("prefix", "every name begins with `module.`; --from dualvar, iic, coclr or torchvision takes it off")?;
    }
    if done.counters > 0 {
        say("filled in", &format!("{} num_batches_tracked as 0, which the file lacks, as PyTorch does", done.counters))?;
    }
    if !done.chosen.left_out.is_empty() {
        let parts: Vec<String> = done.chosen.left_out.iter().map(|(name, what)| format!("{name} ({what})")).collect();
        say("left out", &list(&parts))?;
    }
    if !done.globals.is_empty() {
        say("not run", &format!("classes and functions that the file names: {}", list(&done.globals)))?;
    }
    for path in names::backbones(all()).into_iter().take(SHOWN) {
        say("in a graph", &format!("weights = {{ encoder = {{ file = \"{}\", names = {path:?} }} }}", args.out.display()))?;
    }
    Ok(())
}
