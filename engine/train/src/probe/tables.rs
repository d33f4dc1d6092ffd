//! Tables in a probe: those of earlier stages are fed, those of this one hold the batch, and end nodes run over them.

use crate::exec::batch::{Table, Value};
use crate::exec::executor::{Executor, Feeds, Values};
use anyhow::{bail, Result};
use dv_graph::draw::{Pass, Sample};
use dv_graph::plan::{From, Place, StagePlan};
use tch::{Kind, Tensor};

/// `STAGE/NODE.PORT` is the rows of a table that the stage reads, with `.label` behind it the rows' classes. False where the
/// text means no table.
pub fn feed(stage: &StagePlan, text: &str, tensor: &Tensor, feeds: &mut Feeds) -> Result<bool> {
    let from = stage.nodes.iter().flat_map(|n| &n.inputs).filter_map(|input| match &input.from {
        From::Stage { stage, node, port } => Some((stage.clone(), node.clone(), port.clone())),
        From::Node { .. } => None,
    });
    for key in from {
        let edge = format!("{}/{}.{}", key.0, key.1, key.2);
        let label = text.strip_prefix(edge.as_str()).is_some_and(|rest| rest == ".label");
        if text != edge && !label {
            continue;
        }
        let Some(n) = tensor.size().first().copied() else { bail!("--feed {text}: a table has rows") };
        let new = || Table::new(Sample::numbered(n as usize), Tensor::zeros([n, 0], (Kind::Float, tensor.device())), None);
        let table = feeds.tables.entry(key).or_insert_with(new);
        if table.len() as i64 != n {
            bail!("--feed {text}: {n} rows, and the table has {}", table.len());
        }
        match label {
            true => table.label = Some(tensor.to_kind(Kind::Int64)),
            false => table.rows = tensor.shallow_clone(),
        }
        return Ok(true);
    }
    Ok(false)
}

/// Runs the end nodes that are asked for, over what the batch collected.
pub fn end(executor: &Executor, pass: &Pass, values: &mut Values) -> Result<()> {
    let stage = &executor.stage;
    if !(0..stage.nodes.len()).any(|i| executor.active[i] && executor.places[i] == Place::End) {
        return Ok(());
    }
    let own = values.tables().map(|(at, table)| (at, table.shallow_clone()));
    let earlier = |s: &str, n: &str, p: &str| {
        let key = (s.to_string(), n.to_string(), p.to_string());
        Ok(executor.feeds.tables.get(&key).map(Table::shallow_clone))
    };
    let found = executor.run_end(own.collect(), &earlier, pass)?;
    values.extend(found);
    Ok(())
}

/// A value as it is written: of a table its rows.
pub fn value(values: &Values, node: usize, port: usize) -> Option<Tensor> {
    match values.get(node, port)? {
        Value::Tensor(t) => Some(t.shallow_clone()),
        Value::Table(t) => Some(t.rows.shallow_clone()),
    }
}
