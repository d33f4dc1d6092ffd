//! A plan against the packed sets that it reads.

use crate::ahead::{check_rows, check_weights, note_beyond};
use crate::fault::Faults;
use crate::kind::Source;
use crate::overlap::{note_overlaps, Read};
use crate::plan::{From, InputPlan, NodePlan, Plan, StagePlan};
use crate::port::Dim;
use crate::sample::epoch::{how_to_make, Rows};
use std::collections::HashMap;
use std::path::Path;

/// Checks the sets that the plan reads, each fault of a set told once. A missing set is a note with how to make it, or a
/// fault where the data was named (`strict`); a set of another size, or without the split, is always a fault, and so is one with fewer
/// rows than a setting asks for. A source's classes are compared with the logits that they meet.
pub fn check_data(plan: &Plan, data: &Path, strict: bool, faults: &mut Faults) {
    note_beyond(plan, faults);
    let mut opened = HashMap::new();
    let mut told = Vec::new();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let mut classes: HashMap<&str, usize> = HashMap::new();
    let mut read = HashMap::new();
    for stage in &plan.stages {
        let (Some(index), Some(source)) = (stage.source, stage.source()) else { continue };
        let node = &stage.nodes[index];
        let set = opened.entry(source.set.clone()).or_insert_with(|| {
            let dir = data.join(&source.set);
            if dir.exists() {
                return Some(Rows::open_set(data, &source.set));
            }
            let message = match data.is_file() {
                true => format!("{} is a file; --data DIR takes the folder that holds the packed sets", data.display()),
                false => format!("there is no packed set `{}` in {}", source.set, data.display()),
            };
            let fault = if strict { faults.add("no-set", node.at, message) } else { faults.note("no-set", node.at, message) };
            fault.help(how_to_make(&source.set));
            None
        });
        let rows = match set {
            None => continue,
            Some(Err(e)) => Err(format!("{e:#}")),
            Some(Ok(set)) => Rows::of(set.clone(), &source, &node.path).map_err(|e| format!("{e:#}")),
        };
        match rows {
            Ok(rows) => {
                counts.insert(&stage.name, rows.len());
                classes.insert(&stage.name, rows.set.classes.len());
                note_missing(&rows, &source, node, faults);
                read.insert(stage.name.as_str(), Read { source, rows, node });
            }
            Err(message) if !told.contains(&message) => {
                faults.add("wrong-set", node.at, message.clone());
                told.push(message);
            }
            Err(_) => {}
        }
    }
    for stage in &plan.stages {
        if let (true, Some(batch), Some(rows)) = (stage.trains(), stage.drive.settings.batch, counts.get(stage.name.as_str())) {
            if batch > *rows && stage.drive.drops_last() {
                let message = format!("batch {batch}: the split of `{}` has {rows} samples, less than one batch", stage.name);
                faults.add("wrong-set", stage.setting_at("batch"), message).help("reduce `batch`, or use a larger split");
            }
        }
        for node in &stage.nodes {
            let Some(needed) = node.kind.rows_needed() else { continue };
            let from = node.inputs.iter().find(|i| i.name == needed.input).map(|i| &i.from);
            let from = match from {
                Some(From::Stage { stage, .. }) => stage,
                Some(From::Node { .. }) => &stage.name,
                None => continue,
            };
            let Some(rows) = counts.get(from.as_str()).filter(|rows| **rows < needed.rows) else { continue };
            let (name, asked) = (needed.setting, needed.rows);
            let message = format!("`{name}` asks for {asked} rows of `{}`, and the stage `{from}` has {rows}", needed.input);
            faults.add("wrong-set", node.setting_at(name), message).help(format!("reduce `{name}`, or use a larger split"));
        }
    }
    check_classes(plan, &classes, faults);
    check_rows(plan, &read, faults);
    if strict {
        check_weights(plan, faults);
    }
    note_overlaps(plan, &read, faults);
}

