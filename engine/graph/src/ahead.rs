//! What would stop a run after hours, found before its first stage: weights files, labels, and videos of which nothing is left.

use crate::fault::Faults;
use crate::mismatch;
use crate::overlap::Read;
use crate::plan::{From, Plan, StagePlan};
use crate::schedule::beyond;
use crate::stage::Origin;
use anyhow::{ensure, Context, Result};
use dv_datasets::file;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read as _;
use std::path::Path;

/// The largest header that the format of weights knows, in bytes.
const HEADER: u64 = 100_000_000;
/// Of more missing tensors the first are named.
const NAMED: usize = 4;

/// Notes on settings that will have no effect, whatever the data are.
pub(crate) fn note_beyond(plan: &Plan, faults: &mut Faults) {
    for stage in plan.stages.iter().filter(|stage| stage.trains()) {
        let (Some(schedule), Some(epochs)) = (&stage.drive.schedule, stage.drive.settings.epochs) else { continue };
        let late = beyond(schedule, epochs);
        if let Some(first) = late.first() {
            let message = format!("the schedule of `{}` has a step at epoch {first}, and the stage ends after {epochs}", stage.name);
            faults.note("steps-beyond", stage.setting_at("schedule"), message).help("steps are counted in completed epochs");
        }
    }
}

/// Weights files: that they are there, and have what the models need.
pub(crate) fn check_weights(plan: &Plan, faults: &mut Faults) {
    let mut headers: HashMap<&Path, Result<BTreeMap<String, Tensor>, String>> = HashMap::new();
    let mut told = BTreeSet::new();
    for stage in &plan.stages {
        for (name, _) in &stage.models {
            let Some(Origin::File { file, names }) = stage.drive.origin(name) else { continue };
            let header = headers.entry(file).or_insert_with(|| header(file).map_err(|e| format!("{e:#}")));
            let found = match header {
                Ok(header) => fits(plan, name, names.as_deref(), header),
                Err(e) => Err(Unfit { why: e.clone(), help: None }),
            };
            if let Err(Unfit { why, help }) = found {
                // the line of the graph shows the rest of the path
                let named = file.file_name().unwrap_or_default().to_string_lossy();
                let message = format!("the weights `{named}` are not for `{name}`: {why}");
                if told.insert((stage.name.clone(), message.clone())) {
                    let fault = faults.add("wrong-weights", stage.setting_at("weights"), message);
                    help.into_iter().for_each(|help| fault.help(help));
                }
            }
        }
    }
}

#[derive(Deserialize)]
struct Tensor {
    shape: Vec<usize>,
}

/// Names and shapes of a safetensors file, from its header.
fn header(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let named = || "it is no safetensors file";
    let mut file = file::open(path).map_err(|e| e.why)?;
    let length = file.metadata().with_context(named)?.len();
    let mut head = [0; 8];
    file.read_exact(&mut head).with_context(named)?;
    ensure!(!file::is_torch(&head), "it is a checkpoint of PyTorch; `dv import FILE --out X.safetensors` makes one that a graph reads");
    let bytes = u64::from_le_bytes(head);
    ensure!(bytes <= HEADER && bytes + 8 <= length, "{}: its first bytes are not the length of a header", named());
    let mut json = Vec::new();
    file.take(bytes).read_to_end(&mut json).with_context(named)?;
    let mut all: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&json).with_context(named)?;
    all.remove("__metadata__");
    all.into_iter().map(|(name, value)| Ok((name, serde_json::from_value(value).with_context(named)?))).collect()
}

/// Why a file's tensors are not a model's, and what would help.
struct Unfit {
    why: String,
    help: Option<String>,
}

