//! The nodes of one stage: edges, shapes, what is used.

use crate::assemble::{assemble, Wired};
use crate::defect::ask;
use crate::drive::element_at;
use crate::edges::{self, Edge, Role, Target};
use crate::experiment::{Experiment, NodeDecl, StageDecl};
use crate::fault::Faults;
use crate::infer::{infer, infer_late, Inferred, Known};
use crate::kind::Parameter;
use crate::live;
use crate::plan::StagePlan;
use crate::port::{Port, Rate, Type};
use crate::source::At;
use crate::stages::Tables;
use crate::tree::{Table, Value};
use dv_datasets::file;
use std::collections::HashSet;

pub(crate) struct PlannedStage {
    pub plan: StagePlan,
    /// Of each application of a model: its parameters, and where it stands.
    pub parameters: Vec<(String, Vec<Parameter>, At)>,
    /// Nodes that reach nothing, in this stage or another: where, what to tell, what helps.
    pub unused: Vec<(At, String, String)>,
}

/// A scalar that `minimise` or `metrics` names: the text, where it stands, node and output.
struct Asked {
    key: &'static str,
    text: String,
    at: At,
    node: usize,
    port: usize,
}

/// Plans a stage. Nothing where a fault leaves open what its nodes are.
pub(crate) fn plan_stage(
    experiment: &Experiment,
    name: &str,
    wanted: &HashSet<String>,
    tables: &mut Tables,
    faults: &mut Faults,
) -> Option<PlannedStage> {
    let stage = &experiment.stages[name];
    let settings = &stage.drive.settings;
    required_settings(stage, faults);
    let before = faults.told();
    let resolved = edges::resolve(experiment, stage, faults);
    let asked: Vec<Asked> = asked(experiment, stage, faults);
    let unresolved: Vec<bool> = resolved.iter().map(Option::is_none).collect();
    // with what settings switch off
    let whole: Vec<_> = resolved.into_iter().map(Option::unwrap_or_default).collect();
    let mut edges = whole.clone();
    for (i, node) in stage.nodes.iter().enumerate() {
        let dropped = ask(node.entry.name, "its list of inputs that are off", node.at, faults, || node.kind.dropped()).unwrap_or_default();
        for input in dropped.iter().filter(|d| !node.inputs.iter().any(|i| i.name == **d)) {
            let at = key_at(&node.table, input).unwrap_or(node.at);
            let known = node.inputs.iter().map(|i| i.name.as_str());
            faults.add("unknown-input", at, format!("`{}` has no input `{input}` to switch off", node.path)).nearest(input, known);
        }
        edges[i].retain(|e| !dropped.contains(&e.input));
    }
    let order = edges::order(stage, &edges, faults);
    let mut inferred: Vec<Option<Inferred>> = stage.nodes.iter().map(|_| None).collect();
    let mut visited = vec![false; stage.nodes.len()];
    for i in edges::inference_order(&order, &edges) {
        let port = |t: &Target| match t {
            Target::Node { node, .. } if !visited[*node] => Known::Later,
            Target::Node { node, port } => {
                inferred[*node].as_ref().map_or(Known::Never, |f: &Inferred| Known::Port(f.outputs[*port].clone()))
            }
            Target::Stage { stage, node, port } => {
                tables.get(&(stage.clone(), node.clone(), port.clone())).cloned().map_or(Known::Never, Known::Port)
            }
        };
        if !unresolved[i] {
            inferred[i] = infer(&stage.nodes[i], &edges[i], settings.batch.unwrap_or(1), port, faults);
        }
        visited[i] = true;
        for (out, port) in stage.nodes[i].entry.outputs.iter().zip(inferred[i].iter().flat_map(|f| &f.outputs)) {
            tables.insert((name.to_string(), stage.nodes[i].path.clone(), out.name.to_string()), port.clone());
        }
    }
    // what is written to a register of whose output it depends
    for i in 0..stage.nodes.len() {
        let late = |e: &&Edge| e.role == Role::Write && matches!(e.target, Target::Node { node, .. } if inferred[node].is_some());
        if inferred[i].as_ref().is_some_and(|f| f.late) {
            let edges: Vec<(Edge, Port)> = edges[i]
                .iter()
                .filter(late)
                .filter_map(|e| match e.target {
                    Target::Node { node, port } => Some((e.clone(), inferred[node].as_ref()?.outputs[port].clone())),
                    Target::Stage { .. } => None,
                })
                .collect();
            if let Some(found) = inferred[i].as_mut() {
                infer_late(&stage.nodes[i], &edges, found, faults);
            }
        }
    }
    for a in &asked {
        let Some(port) = inferred[a.node].as_ref().map(|f| &f.outputs[a.port]) else { continue };
        if a.key == "files" {
            if port.ty != Type::Table {
                faults
                    .add("not-a-table", a.at, format!("`files` takes tables; `{}` is {port}", a.text))
                    .help("gather it over the stage first with a kind of the family `collect`");
            }
        } else if !port.is_scalar() {
            faults.add("not-a-scalar", a.at, format!("`{}` takes a scalar; `{}` is {port}", a.key, a.text));
        } else if a.key == "minimise" && port.rate == Rate::Stage {
            faults.add("wrong-rate", a.at, format!("`minimise` takes a value of each batch; `{}` is a value of the whole stage", a.text));
        }
    }
    // told here or in a stage before: what is used cannot be said
    let unread = stage.table.get("minimise").is_some() && settings.minimise.is_none();
    if unread || faults.told() > before || !stage.broken.is_empty() || inferred.iter().any(Option::is_none) {
        return None;
    }
    let inferred: Vec<Inferred> = inferred.into_iter().flatten().collect();
    let evaluates = |i: usize| inferred[i].rate == Rate::Stage && inferred[i].outputs.iter().any(Port::is_scalar);
    let is_root = |i: &usize| asked.iter().any(|a| a.node == *i) || wanted.contains(&stage.nodes[*i].path) || evaluates(*i);
    let roots: Vec<usize> = (0..stage.nodes.len()).filter(is_root).collect();
    // outside of training nothing is written
    let mut reading = edges.clone();
    if !stage.drive.trains() {
        reading.iter_mut().for_each(|list| list.retain(|e| e.role != Role::Write));
    }
    let live = live::upstream(&reading, roots.iter().copied());
    let switched_off = live::upstream(&whole, roots.iter().copied());
    // the last of a chain is told, with what nothing else needs
    let idle = |i: usize| !live[i] && !switched_off[i];
    let is_read =
        |i: usize| (0..edges.len()).any(|j| idle(j) && edges[j].iter().any(|e| matches!(e.target, Target::Node { node, .. } if node == i)));
    let unused = (0..edges.len()).filter(|i| idle(*i) && !is_read(*i)).map(|i| {
        let above = live::upstream(&edges, [i]);
        let with: Vec<&str> = (0..edges.len()).filter(|j| *j != i && above[*j] && idle(*j)).map(|j| stage.nodes[j].path.as_str()).collect();
        let help = match with.is_empty() {
            true => "use one of its outputs, or remove it".to_string(),
            false => {
                format!("use one of its outputs, or remove it together with {}, which nothing else needs", edges::list(with.into_iter()))
            }
        };
        let path = &stage.nodes[i].path;
        (stage.nodes[i].at, format!("`{path}` reaches no loss, metric or table that is read"), help)
    });
    let unused = unused.collect();
    let sources: Vec<usize> = (0..stage.nodes.len()).filter(|i| live[*i] && reads_set(&stage.nodes[*i], faults)).collect();
    for second in sources.iter().skip(1) {
        faults.unsupported(stage.nodes[*second].at, "more than one source in a stage");
    }
    if sources.is_empty() && inferred.iter().zip(&live).any(|(f, l)| *l && f.rate < Rate::Stage) {
        faults.add("no-source", stage.at, format!("the stage `{name}` has no source, so its batches have no samples"));
    }
    if !sources.is_empty() && stage.table.get("batch").is_none() && settings.minimise.is_none() {
        faults.add("missing-setting", stage.at, format!("the stage `{name}` reads samples, so it needs `batch`"));
    }
    let minimise = asked.iter().find(|a| a.key == "minimise").map(|a| (a.node, a.port));
    let (files, reported): (Vec<&Asked>, Vec<&Asked>) = asked.iter().partition(|a| a.key == "files");
    let named = |list: Vec<&Asked>| list.into_iter().map(|a| (a.text.clone(), (a.node, a.port))).collect();
    let (files, reported) = (named(files), named(reported));
    let source = sources.first().copied();
    let edges = reading;
    let wired = Wired { experiment, name, stage, edges, order, inferred, live, roots, minimise, reported, files, source };
    let (plan, parameters) = assemble(&wired, faults);
    Some(PlannedStage { plan, parameters, unused })
}

