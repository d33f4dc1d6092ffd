//! Fed draws of nodes that run on the host alone.

use crate::exec::executor::Executor;
use anyhow::{bail, Context, Result};
use dv_graph::host::{Array, Value};
use dv_graph::plan::Place;
use std::collections::HashMap;
use tch::{Kind, Tensor};

/// By node: the draw's name, and each row's value by its position.
pub type Draws = HashMap<usize, Vec<(&'static str, HashMap<usize, Value>)>>;

/// Rows of feeds are those of the batch, in order.
pub fn draws(executor: &Executor, positions: &[usize]) -> Result<Draws> {
    let mut out = Draws::new();
    for ((node, port), tensor) in &executor.feeds.outputs {
        let plan = &executor.stage.nodes[*node];
        let declared = &plan.entry.outputs[*port];
        if executor.places[*node] != Place::Host || !executor.active[*node] || !declared.draw {
            continue;
        }
        let text = || format!("--feed {}.{}", plan.path, declared.name);
        if tensor.size().first() != Some(&(positions.len() as i64)) {
            bail!("{}: the shape {:?} does not match the {} rows", text(), tensor.size(), positions.len());
        }
        let rows = positions.iter().enumerate();
        let rows = rows.map(|(row, position)| Ok((*position, value(&tensor.get(row as i64)).with_context(text)?)));
        out.entry(*node).or_default().push((declared.name, rows.collect::<Result<_>>()?));
    }
    Ok(out)
}

fn value(row: &Tensor) -> Result<Value> {
    let shape = row.size().iter().map(|n| *n as usize).collect();
    let flat = row.contiguous().flatten(0, -1);
    Ok(match row.kind() {
        Kind::Float | Kind::Double => Value::Float(Array::new(shape, Vec::<f32>::try_from(flat.to_kind(Kind::Float))?)),
        _ => Value::Index(Array::new(shape, Vec::<i64>::try_from(flat.to_kind(Kind::Int64))?)),
    })
}
