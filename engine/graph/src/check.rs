//! From an experiment to a plan: every fault on the way is told, none stops the others.

use crate::edges::{self, Edge, Target};
use crate::experiment::{self, Experiment, Mode, NodeDecl, StageDecl};
use crate::fault::Faults;
use crate::infer::{infer, Inferred};
use crate::kind::{Inputs, Library, Parameter};
use crate::live;
use crate::merge::{self, Setting};
use crate::plan::*;
use crate::port::{Port, Rate, Type};
use crate::source::{At, Sources};
use crate::stage::{Drive, Origin};
use indexmap::IndexMap;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// The outcome of reading a graph: the texts, the faults, and the plan where there is no fault.
pub struct Checked {
    pub sources: Sources,
    pub faults: Faults,
    pub plan: Option<Plan>,
}

/// Reads and checks a graph file. Nothing heavy is built or opened.
pub fn check(path: &Path, settings: &[Setting], library: &Library) -> Checked {
    check_adjusted(path, settings, library, &mut |_| ())
}

/// The same with a change of the resolved tree before it is read (`--smoke`).
pub fn check_adjusted(path: &Path, settings: &[Setting], library: &Library, adjust: &mut dyn FnMut(&mut crate::tree::Table)) -> Checked {
    let (mut sources, mut faults) = (Sources::default(), Faults::default());
    let mut tree = merge::load(path, settings, &mut sources, &mut faults);
    if tree.is_empty() && faults.iter().any(|f| f.code == "no-file") {
        return Checked { sources, faults, plan: None };
    }
    adjust(&mut tree);
    let broken = faults.iter().any(|f| matches!(f.code, "syntax" | "no-file"));
    // what a syntax fault swallowed would be told as missing or out of range
    let plan = if broken { None } else { plan(&experiment::read(tree, library, &mut faults), &mut faults) };
    let plan = plan.filter(|_| faults.is_empty());
    Checked { sources, faults, plan }
}

/// Checks the sets that the plan reads. A missing set is a note with how to make it, or a fault where the data was named
/// (`strict`); a set of another size, or without the split, is always a fault.
pub fn check_data(plan: &Plan, data: &Path, strict: bool, faults: &mut Faults) {
    for stage in &plan.stages {
        let (Some(index), Some(source)) = (stage.source, stage.source()) else { continue };
        let node = &stage.nodes[index];
        if !data.join(&source.set).exists() {
            let message = format!("there is no packed set `{}` in {}", source.set, data.display());
            let fault = if strict { faults.add("no-set", node.at, message) } else { faults.note("no-set", node.at, message) };
            fault.help(crate::sample::epoch::how_to_make(&source.set));
        } else if let Err(e) = crate::sample::epoch::Rows::open(data, &source, &node.path) {
            faults.add("wrong-set", node.at, format!("{e:#}"));
        }
    }
}

struct Found {
    plan: StagePlan,
    parameters: Vec<(String, Vec<Parameter>, At)>,
}

