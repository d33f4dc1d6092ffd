//! Item axes: folded into the rows, or a pass for each item.

use super::{Executor, Step};
use crate::exec::batch::{Row, Value};
use crate::state::store::Store;
use anyhow::Result;
use dv_graph::plan::{From, InputPlan, NodePlan};
use std::collections::HashMap;
use tch::Tensor;

impl Executor<'_> {
    /// How many item axes an input brings.
    pub(super) fn axes_of(&self, input: &InputPlan) -> usize {
        let From::Node { node, port } = input.from else { return 0 };
        let spec = &self.stage.nodes[node].outputs[port];
        if spec.rows {
            spec.axes.len() - usize::from(input.item.is_some())
        } else {
            WHOLE
        }
    }

    /// One run of a node: item axes folded into the rows, or those but one of which an item is taken. The outputs are unfolded again.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn pass(
        &self,
        plan: &NodePlan,
        store: &Store,
        step: &Step,
        rows: &[usize],
        inputs: &[(String, Value, usize)],
        wanted: &[&'static str],
        taken: Option<(usize, usize)>,
    ) -> Result<HashMap<&'static str, Value>> {
        let fold: Vec<usize> = plan.fold.iter().map(|a| a.len()).collect();
        let rest: Vec<usize> = fold.iter().enumerate().filter(|(a, _)| taken.is_none_or(|(t, _)| t != *a)).map(|(_, n)| *n).collect();
        let items: usize = rest.iter().product();
        let folded = inputs.iter().map(|(name, value, axes)| {
            let Value::Tensor(t) = value else { return (name.clone(), value.shallow_clone()) };
            let t = match taken {
                Some((axis, item)) if *axes > 0 && *axes != WHOLE => t.select(axis as i64 + 1, item as i64),
                _ => t.shallow_clone(),
            };
            let left = if taken.is_some() && *axes > 0 { axes - 1 } else { *axes };
            (name.clone(), Value::Tensor(if *axes == WHOLE { t } else { fold_rows(t, &rest, left) }))
        });
        let folded = folded.collect();
        let list: Vec<Row> = rows
            .iter()
            .flat_map(|r| (0..items).map(|item| Row { sample: step.samples[*r].clone(), item: whole_item(item, &fold, taken) }))
            .collect();
        let outputs = self.call(plan, store, step, &list, rows, items, folded, wanted)?;
        let unfold = |(name, value): (&'static str, Value)| {
            let port = plan.entry.output(name).map(|p| &plan.outputs[p]);
            let value = match &value {
                Value::Tensor(t) if !plan.fold.is_empty() && port.is_some_and(|p| p.rows) => {
                    let shape: Vec<i64> = std::iter::once(rows.len()).chain(rest.iter().copied()).map(|n| n as i64).collect();
                    Value::Tensor(t.reshape([&shape[..], &t.size()[1..]].concat()))
                }
                _ => value,
            };
            (name, value)
        };
        Ok(outputs.into_iter().map(unfold).collect())
    }
}

/// Of a value that has no rows: nothing is folded.
pub(super) const WHOLE: usize = usize::MAX;

/// Item axes folded into the rows; a value without them is repeated for each item.
fn fold_rows(t: Tensor, fold: &[usize], axes: usize) -> Tensor {
    match (fold.is_empty(), axes) {
        (true, _) => t,
        (false, 0) => t.repeat_interleave_self_int(fold.iter().product::<usize>() as i64, 0, None),
        (false, axes) => t.flatten(0, axes as i64),
    }
}

/// An item's number among all, from its number among those that are left when one item of an axis is taken.
fn whole_item(item: usize, fold: &[usize], taken: Option<(usize, usize)>) -> usize {
    let Some((axis, index)) = taken else { return item };
    let inner: usize = fold[axis + 1..].iter().product();
    (item / inner * fold[axis] + index) * inner + item % inner
}

/// The passes' outputs side by side along their axis.
pub(super) fn join(plan: &NodePlan, axis: usize, passes: Vec<HashMap<&'static str, Value>>) -> HashMap<&'static str, Value> {
    let mut out = HashMap::new();
    for (declared, port) in plan.entry.outputs.iter().zip(&plan.outputs) {
        let parts: Vec<&Tensor> = passes.iter().filter_map(|p| p.get(declared.name)?.tensor()).collect();
        if parts.len() == passes.len() && port.rows {
            out.insert(declared.name, Value::Tensor(Tensor::stack(&parts, axis as i64 + 1)));
        }
    }
    out
}
