//! The plan of one stage from its wired nodes.

use crate::budget::{gib, product, EDGE_BYTES, TENSORS};
use crate::defect::ask;
use crate::edges::{self, Edge, Role, Target};
use crate::experiment::{Experiment, Mode, NodeDecl, StageDecl};
use crate::fault::Faults;
use crate::infer::Inferred;
use crate::kind::{Inputs, Parameter, PortFault, Reference, Sketched, State};
use crate::live;
use crate::passes;
use crate::plan::*;
use crate::port::{Rate, Type};
use crate::source::At;
use crate::stages::stage_needs;

/// The nodes of a stage of which every one was inferred.
pub(crate) struct Wired<'a> {
    pub experiment: &'a Experiment,
    pub name: &'a str,
    pub stage: &'a StageDecl,
    pub edges: Vec<Vec<Edge>>,
    pub order: Vec<usize>,
    pub inferred: Vec<Inferred>,
    pub live: Vec<bool>,
    /// Nodes that are wanted for themselves.
    pub roots: Vec<usize>,
    pub minimise: Option<(usize, usize)>,
    pub reported: Vec<(String, (usize, usize))>,
    /// Tables that are left as files.
    pub files: Vec<(String, (usize, usize))>,
    pub source: Option<usize>,
}

/// The plan of a stage, and its models' parameters at each application: where each node runs, for which rows, whether with gradient.
pub(crate) fn assemble(wired: &Wired, faults: &mut Faults) -> (StagePlan, Vec<(String, Vec<Parameter>, At)>) {
    let Wired { experiment, name, stage, edges, inferred, live, roots, minimise, reported, files, source, .. } = wired;
    let (stage, inferred, minimise) = (*stage, inferred.as_slice(), *minimise);
    let drive = &stage.drive;
    let order: Vec<usize> = wired.order.iter().copied().filter(|i| live[*i]).collect();
    let mut position = vec![usize::MAX; stage.nodes.len()];
    for (p, i) in order.iter().enumerate() {
        position[*i] = p;
    }
    // a model that averages another runs as in training, and no gradient reaches it
    let in_training = |model: &str| drive.trains() && !drive.settings.frozen.iter().any(|f| f == model);
    let trains = |model: &str| in_training(model) && experiment.models.get(model).is_none_or(|m| m.ema.is_none());
    // gradients: from trained models down to the loss
    let flows = |e: &&Edge| {
        e.role == Role::Read && matches!(e.target, Target::Node { node, port } if inferred[node].outputs[port].ty == Type::Float)
    };
    let own = |i: usize, list: &[Edge]| -> Vec<Edge> {
        let through = stage.nodes[i].entry.gradient;
        list.iter().filter(|e| through && flows(e)).cloned().collect()
    };
    let flowing: Vec<Vec<Edge>> = edges.iter().enumerate().map(|(i, list)| own(i, list)).collect();
    let to_loss = live::upstream(&flowing, minimise.iter().map(|(n, _)| *n));
    let mut gradient = vec![false; stage.nodes.len()];
    for &i in &order {
        let trained = stage.nodes[i].model.as_deref().is_some_and(|m| trains(m) && !inferred[i].inputs.ports.is_empty());
        let fed = flowing[i].iter().any(|e| matches!(e.target, Target::Node { node, .. } if gradient[node]));
        gradient[i] = to_loss[i] && (trained || fed) && inferred[i].outputs.iter().any(|p| p.ty == Type::Float);
    }
    // host: what can run there and reads nothing from the device
    let mut host = vec![false; stage.nodes.len()];
    for &i in &order {
        let inputs_there = edges[i].iter().all(|e| matches!(e.target, Target::Node { node, .. } if host[node]));
        host[i] = stage.nodes[i].entry.sample.is_some() && inputs_there;
    }
    let choosers: Vec<bool> = stage.nodes.iter().map(chooses).collect();
    let draws = |i: usize, input: &str| stage.nodes[i].entry.outputs.iter().any(|o| o.draw && o.name == input);
    let guards = live::guards(&order, edges, live, &choosers, draws, roots);
    let mut parameters: Vec<(String, Vec<Parameter>, At)> = Vec::new();
    let mut models: Vec<(String, bool)> = Vec::new();
    let mut nodes = Vec::new();
    for &i in &order {
        let (decl, found) = (&stage.nodes[i], &inferred[i]);
        let mut cost = None;
        if let Some(model) = &decl.model {
            let sketched = model_sketch(decl, &found.inputs, faults);
            cost = sketched.as_ref().map(|s| s.cost);
            let list = sketched.map(|s| s.parameters).unwrap_or_default();
            match parameters.iter().find(|(m, ..)| m == model) {
                None => parameters.push((model.clone(), list, decl.at)),
                Some((_, known, _)) if !same_shapes(known, &list) => {
                    let message =
                        format!("`{model}` would have other parameter shapes here than in another pass of this stage: its input differs");
                    faults.add("model-shape", decl.at, message);
                }
                Some(_) => {}
            }
            if faults.stopped() {
                break;
            }
            if !models.iter().any(|(m, _)| m == model) {
                models.push((model.clone(), trains(model)));
            }
        }
        let training = match decl.mode {
            Some(mode) => mode == Mode::Train,
            None => decl.model.as_deref().is_some_and(in_training),
        };
        let place = match (host[i], found.rate) {
            (true, _) => Place::Host,
            (false, Rate::Stage) if edges[i].iter().all(|e| is_table(inferred, &e.target)) => Place::End,
            _ => Place::Device,
        };
        if place == Place::Device && !decl.entry.batch {
            faults.add("wrong-place", decl.at, format!("`{}` runs on the host only, and reads what the device computes", decl.path));
        }
        let wired = |role: Role| -> Vec<InputPlan> {
            let own = edges[i].iter().zip(&found.items).filter(|(e, _)| e.role == role);
            own.map(|(e, item)| InputPlan {
                name: e.input.clone(),
                from: match &e.target {
                    Target::Node { node, port } => From::Node { node: position[*node], port: *port },
                    Target::Stage { stage, node, port } => From::Stage { stage: stage.clone(), node: node.clone(), port: port.clone() },
                },
                item: *item,
            })
            .collect()
        };
        let state = decl.entry.state.map(|_| register_state(decl, &found.inputs, faults).unwrap_or_default());
        let register = state.map(|state| Register {
            state,
            names: decl.names.clone(),
            writes: if drive.trains() { wired(Role::Write) } else { Vec::new() },
            initial: wired(Role::Initial),
        });
        let most = ask(decl.entry.name, "its largest batch", decl.at, faults, || decl.kind.batch_at_most()).flatten();
        if let (Some((setting, most)), Some(batch), true) = (most, drive.settings.batch, drive.trains()) {
            if batch > most {
                let at = decl.table.get(setting).map_or(decl.at, |i| i.at);
                let message = format!("`{setting}` must be at least one batch, {batch} samples; it is {most}");
                faults.add("out-of-range", at, message);
            }
        }
        if let Some(register) = &register {
            let there = register.state.iter().filter(|s| s.reference != Reference::None).count();
            if !register.names.is_empty() && register.names.len() != there {
                faults.add(
                    "bad-names",
                    decl.at,
                    format!("`{}` has {there} tensors in the reference's state dict, and {} names", decl.path, register.names.len()),
                );
            }
            if experiment.models.contains_key(&decl.path) {
                faults.add("bad-name", decl.at, format!("`{}` is also the name of a model: `weights` could mean either", decl.path));
            }
        }
        nodes.push(NodePlan {
            path: decl.path.clone(),
            at: decl.at,
            places: places(&decl.table),
            entry: decl.entry,
            kind: decl.kind.clone(),
            model: decl.model.clone(),
            inputs: wired(Role::Read),
            register,
            outputs: found.outputs.clone(),
            rate: found.rate,
            fold: found.fold.clone(),
            passes: found.passes,
            place,
            guards: guards[i].iter().map(|g| Guard { choose: position[g.choose], branch: g.branch }).collect(),
            gradient: gradient[i],
            training,
            cost,
        });
    }
    passes::check_passes(wired, &order, &parameters, &|m| in_training(m), faults);
    for (model, trained) in &models {
        let reaches = order.iter().any(|i| stage.nodes[*i].model.as_ref() == Some(model) && to_loss[*i]);
        if *trained && !reaches {
            let at = order.iter().find(|i| stage.nodes[**i].model.as_ref() == Some(model)).map_or(stage.at, |i| stage.nodes[*i].at);
            faults
                .add("untrained", at, format!("`minimise` does not depend on the parameters of `{model}`"))
                .help(format!("use its output in the loss, or freeze it: frozen = [\"{model}\"]"));
        }
    }
    if let Some((loss, _)) = minimise.filter(|(n, _)| !gradient[*n] && !models.iter().any(|(_, trained)| *trained)) {
        let at = stage.table.get("minimise").map_or(stage.at, |i| i.at);
        faults.add("untrained", at, format!("`{}` depends on no model that this stage trains", stage.nodes[loss].path));
    }
    let mut metrics: Vec<Metric> = Vec::new();
    let mut metric = |name: String, i: usize, port: usize, reported: bool| {
        if position[i] != usize::MAX && !metrics.iter().any(|m| m.node == position[i] && m.port == port) {
            metrics.push(Metric { name, node: position[i], port, reported });
        }
    };
    for (text, (n, p)) in reported {
        metric(text.clone(), *n, *p, true);
    }
    for &i in &order {
        for (p, port) in inferred[i].outputs.iter().enumerate() {
            if port.is_scalar() {
                metric(format!("{}.{}", stage.nodes[i].path, stage.nodes[i].entry.outputs[p].name), i, p, inferred[i].rate == Rate::Stage);
            }
        }
    }
    let aliases = stage.aliases.iter().filter_map(|a| match edges::follow(experiment, stage, &a.to, a.at, faults)? {
        (Target::Node { node, port }, None) if live[node] => Some(((a.node.clone(), a.port.clone()), (position[node], port))),
        _ => None,
    });
    let aliases = aliases.collect();
    let plan = StagePlan {
        name: name.to_string(),
        at: stage.at,
        places: places(&stage.table),
        drive: drive.clone(),
        nodes,
        source: source.map(|s| position[s]),
        minimise: minimise.map(|(n, p)| (position[n], p)),
        metrics,
        needs: stage_needs(experiment, stage).into_iter().map(|(n, _)| n).collect(),
        models,
        during: drive.during.clone(),
        files: files.iter().map(|(text, (n, p))| (text.clone(), (position[*n], *p))).collect(),
        aliases,
    };
    (plan, parameters)
}