fn plan(experiment: &Experiment, faults: &mut Faults) -> Option<Plan> {
    let order = stage_order(experiment, faults)?;
    let mut tables: HashMap<(String, String, String), Port> = HashMap::new();
    // tables that other stages read keep their nodes alive
    let mut read: Vec<(String, String)> = Vec::new();
    // edges that lead nowhere, which are told below
    let mut astray = Faults::default();
    for stage in experiment.stages.values() {
        let inputs = stage.nodes.iter().flat_map(|n| n.inputs.iter().map(|i| (&i.edge, i.at)));
        for (edge, at) in inputs.chain(stage.loose.iter().map(|(edge, at)| (edge, *at))) {
            if let Some((Target::Stage { stage, node, .. }, _)) = edges::follow(experiment, stage, edge, at, &mut astray) {
                read.push((stage, node));
            }
        }
    }
    let mut stages = Vec::new();
    let mut parameters: IndexMap<String, (Vec<Parameter>, String)> = IndexMap::new();
    for name in &order {
        let stage = &experiment.stages[name];
        let wanted: Vec<&str> = read.iter().filter(|(s, _)| s == name).map(|(_, n)| n.as_str()).collect();
        let wanted = astray.is_empty().then_some(wanted);
        let Some(found) = plan_stage(experiment, name, stage, wanted.as_deref(), &tables, faults) else { continue };
        for node in &found.plan.nodes {
            for (out, port) in node.entry.outputs.iter().zip(&node.outputs) {
                tables.insert((name.clone(), node.path.clone(), out.name.to_string()), port.clone());
            }
        }
        for (model, list, at) in found.parameters {
            let shapes = |l: &[Parameter]| l.iter().map(|p| (p.name.clone(), p.shape.clone())).collect::<Vec<_>>();
            match parameters.get(&model) {
                None => {
                    parameters.insert(model, (list, name.clone()));
                }
                Some((known, first)) if shapes(known) != shapes(&list) => {
                    faults.add(
                        "model-shape",
                        at,
                        format!("`{model}` would have other parameter shapes here than in the stage `{first}`: its input differs"),
                    );
                }
                Some(_) => {}
            }
        }
        stages.push(found.plan);
    }
    let used_before_pruning: Vec<&str> =
        experiment.stages.values().flat_map(|s| s.nodes.iter().filter_map(|n| n.model.as_deref())).collect();
    let mut models = IndexMap::new();
    for (name, decl) in &experiment.models {
        match parameters.swap_remove(name) {
            Some((list, _)) => {
                let layers: std::collections::BTreeSet<&str> =
                    list.iter().filter_map(|p| p.name.rsplit_once('.')).map(|(l, _)| l).collect();
                if decl.names.len() > 1 && decl.names.len() != layers.len() {
                    faults.add(
                        "bad-names",
                        decl.at,
                        format!("`{name}` has {} layers and {} names: one for the model, or one a layer", layers.len(), decl.names.len()),
                    );
                }
                models.insert(
                    name.clone(),
                    ModelPlan { entry: decl.entry, kind: decl.kind.clone(), names: decl.names.clone(), parameters: list },
                );
            }
            None if !used_before_pruning.contains(&name.as_str()) && faults.is_empty() => {
                faults.add("unused", decl.at, format!("no node applies the model `{name}`")).help("apply it, or take it out");
            }
            None => {}
        }
    }
    check_origins(experiment, &stages, faults);
    Some(Plan {
        name: experiment.name.clone(),
        about: experiment.about.clone(),
        seed: experiment.seed,
        models,
        stages,
        resolved: experiment.resolved.to_toml(),
    })
}

/// Stages, each after those whose tables or weights it needs; else as the file has them.
fn stage_order(experiment: &Experiment, faults: &mut Faults) -> Option<Vec<String>> {
    let needs: BTreeMap<&str, Vec<(String, At)>> =
        experiment.stages.iter().map(|(n, s)| (n.as_str(), stage_needs(experiment, s))).collect();
    for (name, list) in &needs {
        for (other, at) in list {
            if other == name {
                faults.add("cycle", *at, format!("the stage `{name}` needs itself"));
                return None;
            }
            if !experiment.stages.contains_key(other) {
                faults
                    .add("unknown-stage", *at, format!("there is no stage `{other}`"))
                    .nearest(other, experiment.stages.keys().map(String::as_str));
            }
        }
    }
    let mut order: Vec<String> = Vec::new();
    while order.len() < experiment.stages.len() {
        let ready = |name: &&String| {
            !order.contains(name) && needs[name.as_str()].iter().all(|(n, _)| order.contains(n) || !experiment.stages.contains_key(n))
        };
        let Some(next) = experiment.stages.keys().find(ready).cloned() else {
            let left: Vec<&str> = experiment.stages.keys().filter(|n| !order.contains(n)).map(String::as_str).collect();
            faults.add(
                "cycle",
                experiment.stages[left[0]].at,
                format!("a cycle: the stages {} wait for each other", edges::list(left.into_iter())),
            );
            return None;
        };
        order.push(next);
    }
    Some(order)
}

