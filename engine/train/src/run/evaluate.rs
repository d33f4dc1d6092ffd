//! A stage that does not train: one pass over the rows that extracts, then what comes once.

use crate::exec::batch::{Table, Value};
use crate::exec::executor::{Executor, Step};
use crate::exec::transfer::{tensors, to_device};
use crate::run::metrics::{scalar, Mean};
use crate::run::progress::{note, News, Progress};
use crate::run::stage::{lengths, Metrics, StageContext};
use crate::state::store::Store;
use anyhow::{bail, Result};
use dv_graph::draw::Pass;
use dv_graph::plan::{From, Place, StagePlan};
use dv_graph::port::Type;
use dv_graph::sample::epoch::Rows;
use dv_graph::sample::loader::Loader;
use dv_graph::sample::runner::HostPlan;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

/// Runs the stage; the metrics are those of its end nodes, and means over the samples of what comes with each batch. `epoch` keys its
/// draws: the completed epochs of the stage that it runs during, else 0.
pub(crate) fn evaluate(
    cx: &mut StageContext,
    stage: &Arc<StagePlan>,
    store: &Store,
    rows: Option<Arc<Rows>>,
    data: &BTreeMap<String, String>,
    epoch: u64,
) -> Result<Metrics> {
    let _off = tch::no_grad_guard();
    let mut executor = Executor::new(Arc::clone(stage), cx.registry, cx.machine.device);
    executor.set_lengths(lengths(rows.as_deref()));
    executor.ask(read_elsewhere(cx.stages, stage));
    let pass = Pass { seed: cx.plan.seed, stage: stage.name.clone(), epoch };
    let mut parts: HashMap<(usize, usize), Vec<Table>> = HashMap::new();
    let mut means: Vec<Mean> = vec![Mean::default(); stage.metrics.len()];
    let mut seen = 0u64;
    if let Some(rows) = rows {
        let host = HostPlan::new(Arc::clone(stage), executor.places.clone(), &[])?;
        let outputs = host.outputs.clone();
        let batches = rows.evaluation(&pass, stage.drive.settings.batch.unwrap_or(1));
        let clips = stage.clips_per_sample() as u64;
        let progress = Progress::new(&stage.name, 1, batches.len() as u64);
        let start = Instant::now();
        let mut loader = Loader::start(host, rows, Box::new(batches.into_iter()), cx.machine.threads, 4);
        while let Some(host) = loader.next_batch()? {
            cx.machine.go_on()?;
            let columns = to_device(&tensors(host.columns, &outputs)?, cx.machine.device);
            let values = executor.run(store, &Step { pass: &pass, step: host.batch.step, samples: &host.samples }, Some(columns))?;
            let count = host.samples.len() as u64;
            for (mean, m) in means.iter_mut().zip(&stage.metrics) {
                // each sample counts once: a short last batch weighs less
                mean.add(scalar(&values, m.node, m.port)?, count);
            }
            seen += count;
            for (at, table) in values.into_tables() {
                parts.entry(at).or_default().push(table);
            }
            let waiting = loader.waited().as_secs_f64() / start.elapsed().as_secs_f64().max(1e-9);
            progress.step(&News { epoch: 0, step: host.batch.step, loss: None, clips: seen * clips, waiting });
        }
        progress.finish();
    }
    let mut own = HashMap::new();
    for (at, list) in parts {
        let table = Table::concatenate(&list)?;
        let node = &stage.nodes[at.0];
        check_rows(&table, &format!("{}/{}.{}", stage.name, node.path, node.entry.outputs[at.1].name))?;
        let key = (stage.name.clone(), node.path.clone(), node.entry.outputs[at.1].name.to_string());
        cx.folder.save_table(&key.0, &key.1, &key.2, &table)?;
        cx.tables.insert(key, table.shallow_clone());
        own.insert(at, table);
    }
    let (tables, folder) = (&*cx.tables, &*cx.folder);
    let earlier = |s: &str, n: &str, p: &str| {
        let key = (s.to_string(), n.to_string(), p.to_string());
        match tables.get(&key) {
            Some(table) => Ok(Some(table.shallow_clone())),
            None if folder.has_table(s, n, p) => folder.load_table(s, n, p).map(Some),
            None => Ok(None),
        }
    };
    let end = executor.run_end(own, &earlier, &pass)?;
    for ((n, p), table) in end.tables() {
        // tables that an end node made, for later stages
        if stage.nodes[n].place == Place::End {
            let node = &stage.nodes[n];
            let key = (stage.name.clone(), node.path.clone(), node.entry.outputs[p].name.to_string());
            cx.folder.save_table(&key.0, &key.1, &key.2, table)?;
            cx.tables.insert(key, table.shallow_clone());
        }
    }
    for (name, at) in &stage.files {
        if let Some(Value::Table(table)) = end.get(at.0, at.1) {
            let set = data.iter().next();
            cx.folder.save_file(&stage.name, name, table, set)?;
        }
    }
    let mut metrics = Vec::new();
    for (m, mean) in stage.metrics.iter().zip(&means) {
        if stage.nodes[m.node].place == Place::End {
            // an output that the settings did not ask for has no value
            metrics.extend(scalar(&end, m.node, m.port)?.map(|v| (m.name.clone(), v)));
        } else if let (Some(mean), Type::Float) = (mean.value(), stage.nodes[m.node].outputs[m.port].ty) {
            metrics.push((m.name.clone(), mean));
        }
    }
    Ok(metrics)
}

/// Outputs of a stage that other stages read.
fn read_elsewhere(stages: &[Arc<StagePlan>], stage: &StagePlan) -> Vec<(usize, usize)> {
    let inputs = stages.iter().flat_map(|s| &s.nodes).flat_map(|n| &n.inputs);
    let here = inputs.filter_map(|input| match &input.from {
        From::Stage { stage: from, node, port } if *from == stage.name => stage.output(&format!("{node}.{port}")),
        _ => None,
    });
    here.collect()
}

/// Rows with a value that is not finite are an error; that all are equal is said: the first row of a table would then be nearest to any.
fn check_rows(table: &Table, name: &str) -> Result<()> {
    if !table.rows.is_floating_point() || table.is_empty() {
        return Ok(());
    }
    let rows = table.rows.flatten(0, -1).reshape([table.len() as i64, -1]);
    let finite = Vec::<bool>::try_from(rows.isfinite().all_dim(1, false))?;
    let bad: Vec<&str> = table.samples.iter().zip(&finite).filter(|(_, finite)| !**finite).map(|(s, _)| &*s.path).collect();
    if let Some(first) = bad.first() {
        bail!("`{name}`: {} of {} rows hold a value that is not finite, the first that of {first}", bad.len(), table.len());
    }
    let spread = f64::try_from((rows.amax([0i64].as_slice(), false) - rows.amin([0i64].as_slice(), false)).max())?;
    let size = f64::try_from(rows.abs().max())?;
    if table.len() > 1 && spread <= 1e-6 * size {
        note(&format!(
            "`{name}`: all {} rows are equal: the features have collapsed, and what is computed from them says nothing",
            table.len()
        ));
    }
    Ok(())
}
