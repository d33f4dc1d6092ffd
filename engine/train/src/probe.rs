//! Runs a part of a stage on tensors that a person gives, and hands out what its edges carry.

mod host;
mod tables;

use crate::exec::caught::torch_text;
use crate::exec::executor::{Executor, Feeds, Registry, Step};
use crate::exec::transfer::{tensors, to_device, HostColumns};
use crate::state::import::{first_axis_last, WeightsFile};
use crate::state::optimise::Running;
use crate::state::store::Store;
use anyhow::{bail, Context, Result};
use dv_graph::draw::{Pass, Sample};
use dv_graph::kind::Reference;
use dv_graph::plan::{From, Place, Plan, StagePlan};
use dv_graph::sample::epoch::Rows;
use dv_graph::sample::loader::Loader;
use dv_graph::sample::runner::HostPlan;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

/// What `dv probe` is asked.
pub struct Probe {
    pub stage: String,
    pub data: PathBuf,
    pub weights: Option<PathBuf>,
    pub train: bool,
    /// Training steps, on feeds stacked along a first axis.
    pub steps: Option<usize>,
    /// `node.port` and its tensor.
    pub feeds: Vec<(String, Tensor)>,
    pub fetches: Vec<String>,
    pub gradients: Vec<String>,
    pub device: Device,
}

/// What an asked name means.
enum Asked {
    Output(usize, usize),
    /// `after.NAME`
    After(String),
}