fn stage_needs(experiment: &Experiment, stage: &StageDecl) -> Vec<(String, At)> {
    let weights_at = stage.table.get("weights").map_or(stage.at, |i| i.at);
    let mut out: Vec<(String, At)> = stage
        .drive
        .weights
        .iter()
        .filter_map(|(_, o)| match o {
            Origin::Stage { stage, .. } => Some((stage.clone(), weights_at)),
            Origin::Initial => None,
        })
        .collect();
    for input in stage.nodes.iter().flat_map(|n| &n.inputs) {
        if let Some((first, _)) = input.edge.split_once('/') {
            let local = stage.nodes.iter().any(|n| n.path == first || n.path.starts_with(&format!("{first}/")));
            if !local && experiment.stages.contains_key(first) {
                out.push((first.to_string(), input.at));
            }
        }
    }
    out.dedup_by(|a, b| a.0 == b.0);
    out
}

/// `wanted`: nodes whose tables other stages read, where that is known.
fn plan_stage(
    experiment: &Experiment,
    name: &str,
    stage: &StageDecl,
    wanted: Option<&[&str]>,
    tables: &HashMap<(String, String, String), Port>,
    faults: &mut Faults,
) -> Option<Found> {
    let before = faults.len();
    let drive = &stage.drive;
    if stage.settings_read {
        required_settings(stage, faults);
    }
    // what a node reads that could not be built is used
    let mut used: Vec<usize> = Vec::new();
    for (text, at) in &stage.loose {
        if let Some((Target::Node { node, .. }, _)) = edges::follow(experiment, stage, text, *at, faults) {
            used.push(node);
        }
    }
    let mut edges = edges::resolve(experiment, stage, faults);
    // a node with a fault at its inputs was told so: what follows from it is not told again
    let complete: Vec<bool> = stage.nodes.iter().zip(&edges).map(|(node, list)| is_complete(node, list)).collect();
    // what settings switch off, before anything is asked of it
    let whole = edges.clone();
    for (i, node) in stage.nodes.iter().enumerate() {
        let dropped = node.kind.dropped();
        edges[i].retain(|e| !dropped.contains(&e.input));
    }
    let order = edges::order(stage, &edges, faults)?;
    let scalar_edge = |text: &str, key: &str, faults: &mut Faults| -> Option<(usize, usize)> {
        let at = stage.table.get(key).map_or(stage.at, |i| i.at);
        match edges::follow(experiment, stage, text, at, faults)? {
            (Target::Node { node, port }, None) => Some((node, port)),
            _ => {
                faults.add("bad-edge", at, format!("`{key}`: `{text}` is no scalar of this stage"));
                None
            }
        }
    };
    let minimise = drive.settings.minimise.as_ref().and_then(|t| scalar_edge(t, "minimise", faults));
    let reported: Vec<(String, (usize, usize))> =
        drive.settings.metrics.iter().filter_map(|t| Some((t.clone(), scalar_edge(t, "metrics", faults)?))).collect();
    // ports
    let mut inferred: Vec<Option<Inferred>> = stage.nodes.iter().map(|_| None).collect();
    for &i in &order {
        let port = |t: &Target| match t {
            Target::Node { node, port } => inferred[*node].as_ref().map(|f: &Inferred| f.outputs[*port].clone()),
            Target::Stage { stage, node, port } => tables.get(&(stage.clone(), node.clone(), port.clone())).cloned(),
        };
        if complete[i] {
            inferred[i] = infer(&stage.nodes[i], &edges[i], port, faults);
        }
    }
    for (what, (node, port)) in minimise.iter().map(|m| ("minimise", *m)).chain(reported.iter().map(|(_, m)| ("metrics", *m))) {
        if let Some(f) = &inferred[node] {
            if !f.outputs[port].is_scalar() {
                let at = stage.table.get(what).map_or(stage.at, |i| i.at);
                faults.add("not-a-scalar", at, format!("`{what}` takes a scalar; `{}` is {}", stage.nodes[node].path, f.outputs[port]));
            }
        }
    }
    let asked = usize::from(drive.settings.minimise.is_some()) + drive.settings.metrics.len();
    let scalars = stage.settings_read && usize::from(minimise.is_some()) + reported.len() == asked;
    if faults.len() > before || inferred.iter().any(Option::is_none) || !scalars {
        return None;
    }
    // what is used is known once all edges are
    let wanted = wanted?;
    let inferred: Vec<Inferred> = inferred.into_iter().flatten().collect();
    // liveness
    let evaluates = |i: usize| inferred[i].rate == Rate::Stage && inferred[i].outputs.iter().any(Port::is_scalar);
    let roots: Vec<usize> = (0..stage.nodes.len())
        .filter(|i| {
            minimise.is_some_and(|(n, _)| n == *i)
                || reported.iter().any(|(_, (n, _))| n == i)
                || wanted.contains(&stage.nodes[*i].path.as_str())
                || used.contains(i)
                || evaluates(*i)
        })
        .collect();
    let live = live::upstream(&edges, roots.iter().copied());
    let switched_off = live::upstream(&whole, roots.iter().copied());
    for (i, node) in stage.nodes.iter().enumerate() {
        if !live[i] && !switched_off[i] {
            faults
                .add("unused", node.at, format!("`{}` reaches neither `minimise`, nor `metrics`, nor a table that is read", node.path))
                .help("use one of its outputs, or take it out");
        }
    }
    let sources: Vec<usize> = (0..stage.nodes.len()).filter(|i| live[*i] && stage.nodes[*i].kind.source().is_some()).collect();
    if let [_, second, ..] = sources.as_slice() {
        faults.not_yet(stage.nodes[*second].at, "more than one source in a stage");
    }
    if sources.is_empty() && inferred.iter().zip(&live).any(|(f, l)| *l && f.rate < Rate::Stage) {
        faults.add("no-source", stage.at, format!("the stage `{name}` has no source: nothing says which samples its batches hold"));
    }
    if !sources.is_empty() && drive.settings.batch.is_none() {
        faults.add("missing-setting", stage.at, format!("the stage `{name}` reads samples and needs `batch`"));
    }
    let found =
        assemble(experiment, name, stage, &edges, &order, inferred, &live, &roots, minimise, &reported, sources.first().copied(), faults);
    (faults.len() == before).then_some(found)
}