/// Whether a file has all tensors of a model, by dv's names or the reference's.
fn fits(plan: &Plan, name: &str, names: Option<&[String]>, header: &BTreeMap<String, Tensor>) -> Result<(), Unfit> {
    let Some(model) = plan.models.get(name) else { return Ok(()) };
    let names_of = names.unwrap_or(&model.names);
    let mut missing = Vec::new();
    for parameter in &model.parameters {
        let own = format!("{name}/{}", parameter.name);
        let reference = model.name_under(names_of, &parameter.name);
        let found =
            [names.is_none().then_some(own.clone()), reference.clone()].into_iter().flatten().find_map(|n| header.get_key_value(&n));
        match found {
            None => missing.push(reference.unwrap_or(own)),
            Some((there, tensor)) if tensor.shape != parameter.shape => {
                let why = format!("its `{there}` has the shape {:?}, the model's {:?}", tensor.shape, parameter.shape);
                return Err(Unfit { why, help: None });
            }
            Some(_) => {}
        }
    }
    let Some(_) = missing.first() else { return Ok(()) };
    let more = missing.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    let mut why = format!("missing in the file ({}): {}{more}", missing.len(), missing[..missing.len().min(NAMED)].join(", "));
    let all: Vec<String> = header.keys().cloned().collect();
    if let Some(prefix) = mismatch::common_prefixes(&all).last() {
        why += &format!("; every name in the file begins with `{prefix}`");
    }
    let tensors: Vec<String> = model.parameters.iter().map(|p| p.name.clone()).collect();
    let one = mismatch::found_under(&all, &tensors).map(|path| vec![path.to_string()]);
    let help = one.or_else(|| mismatch::with_prefix(&all, names_of)).map(|fitting| {
        let list = format!("[{}]", fitting.iter().map(|n| format!("{n:?}")).collect::<Vec<_>>().join(", "));
        format!("the file has `{name}` under other names; give them in the model or in the stage's weights: names = {list}")
    });
    Err(Unfit { why, help })
}

/// What of a split a stage cannot use: videos without a class where labels are read, and such of which a node leaves no frame.
pub(crate) fn check_rows(plan: &Plan, read: &HashMap<&str, Read>, faults: &mut Faults) {
    for stage in &plan.stages {
        let (Some(own), Some(source)) = (read.get(stage.name.as_str()), stage.source) else { continue };
        if let Err(e) = rows_of(stage, own, source, faults) {
            faults.add("wrong-set", stage.nodes[source].at, format!("the packed set `{}`: {e:#}", own.source.set));
        }
    }
}

fn rows_of(stage: &StagePlan, own: &Read, source: usize, faults: &mut Faults) -> Result<()> {
    let (set, videos) = (&own.rows.set, own.rows.videos.iter().copied().collect::<BTreeSet<usize>>());
    let port = |name: &str| stage.nodes[source].entry.outputs.iter().position(|o| o.name == name);
    let reads = |port: usize| {
        let of = |from: &From| matches!(from, From::Node { node, port: p } if *node == source && *p == port);
        stage.nodes.iter().flat_map(|n| &n.inputs).any(|input| of(&input.from))
    };
    if port("label").is_some_and(reads) {
        let mut without = Vec::new();
        for video in &videos {
            if set.class(*video)?.is_none() {
                without.push(*video);
            }
        }
        if let Some(first) = without.first() {
            let (count, path) = (without.len(), set.path(*first)?);
            let message = format!(
                "`label` is read, and {count} of {} videos of the split `{}` have no class, the first {path}",
                videos.len(),
                own.source.split
            );
            faults
                .add("wrong-set", stage.nodes[source].at, message)
                .help("leave them out of the lists, or give them a class, and pack again");
        }
    }
    let mut longest = 0;
    for video in &videos {
        longest = longest.max(set.frames(*video)? as usize);
    }
    for node in &stage.nodes {
        if let Some(span) = node.kind.clip_span().filter(|span| *span > longest) {
            let message = format!(
                "clips of `{}` span {span} frames, and the longest video of the split `{}` has {longest}: each clip repeats frames",
                node.path, own.source.split
            );
            faults.note("long-clips", node.at, message).help("take a smaller `length` or `stride`, if that is not meant");
        }
        let direct = node.inputs.iter().any(|i| matches!(i.from, From::Node { node: from, .. } if from == source));
        if !direct {
            continue;
        }
        let mut short = None;
        for video in &videos {
            let frames = set.frames(*video)? as usize;
            if node.kind.frames_left(frames) == Some(0) && short.is_none_or(|(_, least)| frames < least) {
                short = Some((*video, frames));
            }
        }
        if let Some((video, frames)) = short {
            let message = format!("`{}` leaves nothing of a video of {frames} frames: {}", node.path, set.path(video)?);
            faults.add("wrong-set", node.at, message).help("leave out fewer frames, or leave the video out of the lists");
        }
    }
    Ok(())
}