/// Rows of the list that the set does not have are a note: they change no other row, and a result stands on fewer.
fn note_missing(rows: &Rows, source: &Source, node: &NodePlan, faults: &mut Faults) {
    let (missing, all) = (rows.missing.len(), rows.missing.len() + rows.len());
    if let Some(first) = rows.missing.first() {
        let message = format!(
            "{missing} of {all} rows of `{}` that are read here are not in the set `{}`, the first {first}",
            source.split, source.set
        );
        faults.note("missing-rows", node.at, message).help(format!("dv inspect DATA/{} says why", source.set));
    }
}

/// A place where labels of a set meet a length that counts the classes.
struct Meeting<'p> {
    /// The stage that reads the set.
    stage: &'p str,
    set: String,
    node: &'p NodePlan,
    /// The input with that length, and how long it is.
    input: &'p str,
    entries: usize,
}

fn meetings(plan: &Plan) -> Vec<Meeting<'_>> {
    let mut out = Vec::new();
    for stage in &plan.stages {
        for node in &stage.nodes {
            for input in &node.inputs {
                let Some(length) = node.entry.inputs.iter().find(|i| i.name == input.name).and_then(|i| i.counts) else { continue };
                let Some((reader, set)) = labels(plan, stage, &input.from) else { continue };
                let Some((input, entries)) = entries(plan, stage, node, length) else { continue };
                out.push(Meeting { stage: reader, set, node, input, entries });
            }
        }
    }
    out
}

/// How many classes each set must have for the logits that its labels meet.
pub fn class_counts(plan: &Plan) -> Vec<(String, usize)> {
    meetings(plan).into_iter().map(|m| (m.set, m.entries)).collect()
}

/// Where an index counts along a length of another input, there must be as many entries as the index has values.
fn check_classes(plan: &Plan, classes: &HashMap<&str, usize>, faults: &mut Faults) {
    for Meeting { stage, set, node, input, entries } in meetings(plan) {
        if let Some(have) = classes.get(stage).filter(|have| **have != entries) {
            let message = format!("the set `{set}` has {have} classes, but `{input}` of `{}` has {entries}", node.path);
            let help = format!("give the model that computes `{input}` as many outputs as the set has classes: {have}");
            faults.add("class-count", node.at, message).help(help);
        }
    }
}

/// The stage, node and output that an edge reads.
pub(crate) fn behind<'p>(plan: &'p Plan, stage: &'p StagePlan, from: &From) -> Option<(&'p StagePlan, &'p NodePlan, usize)> {
    match from {
        From::Node { node, port } => Some((stage, &stage.nodes[*node], *port)),
        From::Stage { stage, node, port } => {
            let stage = plan.stages.iter().find(|s| s.name == *stage)?;
            let (node, port) = stage.output(&format!("{node}.{port}"))?;
            Some((stage, &stage.nodes[node], port))
        }
    }
}

/// The stage and set whose classes an edge's labels count.
fn labels<'p>(plan: &'p Plan, stage: &'p StagePlan, from: &From) -> Option<(&'p str, String)> {
    let (stage, node, port) = behind(plan, stage, from)?;
    let range = node.outputs[port].range.as_ref().filter(|range| range.known().is_none())?;
    if let Some(source) = node.kind.source() {
        return (*range == Dim::Symbol("classes".into())).then_some((stage.name.as_str(), source.set));
    }
    let carries = |i: &&InputPlan| behind(plan, stage, &i.from).is_some_and(|(_, n, p)| n.outputs[p].range.as_ref() == Some(range));
    labels(plan, stage, &node.inputs.iter().find(carries)?.from)
}

/// The input of a node whose declared shape has a length of that name, and how long it is here.
fn entries<'p>(plan: &'p Plan, stage: &'p StagePlan, node: &'p NodePlan, length: &str) -> Option<(&'p str, usize)> {
    node.inputs.iter().find_map(|input| {
        let declared = node.entry.inputs.iter().find(|i| i.name == input.name)?;
        let (_, from, port) = behind(plan, stage, &input.from)?;
        let place = declared.place(length, from.outputs[port].shape.len())?;
        Some((input.name.as_str(), from.outputs[port].shape[place].known()?))
    })
}