/// Whether a node reads a packed set, whose name is then that of a folder right below the data's.
fn reads_set(node: &NodeDecl, faults: &mut Faults) -> bool {
    let Some(Some(source)) = ask(node.entry.name, "its source", node.at, faults, || node.kind.source()) else { return false };
    if let Some(reason) = file::not_plain(&source.set) {
        let at = node.table.iter().find(|(_, e)| e.item.as_str() == Some(&source.set)).map_or(node.at, |(_, e)| e.item.at);
        faults
            .add("bad-name", at, format!("`{}` cannot be the name of a packed set: {reason}", source.set))
            .help("a set is a folder right below the data's folder (--data DIR), named without a path");
    }
    true
}

/// The scalars that the stage's settings name.
fn asked(experiment: &Experiment, stage: &StageDecl, faults: &mut Faults) -> Vec<Asked> {
    let s = &stage.drive.settings;
    let texts = s.minimise.iter().map(|t| ("minimise", 0, t)).chain(s.metrics.iter().enumerate().map(|(i, t)| ("metrics", i, t)));
    let texts = texts.chain(s.files.iter().enumerate().map(|(i, t)| ("files", i, t)));
    let mut out = Vec::new();
    for (key, i, text) in texts {
        let at = element_at(&stage.table, key, i).unwrap_or(stage.at);
        match edges::follow(experiment, stage, text, at, faults) {
            Some((Target::Node { node, port }, None)) => out.push(Asked { key, text: text.clone(), at, node, port }),
            Some(_) => {
                faults.add("bad-edge", at, format!("`{key}` takes a whole output of this stage; `{text}` is not one"));
            }
            None => {}
        }
    }
    out
}