pub fn probe(plan: &mut Plan, registry: &Registry, probe: &Probe) -> Result<BTreeMap<String, Tensor>> {
    let index = plan.stages.iter().position(|s| s.name == probe.stage).with_context(|| {
        let names: Vec<&str> = plan.stages.iter().map(|s| s.name.as_str()).collect();
        format!("there is no stage `{}`; available: {}", probe.stage, names.join(", "))
    })?;
    let mut stage = plan.stages.remove(index);
    if !probe.train && probe.steps.is_none() {
        // running statistics and no dropout, whatever the stage does
        for node in &mut stage.nodes {
            node.training = false;
        }
    }
    let stage = Arc::new(stage);
    let file = probe.weights.as_ref().map(|path| WeightsFile::read(path)).transpose()?;
    let rows = stage.source().and_then(|s| Rows::open(&probe.data, &s, &stage.nodes[stage.source.unwrap_or(0)].path).ok());
    let mut lengths = crate::run::stage::lengths(rows.as_ref());
    if let Some(file) = &file {
        file.lengths(&stage, &mut lengths);
    }
    let mut store = crate::run::stage::initial(plan, &stage, &lengths, probe.device)?;
    match file {
        Some(file) => file.load_all(plan, &stage, &mut store)?,
        None => {
            let averages = stage.models.iter().filter_map(|(m, _)| Some((plan.models[m].ema.as_ref()?.of.clone(), m.clone())));
            averages.into_iter().try_for_each(|(of, m)| store.copy_model(&of, &m))?;
        }
    }
    let fetches: Vec<(String, Asked)> =
        probe.fetches.iter().map(|t| Ok((t.clone(), asked(&stage, plan, &store, t)?))).collect::<Result<_>>()?;
    let steps = probe.steps.unwrap_or(1);
    let mut out = BTreeMap::new();
    let mut optimiser = match (&stage.drive.optimiser, probe.steps) {
        (Some(o), Some(_)) => Some(Running::new(
            o,
            &stage.drive.parameters,
            &store,
            &stage.models.iter().filter(|(_, t)| *t).map(|(m, _)| m.clone()).collect::<Vec<_>>(),
        )),
        (None, Some(_)) => bail!("the stage `{}` does not train: --steps needs an optimiser", stage.name),
        _ => None,
    };
    let mut kept: BTreeMap<String, Vec<Tensor>> = BTreeMap::new();
    for step in 0..steps {
        let mut feeds = Feeds::default();
        let mut rows = None;
        for (text, tensor) in &probe.feeds {
            let tensor = match probe.steps {
                Some(n) if tensor.size().first() != Some(&(n as i64)) => {
                    bail!("--feed {text}: with --steps {n} its first axis counts the steps; its shape is {:?}", tensor.size())
                }
                Some(_) => tensor.select(0, step as i64),
                None => tensor.shallow_clone(),
            };
            let tensor = tensor.to_device(probe.device);
            if !tables::feed(&stage, text, &tensor, &mut feeds)? {
                feed(&stage, text, tensor, &mut feeds, &mut rows)?;
            }
        }
        let gradient_leaves: Vec<(usize, usize)> = probe.gradients.iter().filter_map(|g| stage.output(g)).collect();
        for at in &gradient_leaves {
            if let Some(t) = feeds.outputs.get_mut(at) {
                *t = t.to_kind(Kind::Float).detach().set_requires_grad(true);
            }
        }
        let mut wanted: Vec<(usize, usize)> =
            fetches.iter().filter_map(|(_, a)| if let Asked::Output(n, p) = a { Some((*n, *p)) } else { None }).collect();
        let loss = stage.minimise.filter(|_| optimiser.is_some() || !probe.gradients.is_empty());
        wanted.extend(loss);
        wanted.extend(gradient_leaves.iter().copied());
        let registers = fetches.iter().filter_map(|(_, a)| match a {
            Asked::After(path) => stage.node(path.rsplit_once('/')?.0).filter(|n| stage.nodes[*n].register.is_some()),
            Asked::Output(..) => None,
        });
        wanted.extend(registers.map(|n| (n, 0)));
        let mut executor = Executor::for_outputs(Arc::clone(&stage), registry, probe.device, feeds, &wanted, optimiser.is_some());
        executor.set_lengths(lengths.clone());
        if !gradient_leaves.is_empty() {
            executor.record_all_gradients();
        }
        let pass = Pass { seed: plan.seed, stage: stage.name.clone(), epoch: 0 };
        let host = host_batch(&stage, &executor, &probe.data, &pass, rows, &wanted)?;
        let samples: Vec<Sample> = match &host {
            Some((_, samples)) => samples.clone(),
            None => Sample::numbered(rows.unwrap_or(0) as usize),
        };
        let _off = (loss.is_none() && probe.gradients.is_empty()).then(tch::no_grad_guard);
        if probe.train || optimiser.is_some() {
            let frozen = &stage.drive.settings.frozen;
            store.average(&plan.models, &stage.models, frozen, step as u64, steps as u64);
        }
        let now = Step { pass: &pass, step: step as u64, samples: &samples };
        let mut values = executor.run(&store, &now, host.map(|(c, _)| c))?;
        tables::end(&executor, &pass, &mut values)?;
        for (text, a) in &fetches {
            if let Asked::Output(n, p) = a {
                let value = tables::value(&values, *n, *p).with_context(|| format!("--fetch {text}: no value"))?;
                kept.entry(text.clone()).or_default().push(value.detach().copy());
            }
        }
        if let Some((n, p)) = loss {
            let loss = values.tensor(n, p).context("the loss was not computed")?;
            for at in &gradient_leaves {
                if let Some(t) = values.tensor(at.0, at.1) {
                    t.retains_grad();
                }
            }
            let paths: Vec<(String, Tensor)> =
                probe.gradients.iter().map(|g| Ok((g.clone(), leaf(&stage, plan, &store, &values, g)?))).collect::<Result<_>>()?;
            if paths.is_empty() && !loss.requires_grad() {
                // all that could learn is fed
            } else if paths.is_empty() {
                loss.f_backward().map_err(|e| anyhow::anyhow!("backward: {}", torch_text(&e.to_string())))?;
            } else if optimiser.is_none() {
                let inputs: Vec<&Tensor> = paths.iter().map(|(_, t)| t).collect();
                let found = Tensor::f_run_backward(&[loss], &inputs, false, false).map_err(|e| {
                    anyhow::anyhow!(
                        "--grad: the loss does not depend on one of {}: {}",
                        probe.gradients.join(", "),
                        torch_text(&e.to_string())
                    )
                })?;
                for ((name, _), g) in paths.iter().zip(found) {
                    out.insert(format!("grad.{name}"), g.detach().contiguous());
                }
            } else {
                loss.f_backward().map_err(|e| anyhow::anyhow!("backward: {}", torch_text(&e.to_string())))?;
                for (name, t) in &paths {
                    kept.entry(format!("grad.{name}")).or_default().push(t.grad().copy().contiguous());
                }
            }
        } else if !probe.gradients.is_empty() {
            bail!("--grad needs a stage that minimises something");
        }
        if let (Some(optimiser), Some(schedule)) = (&mut optimiser, &stage.drive.schedule) {
            let factor = schedule.factor(0, step as u64, steps as u64);
            optimiser.step(|lr| lr * factor)?;
            executor.commit(&store, &now, &values)?;
        }
    }
    for (text, list) in kept {
        let value = if probe.steps.is_some() { Tensor::stack(&list, 0) } else { list[0].shallow_clone() };
        out.insert(text, value);
    }
    for (text, a) in &fetches {
        if let Asked::After(path) = a {
            let state = optimiser.as_ref().and_then(|o| o.state().remove(path));
            let value = state.or_else(|| store.get(path).map(Tensor::shallow_clone));
            let value = value.with_context(|| format!("--fetch {text}: without --steps no optimiser runs"))?.detach();
            // as the reference has it, where it is asked for by that name
            let turned =
                reference_of(&stage, path).is_some_and(|(name, r)| r == Reference::FirstAxisLast && *text == format!("after.{name}"));
            out.insert(text.clone(), if turned { first_axis_last(&value) } else { value.copy() });
        }
    }
    plan.stages.insert(index, Arc::try_unwrap(stage).map_err(|_| anyhow::anyhow!("the stage is still in use"))?);
    Ok(out)
}

