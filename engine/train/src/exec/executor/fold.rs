//! Item axes: folded into the rows, or a pass for each item.

use super::{arranged, Executor, Op, Step, Wire};
use crate::exec::batch::{Outputs, Rows, Value};
use crate::state::store::Store;
use anyhow::Result;
use tch::Tensor;

impl Executor<'_> {
    /// One run of a node: item axes folded into the rows, or those but one of which an item is taken. The outputs are unfolded again.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn pass(
        &self,
        op: &Op,
        store: &Store,
        step: &Step,
        rows: Rows,
        inputs: &[(&Wire, Value)],
        chosen: Option<&Tensor>,
        taken: Option<(usize, usize)>,
    ) -> Result<Outputs> {
        let is_left = |(axis, _): &(usize, &usize)| taken.is_none_or(|(t, _)| t != *axis);
        let rest: Vec<usize> = op.fold.iter().enumerate().filter(is_left).map(|(_, n)| *n).collect();
        let folded = inputs.iter().map(|(wire, value)| {
            let (Value::Tensor(t), Some(axes)) = (value, wire.axes) else { return (*wire, value.shallow_clone()) };
            let (t, left) = match taken {
                Some((axis, item)) if axes > 0 => (t.select(axis as i64 + 1, item as i64), axes - 1),
                _ => (t.shallow_clone(), axes),
            };
            (*wire, Value::Tensor(fold_rows(t, &rest, left)))
        });
        let (inputs, draws) = arranged(op, folded.collect(), chosen);
        let whole = taken.map(|(axis, item)| (op.fold.as_slice(), axis, item));
        let rows_of_items = Rows { items: rest.iter().product(), taken: whole, ..rows };
        let mut outputs = self.call(op, store, step, rows_of_items, &inputs, &draws)?;
        if !op.fold.is_empty() {
            for (value, has_rows) in outputs.iter_mut().zip(&op.rows).filter(|(_, has_rows)| **has_rows) {
                if let (Some(Value::Tensor(t)), true) = (value.as_mut(), has_rows) {
                    let shape: Vec<i64> = std::iter::once(rows.len()).chain(rest.iter().copied()).map(|n| n as i64).collect();
                    *t = t.reshape([&shape[..], &t.size()[1..]].concat());
                }
            }
        }
        Ok(outputs)
    }
}

/// Item axes folded into the rows; a value without them is repeated for each item.
fn fold_rows(t: Tensor, fold: &[usize], axes: usize) -> Tensor {
    match (fold.is_empty(), axes) {
        (true, _) => t,
        (false, 0) => t.repeat_interleave_self_int(fold.iter().product::<usize>() as i64, 0, None),
        (false, axes) => t.flatten(0, axes as i64),
    }
}

/// The passes' outputs side by side along their axis.
pub(super) fn join(op: &Op, axis: usize, passes: Vec<Outputs>) -> Outputs {
    let one = |(port, rows): (usize, &bool)| {
        let parts: Vec<&Tensor> = passes.iter().filter_map(|p| p.get(port)?.as_ref()?.tensor()).collect();
        (parts.len() == passes.len() && *rows).then(|| Value::Tensor(Tensor::stack(&parts, axis as i64 + 1)))
    };
    op.rows.iter().enumerate().map(one).collect()
}
