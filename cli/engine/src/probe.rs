//! `dv probe`.

use crate::kinds::Kinds;
use crate::{check, device};
use anyhow::{bail, Context, Result};
use dv_cli::args::{Mode, Probe};
use dv_cli::out;
use dv_train::state::tensors;
use std::collections::{BTreeMap, HashMap};

pub fn verb(args: &Probe, kinds: &Kinds) -> Result<()> {
    let mut plan = check::one(&args.graph, kinds)?;
    let (device, _) = device::set(&args.compute)?;
    let mut files = HashMap::new();
    let mut feeds = Vec::new();
    for feed in &args.feeds {
        if !files.contains_key(&feed.file) {
            files.insert(feed.file.clone(), tensors::read(&feed.file)?);
        }
        let file = &files[&feed.file];
        let Some(tensor) = file.get(&feed.key) else {
            let names: Vec<&str> = file.keys().map(String::as_str).collect();
            bail!("--feed {}: {} has no tensor `{}`; available: {}", feed.edge, feed.file.display(), feed.key, names.join(", "));
        };
        feeds.push((feed.edge.clone(), tensor.shallow_clone()));
    }
    if args.fetches.is_empty() && args.grads.is_empty() {
        bail!("nothing is requested: name edges with --fetch node.port, or gradients with --grad");
    }
    let probe = dv_train::probe::Probe {
        stage: args.stage.clone(),
        data: args.graph.with.data_dir(),
        weights: args.weights.clone(),
        train: args.mode == Mode::Train,
        steps: args.steps.map(|n| n.get()),
        feeds,
        fetches: args.fetches.clone(),
        gradients: args.grads.clone(),
        device,
    };
    let found: BTreeMap<String, tch::Tensor> = dv_train::probe::probe(&mut plan, &kinds.registry(), &probe)?;
    let found = found.into_iter().map(|(n, t)| (n, t.contiguous())).collect();
    tensors::write(&args.out, &found).context("--out")?;
    for (name, tensor) in &found {
        out::note(format_args!("{name}: {:?} {:?}", tensor.kind(), tensor.size()));
    }
    Ok(())
}