/// Host nodes that are needed run on the first rows of the set.
fn host_batch(
    stage: &Arc<StagePlan>,
    executor: &Executor,
    data: &Path,
    pass: &Pass,
    rows: Option<i64>,
    wanted: &[(usize, usize)],
) -> Result<Option<(HostColumns, Vec<Sample>)>> {
    let needed: BTreeSet<(usize, usize)> = (0..stage.nodes.len())
        .filter(|i| executor.active[*i] && executor.places[*i] != Place::Host)
        .flat_map(|i| stage.nodes[i].inputs.iter().filter(move |input| !executor.feeds.inputs.contains_key(&(i, input.name.clone()))))
        .filter_map(|input| if let From::Node { node, port } = input.from { Some((node, port)) } else { None })
        .chain(wanted.iter().copied())
        .filter(|at| executor.places[at.0] == Place::Host && executor.active[at.0] && !executor.feeds.outputs.contains_key(at))
        .collect();
    if needed.is_empty() {
        return Ok(None);
    }
    let source = stage.source().context("the stage has no source")?;
    let open = Rows::open(data, &source, &stage.nodes[stage.source.unwrap_or(0)].path)
        .context("the asked edges need videos (feed what comes before them, or name the data)")?;
    let count = rows.map_or(stage.drive.settings.batch.unwrap_or(1), |r| r as usize);
    let mut batches = if stage.trains() { open.training(pass, count, true).0 } else { open.evaluation(pass, count) };
    batches.truncate(1);
    let mut host = HostPlan::only(Arc::clone(stage), executor.places.clone(), needed.into_iter().collect())?;
    let positions = batches.first().map(|b| b.positions.clone()).unwrap_or_default();
    host.draws = host::draws(executor, &positions)?;
    let outputs = host.outputs.clone();
    let mut loader = Loader::start(host, Arc::new(open), Box::new(batches.into_iter()), 2, 1);
    let batch = loader.next_batch()?.context("the set has fewer samples than a batch")?;
    Ok(Some((to_device(&tensors(batch.columns, &outputs)?, executor.device), batch.samples)))
}

