//! Where a number that is not finite came from.

use crate::exec::batch::Value;
use crate::exec::executor::{Executor, Step, Values};
use crate::exec::transfer::HostColumns;
use crate::run::metrics::scalar;
use crate::state::store::Store;
use anyhow::{anyhow, Error};
use dv_graph::plan::StagePlan;
use dv_graph::sample::loader::HostBatch;

/// How many videos of the batch are named.
const NAMED: usize = 8;

/// The error: what is not finite, at which step, the node where it first appears, the stage's scalars and the batch's videos. The step is computed
/// again for it, with every node's values.
pub fn explain(
    executor: &mut Executor,
    store: &Store,
    stage: &StagePlan,
    host: &HostBatch,
    columns: HostColumns,
    values: &Values,
    what: &str,
) -> Error {
    let (epoch, step) = (host.batch.pass.epoch, host.batch.step);
    let scalars = stage.metrics.iter().filter_map(|m| Some(format!("{} {}", m.name, scalar(values, m.node, m.port).ok()??)));
    let scalars: Vec<String> = scalars.collect();
    let everything = stage.nodes.iter().enumerate().flat_map(|(i, node)| (0..node.entry.outputs.len()).map(move |port| (i, port)));
    executor.ask(everything.collect());
    let again = Step { pass: &host.batch.pass, step, samples: &host.samples };
    let first = match executor.run(store, &again, Some(columns)) {
        Ok(values) => first_node(stage, &values),
        Err(_) => None,
    };
    executor.ask(Vec::new());
    let place = match first {
        Some((node, port)) => format!("it first appears at `{node}.{port}`"),
        None => "the values of all nodes are finite: it comes from the backward pass".to_owned(),
    };
    let paths: Vec<&str> = host.samples.iter().take(NAMED).map(|sample| &*sample.path).collect();
    let more = host.samples.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    anyhow!(
        "{what} at epoch {} step {} of `{}` ({}); {place}; the batch: {}{more}; try a lower learning rate or `clip_norm`",
        epoch + 1,
        step + 1,
        stage.name,
        scalars.join(", "),
        paths.join(", ")
    )
}

/// The first node in the order of execution with a value that is not finite.
fn first_node<'s>(stage: &'s StagePlan, values: &Values) -> Option<(&'s str, &'static str)> {
    stage.nodes.iter().enumerate().find_map(|(i, node)| {
        let port = (0..node.entry.outputs.len()).find(|port| {
            let value = values.get(i, *port);
            let Some(Value::Tensor(t)) = value else { return false };
            t.is_floating_point() && t.numel() > 0 && !bool::try_from(t.isfinite().all()).unwrap_or(true)
        })?;
        Some((node.path.as_str(), node.entry.outputs[port].name))
    })
}
