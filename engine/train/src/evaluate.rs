//! A stage that does not train: one pass over the rows that extracts, then what comes once.

use crate::batch::{Table, Value};
use crate::executor::{Executor, Step};
use crate::progress::{News, Progress};
use crate::stage::{lengths, Metrics, StageContext};
use crate::store::Store;
use crate::train::scalar;
use crate::transfer::to_device;
use anyhow::Result;
use dv_graph::draw::Pass;
use dv_graph::plan::{Place, StagePlan};
use dv_graph::port::Type;
use dv_graph::sample::epoch::Rows;
use dv_graph::sample::loader::Loader;
use dv_graph::sample::runner::HostPlan;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

/// Runs the stage; the metrics are those of its end nodes, and means over the samples of what comes with each batch.
pub(crate) fn evaluate(
    cx: &mut StageContext,
    stage: &Arc<StagePlan>,
    store: &Store,
    rows: Option<Rows>,
    data: &BTreeMap<String, String>,
) -> Result<Metrics> {
    let _off = tch::no_grad_guard();
    let mut executor = Executor::new(Arc::clone(stage), cx.registry, cx.machine.device);
    executor.lengths = lengths(rows.as_ref());
    let pass = Pass { seed: cx.plan.seed, stage: stage.name.clone(), epoch: 0 };
    let mut parts: HashMap<(usize, usize), Vec<Table>> = HashMap::new();
    let mut sums: Vec<f64> = vec![0.0; stage.metrics.len()];
    let mut seen = 0u64;
    if let Some(rows) = rows {
        let host = HostPlan::new(Arc::clone(stage), executor.places.clone(), &[]);
        let outputs = host.outputs.clone();
        let batches = rows.evaluation(&pass, stage.drive.settings.batch.unwrap_or(1));
        let clips = stage.clips_per_sample() as u64;
        let progress = Progress::new(&stage.name, 1, batches.len() as u64);
        let start = Instant::now();
        let mut loader = Loader::start(host, rows, Box::new(batches.into_iter()), cx.machine.threads, 4);
        while let Some(host) = loader.next_batch()? {
            let columns = to_device(&host, &outputs, cx.machine.device);
            let mut values = executor.run(store, &Step { pass: &pass, step: host.batch.step, samples: &host.samples }, Some(columns))?;
            let count = host.samples.len() as u64;
            for (sum, m) in sums.iter_mut().zip(&stage.metrics) {
                // each sample counts once: a short last batch weighs less
                *sum += scalar(&values, m.node, m.port).unwrap_or(0.0) * count as f64;
            }
            seen += count;
            values.values.retain(|_, v| matches!(v, Value::Table(_)));
            for (at, value) in values.values {
                if let Value::Table(t) = value {
                    parts.entry(at).or_default().push(t);
                }
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
        let key = (stage.name.clone(), node.path.clone(), node.entry.outputs[at.1].name.to_string());
        cx.folder.save_table(&key.0, &key.1, &key.2, &table)?;
        cx.tables.insert(key, table.shallow_clone());
        own.insert(at, table);
    }
    let (tables, folder) = (&*cx.tables, &*cx.folder);
    let earlier = |s: &str, n: &str, p: &str| {
        let key = (s.to_string(), n.to_string(), p.to_string());
        tables.get(&key).map(Table::shallow_clone).or_else(|| folder.load_table(s, n, p).ok())
    };
    let end = executor.run_end(own, &earlier, &pass)?;
    for ((n, p), value) in &end.values {
        // tables that an end node made, for later stages
        if let (Place::End, Value::Table(table)) = (stage.nodes[*n].place, value) {
            let node = &stage.nodes[*n];
            let key = (stage.name.clone(), node.path.clone(), node.entry.outputs[*p].name.to_string());
            cx.folder.save_table(&key.0, &key.1, &key.2, table)?;
            cx.tables.insert(key, table.shallow_clone());
        }
    }
    for (name, at) in &stage.files {
        if let Some(Value::Table(table)) = end.values.get(at) {
            let set = data.iter().next();
            cx.folder.save_file(&stage.name, name, table, set)?;
        }
    }
    let mut metrics = Vec::new();
    for (m, sum) in stage.metrics.iter().zip(&sums) {
        if stage.nodes[m.node].place == Place::End {
            // an output that the settings did not ask for has no value
            metrics.extend(scalar(&end, m.node, m.port).map(|v| (m.name.clone(), v)));
        } else if seen > 0 && stage.nodes[m.node].outputs[m.port].ty == Type::Float {
            metrics.push((m.name.clone(), sum / seen as f64));
        }
    }
    Ok(metrics)
}