/// Where a key stands in a table or below it.
fn key_at(table: &Table, key: &str) -> Option<At> {
    table.iter().find_map(|(k, e)| match &e.item.value {
        _ if k == key => Some(e.key),
        Value::Table(t) => key_at(t, key),
        _ => None,
    })
}

/// The settings that a stage of its sort must state.
fn required_settings(stage: &StageDecl, faults: &mut Faults) {
    let (d, s) = (&stage.drive, &stage.drive.settings);
    // one at fault was told, and says all the same what sort of stage it is
    let trains = stage.table.get("minimise").is_some();
    let mut need = |there: bool, key: &str, why: &str| {
        if !there && stage.table.get(key).is_none() {
            faults.add("missing-setting", stage.at, format!("{why} needs `{key}`"));
        }
    };
    if trains {
        let why = "a stage that trains";
        need(s.epochs.is_some(), "epochs", why);
        need(s.batch.is_some(), "batch", why);
        need(s.world.is_some(), "world", why);
        need(s.batch_norm.is_some(), "batch_norm", why);
        need(d.optimiser.is_some(), "optimiser", why);
        need(d.schedule.is_some(), "schedule", why);
    }
    if stage.nodes.iter().any(|n| n.model.is_some()) {
        need(s.precision.is_some(), "precision", "a stage that applies a model");
    }
    if let Some(entry) = stage.table.entry("files").filter(|_| trains) {
        faults
            .add("unused-setting", entry.key, "`files` belongs to a stage that extracts or evaluates; this one trains")
            .help("write it in a stage that takes its weights from this one");
    }
    if !trains {
        for key in ["epochs", "optimiser", "schedule", "keep", "world", "batch_norm", "frozen", "drop_last"] {
            if let Some(entry) = stage.table.entry(key) {
                faults.add("unused-setting", entry.key, format!("`{key}` belongs to a stage that trains (`minimise`)"));
            }
        }
    }
}