/// The settings that a stage of its sort must state.
fn required_settings(stage: &StageDecl, faults: &mut Faults) {
    let d: &Drive = &stage.drive;
    let s = &d.settings;
    let mut need = |there: bool, key: &str, why: &str| {
        if !there && stage.table.get(key).is_none() {
            faults.add("missing-setting", stage.at, format!("{why} needs `{key}`"));
        }
    };
    if d.trains() {
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
    if !d.trains() {
        for key in ["epochs", "optimiser", "schedule", "keep", "world", "batch_norm", "frozen"] {
            if let Some(entry) = stage.table.entry(key) {
                faults.add("unused-setting", entry.key, format!("`{key}` belongs to a stage that trains (`minimise`)"));
            }
        }
    }
}

#[allow(clippy::too_many_arguments)]
fn assemble(
    experiment: &Experiment,
    name: &str,
    stage: &StageDecl,
    edges: &[Vec<Edge>],
    order: &[usize],
    inferred: Vec<Inferred>,
    live: &[bool],
    roots: &[usize],
    minimise: Option<(usize, usize)>,
    reported: &[(String, (usize, usize))],
    source: Option<usize>,
    faults: &mut Faults,
) -> Found {
    let drive = &stage.drive;
    let order: Vec<usize> = order.iter().copied().filter(|i| live[*i]).collect();
    let mut position = vec![usize::MAX; stage.nodes.len()];
    for (p, i) in order.iter().enumerate() {
        position[*i] = p;
    }
    let trains = |model: &str| drive.trains() && !drive.settings.frozen.iter().any(|f| f == model);
    // gradients: from trained models down to the loss
    let to_loss = live::upstream(edges, minimise.iter().map(|(n, _)| *n));
    let mut gradient = vec![false; stage.nodes.len()];
    for &i in &order {
        let trained = stage.nodes[i].model.as_deref().is_some_and(|m| trains(m) && !inferred[i].inputs.ports.is_empty());
        let fed = edges[i].iter().any(|e| matches!(e.target, Target::Node { node, .. } if gradient[node]));
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
        if let Some(model) = &decl.model {
            let list = model_parameters(decl, &found.inputs);
            parameters.push((model.clone(), list, decl.at));
            if !models.iter().any(|(m, _)| m == model) {
                models.push((model.clone(), trains(model)));
            }
        }
        let training = match decl.mode {
            Some(mode) => mode == Mode::Train,
            None => decl.model.as_deref().is_some_and(trains),
        };
        let place = match (host[i], found.rate) {
            (true, _) => Place::Host,
            (false, Rate::Stage) if edges[i].iter().all(|e| is_table(&inferred, &e.target)) => Place::End,
            _ => Place::Device,
        };
        if place == Place::Device && !decl.entry.batch {
            faults.add("wrong-place", decl.at, format!("`{}` runs on the host, and reads what comes from the device", decl.path));
        }
        let inputs = edges[i]
            .iter()
            .zip(&found.items)
            .map(|(e, item)| InputPlan {
                name: e.input.clone(),
                from: match &e.target {
                    Target::Node { node, port } => From::Node { node: position[*node], port: *port },
                    Target::Stage { stage, node, port } => From::Stage { stage: stage.clone(), node: node.clone(), port: port.clone() },
                },
                item: *item,
            })
            .collect();
        nodes.push(NodePlan {
            path: decl.path.clone(),
            at: decl.at,
            entry: decl.entry,
            kind: decl.kind.clone(),
            model: decl.model.clone(),
            inputs,
            outputs: found.outputs.clone(),
            rate: found.rate,
            fold: found.fold.clone(),
            place,
            guards: guards[i].iter().map(|g| Guard { choose: position[g.choose], branch: g.branch }).collect(),
            gradient: gradient[i],
            training,
        });
    }
    check_passes(stage, edges, &order, &parameters, &|m| trains(m), faults);
    for (model, trained) in &models {
        let reaches = order.iter().any(|i| stage.nodes[*i].model.as_ref() == Some(model) && to_loss[*i]);
        if *trained && !reaches {
            let at = order.iter().find(|i| stage.nodes[**i].model.as_ref() == Some(model)).map_or(stage.at, |i| stage.nodes[*i].at);
            faults
                .add("untrained", at, format!("`minimise` never reaches the parameters of `{model}`"))
                .help(format!("freeze it (frozen = [\"{model}\"]), or use its output in the loss"));
        }
    }
    let mut metrics: Vec<Metric> = Vec::new();
    let mut metric = |name: String, i: usize, port: usize, reported: bool| {
        if position[i] != usize::MAX && !metrics.iter().any(|m| m.node == position[i] && m.port == port) {
            metrics.push(Metric { name, node: position[i], port, reported });
        }
    };
    for (text, (n, p)) in drive.settings.minimise.iter().zip(minimise).map(|(t, m)| (t.clone(), m)).chain(reported.iter().cloned()) {
        metric(text, n, p, true);
    }
    for &i in &order {
        for (p, port) in inferred[i].outputs.iter().enumerate() {
            if port.is_scalar() {
                metric(format!("{}.{}", stage.nodes[i].path, stage.nodes[i].entry.outputs[p].name), i, p, inferred[i].rate == Rate::Stage);
            }
        }
    }
    let plan = StagePlan {
        name: name.to_string(),
        at: stage.at,
        drive: drive.clone(),
        nodes,
        source: source.map(|s| position[s]),
        minimise: minimise.map(|(n, p)| (position[n], p)),
        metrics,
        needs: stage_needs(experiment, stage).into_iter().map(|(n, _)| n).collect(),
        models,
        aliases: stage.aliases.clone(),
    };
    Found { plan, parameters }
}

/// Whether all inputs that a node names lead somewhere, and all that it needs are named.
fn is_complete(node: &NodeDecl, edges: &[Edge]) -> bool {
    let there = |name: &str| edges.iter().any(|e| e.input == name);
    let required = node.entry.inputs.iter().filter(|i| !i.optional && !i.many).all(|i| there(i.name));
    let many = !node.entry.inputs.iter().any(|i| i.many) || !edges.is_empty();
    required && many && edges.len() == node.inputs.len()
}

fn chooses(node: &NodeDecl) -> bool {
    // any key shows whether the kind draws a branch
    let mut rng = crate::draw::Key::initial(0, "").rng();
    let names: Vec<&str> = node.inputs.iter().map(|i| i.name.as_str()).collect();
    !names.is_empty() && node.kind.pick(&mut rng, &names).is_some()
}

fn is_table(inferred: &[Inferred], target: &Target) -> bool {
    match target {
        Target::Node { node, port } => inferred[*node].outputs[*port].rate == Rate::Stage,
        Target::Stage { .. } => true,
    }
}

fn model_parameters(node: &NodeDecl, inputs: &Inputs) -> Vec<Parameter> {
    let parameters = node.entry.parameters.expect("a model's entry has parameters");
    parameters(node.kind.as_any(), inputs)
}

/// Two passes that update the same buffers, neither feeding the other, need `after`.
fn check_passes(
    stage: &StageDecl,
    edges: &[Vec<Edge>],
    order: &[usize],
    parameters: &[(String, Vec<Parameter>, At)],
    trains: &dyn Fn(&str) -> bool,
    faults: &mut Faults,
) {
    let buffered = |model: &str| parameters.iter().any(|(m, list, _)| m == model && list.iter().any(|p| !p.role.trained()));
    let mut edges = edges.to_vec();
    for (i, node) in stage.nodes.iter().enumerate() {
        for (name, at) in &node.after {
            for (j, other) in stage.nodes.iter().enumerate() {
                if other.path == *name || other.path.starts_with(&format!("{name}/")) {
                    edges[i].push(Edge { input: String::new(), target: Target::Node { node: j, port: 0 }, item: None, at: *at });
                }
            }
        }
    }
    let passes: Vec<usize> = order
        .iter()
        .copied()
        .filter(|i| {
            let node = &stage.nodes[*i];
            let training = node.mode.map_or_else(|| node.model.as_deref().is_some_and(trains), |m| m == Mode::Train);
            training && node.model.as_deref().is_some_and(buffered)
        })
        .collect();
    for (n, &a) in passes.iter().enumerate() {
        for &b in &passes[n + 1..] {
            if stage.nodes[a].model != stage.nodes[b].model {
                continue;
            }
            if !live::upstream(&edges, [a])[b] && !live::upstream(&edges, [b])[a] {
                let (first, second) = (&stage.nodes[a].path, &stage.nodes[b].path);
                let model = stage.nodes[a].model.as_deref().unwrap_or_default();
                faults
                    .add(
                        "needs-after",
                        stage.nodes[b].at,
                        format!("`{first}` and `{second}` both update the buffers of `{model}`, and nothing says which comes first"),
                    )
                    .help(format!("say it: after = \"{first}\""));
            }
        }
    }
}

/// A model that an earlier stage trained must have an origin, and an origin must be a stage that trains the model.
fn check_origins(experiment: &Experiment, stages: &[StagePlan], faults: &mut Faults) {
    for (i, stage) in stages.iter().enumerate() {
        let decl = &experiment.stages[&stage.name];
        let at = decl.table.get("weights").map_or(decl.at, |w| w.at);
        for (model, _) in &stage.models {
            match stage.drive.origin(model) {
                None => {
                    let trained: Vec<&str> =
                        stages[..i].iter().filter(|s| s.models.iter().any(|(m, t)| m == model && *t)).map(|s| s.name.as_str()).collect();
                    if !trained.is_empty() {
                        faults
                            .add(
                                "no-origin",
                                decl.at,
                                format!(
                                    "the stage `{}` applies `{model}`, which {} trains: say which weights it takes",
                                    stage.name,
                                    edges::list(trained.iter().copied())
                                ),
                            )
                            .help(format!("weights = \"{}\", or weights = \"initial\"", trained[0]));
                    }
                }
                Some(Origin::Initial) => {}
                Some(Origin::Stage { stage: from, epoch }) => {
                    let Some(other) = stages.iter().find(|s| s.name == *from) else { continue };
                    if !other.models.iter().any(|(m, t)| m == model && *t) {
                        faults.add("no-origin", at, format!("the stage `{from}` does not train `{model}`"));
                    }
                    let epochs = other.drive.settings.epochs.unwrap_or(0);
                    if epoch.is_some_and(|e| e == 0 || e > epochs) {
                        faults.add("no-origin", at, format!("the stage `{from}` has epochs 1 to {epochs}"));
                    }
                }
            }
        }
    }
}