/// A feed's place: an output, else an input of that name. Its first axis gives the number of rows.
fn feed(stage: &StagePlan, text: &str, tensor: Tensor, feeds: &mut Feeds, rows: &mut Option<i64>) -> Result<()> {
    let mut has_rows = |n: i64| -> Result<()> {
        match *rows {
            Some(known) if known != n => bail!("--feed {text}: {n} rows, and the other feeds have {known}"),
            _ => *rows = Some(n),
        }
        Ok(())
    };
    if let Some((node, port)) = stage.output(text) {
        let spec = &stage.nodes[node].outputs[port];
        let lengths: Vec<Option<usize>> = spec.axes.iter().map(|a| Some(a.len())).chain(spec.shape.iter().map(|d| d.known())).collect();
        let size = tensor.size();
        let own = &size[usize::from(spec.rows).min(size.len())..];
        let fits = own.len() == lengths.len() && own.iter().zip(&lengths).all(|(a, b)| b.is_none_or(|b| b as i64 == *a));
        if !fits || size.len() != lengths.len() + usize::from(spec.rows) {
            bail!("--feed {text}: it carries {spec}; the tensor has the shape {size:?} (sizes change with --set)");
        }
        if spec.rows {
            has_rows(size[0])?;
        }
        feeds.outputs.insert((node, port), tensor);
        return Ok(());
    }
    let (path, input) = text.rsplit_once('.').with_context(|| format!("--feed {text}: not node.port"))?;
    let node = stage.node(path).with_context(|| unknown(stage, text))?;
    if !stage.nodes[node].inputs.iter().any(|i| i.name == input) && !stage.nodes[node].entry.inputs.iter().any(|i| i.name == input) {
        bail!(unknown(stage, text));
    }
    if let Some(n) = tensor.size().first() {
        has_rows(*n)?;
    }
    feeds.inputs.insert((node, input.to_string()), tensor);
    Ok(())
}

fn unknown(stage: &StagePlan, text: &str) -> String {
    let all: Vec<String> = stage.nodes.iter().flat_map(|n| n.entry.outputs.iter().map(move |o| format!("{}.{}", n.path, o.name))).collect();
    let names: Vec<&str> = all.iter().map(String::as_str).collect();
    let near = dv_graph::fault::nearest(text, &names).map_or(String::new(), |n| format!("; did you mean `{n}`?"));
    format!("the stage `{}` has no `{text}`{near}", stage.name)
}

/// The reference's name of a register's tensor `path/tensor`.
fn reference_of<'a>(stage: &'a StagePlan, path: &str) -> Option<(&'a str, Reference)> {
    let (node, tensor) = path.rsplit_once('/')?;
    stage.nodes[stage.node(node)?].register.as_ref()?.reference_name(tensor)
}

/// A parameter by `model/path`, a register's tensor by `node/tensor`, or either by the reference's name.
fn parameter(plan: &Plan, stage: &StagePlan, store: &Store, text: &str) -> Option<String> {
    if store.get(text).is_some() {
        return Some(text.to_string());
    }
    let registers = store.registers.iter().flat_map(|(r, state)| state.order.iter().map(move |t| format!("{r}/{t}")));
    let named = |path: &String| reference_of(stage, path).is_some_and(|(name, _)| name == text);
    if let Some(path) = registers.into_iter().find(|path| named(path)) {
        return Some(path);
    }
    store.models.keys().find_map(|m| {
        let model = plan.models.get(m)?;
        let p = model.parameters.iter().find(|p| model.reference_name(&p.name).as_deref() == Some(text))?;
        Some(format!("{m}/{}", p.name))
    })
}

fn asked(stage: &StagePlan, plan: &Plan, store: &Store, text: &str) -> Result<Asked> {
    if let Some((n, p)) = stage.output(text) {
        return Ok(Asked::Output(n, p));
    }
    if let Some(name) = text.strip_prefix("after.") {
        // of the optimiser: `momentum/encoder/conv1.weight`
        if let Some(path) = name.strip_prefix("momentum/").and_then(|n| parameter(plan, stage, store, n)) {
            return Ok(Asked::After(format!("momentum/{path}")));
        }
        return match parameter(plan, stage, store, name) {
            Some(path) => Ok(Asked::After(path)),
            None => {
                let all: Vec<String> = store.named().map(|(n, _)| n).collect();
                let names: Vec<&str> = all.iter().map(String::as_str).collect();
                let near = dv_graph::fault::nearest(name, &names).map_or(String::new(), |n| format!("; did you mean `after.{n}`?"));
                bail!("--fetch {text}: there is no parameter or buffer `{name}`{near}")
            }
        };
    }
    bail!("--fetch {text}: {}", unknown(stage, text))
}

fn leaf(stage: &StagePlan, plan: &Plan, store: &Store, values: &crate::exec::executor::Values, text: &str) -> Result<Tensor> {
    if let Some((n, p)) = stage.output(text) {
        return values.tensor(n, p).map(Tensor::shallow_clone).with_context(|| format!("--grad {text}: no value"));
    }
    let path = parameter(plan, stage, store, text).with_context(|| format!("--grad {text}: no such parameter or edge"))?;
    Ok(store.get(&path).context("found above")?.shallow_clone())
}