fn chooses(node: &NodeDecl) -> bool {
    // a draw that an edge brings is no branch
    let draw = |name: &str| node.entry.outputs.iter().any(|o| o.draw && o.name == name);
    node.entry.chooses && node.inputs.iter().any(|i| !draw(&i.name))
}

fn is_table(inferred: &[Inferred], target: &Target) -> bool {
    match target {
        Target::Node { node, port } => inferred[*node].outputs[*port].rate == Rate::Stage,
        Target::Stage { .. } => true,
    }
}

/// Whether two passes of a model have parameters of the same names and shapes.
pub(crate) fn same_shapes(a: &[Parameter], b: &[Parameter]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.name == b.name && a.shape == b.shape)
}

/// A model's network, of not too many parameters.
fn model_sketch(node: &NodeDecl, inputs: &Inputs, faults: &mut Faults) -> Option<Sketched> {
    let sketch = node.entry.sketch.expect("a model's entry has a network");
    let sketched = ask(node.entry.name, "its network", node.at, faults, || sketch(node.kind.as_any(), inputs))?;
    let sketched = fitting(node, sketched, faults)?;
    let count = sketched.parameters.len();
    if count > TENSORS {
        let message = format!("`{}` ({}) has {count} parameters and buffers; at most {TENSORS} are allowed", node.path, node.entry.name);
        faults.stop("too-large", node.at, message);
    }
    Some(sketched)
}

/// What a kind answers, or its fault reported.
fn fitting<T>(node: &NodeDecl, answer: Result<T, PortFault>, faults: &mut Faults) -> Option<T> {
    let report = |fault: PortFault| {
        faults.add("shape", node.at, format!("`{}` ({}): {}", node.path, node.entry.name, fault.message));
    };
    answer.map_err(report).ok()
}

/// The tensors of a register, none of them larger than what an output may be.
fn register_state(node: &NodeDecl, inputs: &Inputs, faults: &mut Faults) -> Option<Vec<State>> {
    let state = node.entry.state?;
    let list = ask(node.entry.name, "its list of tensors", node.at, faults, || state(node.kind.as_any(), inputs))?;
    let list = fitting(node, list, faults)?;
    for s in &list {
        // the largest type that it may have
        let size = product(s.shape.iter().map(|d| d.known().unwrap_or(1)).chain([8]));
        if size > EDGE_BYTES {
            let message =
                format!("`{}` ({}): `{}` would take {}; the limit is {}", node.path, node.entry.name, s.name, gib(size), gib(EDGE_BYTES));
            faults.add("too-large", node.at, message);
        }
    }
    Some(list)
}
