//! Registers: read in a step, written after it.

use super::{Executor, Op, Step, Values, Wire};
use crate::exec::batch::{Run, RunRegister, Value};
use crate::exec::caught::caught;
use crate::state::store::{Store, STARTED};
use anyhow::{anyhow, bail, Context, Result};
use dv_graph::kind::To;
use dv_graph::ports::Slot;
use tch::Kind;

impl Executor<'_> {
    /// Gives a register what stands at its `initial` edges, if it has not taken it yet.
    pub(super) fn start(&self, op: &Op, store: &Store, step: &Step, values: &Values) -> Result<()> {
        if op.initial.is_empty() {
            return Ok(());
        }
        let Some(state) = store.registers.get(&self.stage.nodes[op.node].path) else { return Ok(()) };
        if i64::try_from(&state.tensors[STARTED])? != 0 {
            return Ok(());
        }
        let fields = self.stage.nodes[op.node].entry.initial.len();
        let given = self.register_inputs(&op.initial, fields, step, values)?;
        self.call_register(op, store, given, |r| r.start)?;
        let _ = tch::no_grad(|| state.tensors[STARTED].shallow_clone().fill_(1));
        Ok(())
    }

    /// The values at a register's edges, for the whole batch.
    fn register_inputs(&self, edges: &[Wire], fields: usize, step: &Step, values: &Values) -> Result<Vec<Slot<Value>>> {
        let mut slots: Vec<Slot<Value>> = (0..fields).map(|_| Slot::Empty).collect();
        for wire in edges {
            let value = match self.value(wire, None, step, values)? {
                Value::Tensor(t) => {
                    let t = t.detach();
                    let half = matches!(t.kind(), Kind::BFloat16 | Kind::Half);
                    Value::Tensor(if half { t.to_kind(Kind::Float) } else { t })
                }
                table => table,
            };
            if let To::Field(i) = wire.to {
                slots[i] = Slot::One(value);
            }
        }
        Ok(slots)
    }

    fn call_register(
        &self,
        op: &Op,
        store: &Store,
        given: Vec<Slot<Value>>,
        which: impl Fn(&RunRegister) -> fn(&dyn std::any::Any, &crate::exec::batch::Kept, Vec<Slot<Value>>) -> Result<()>,
    ) -> Result<()> {
        let plan = &self.stage.nodes[op.node];
        let Run::Register(run) = op.run else { bail!("`{}` is not a register", plan.path) };
        let state = store.registers.get(&plan.path).ok_or_else(|| anyhow!("the register `{}` has no values here", plan.path))?;
        let _off = tch::no_grad_guard();
        caught(|| which(&run)(plan.kind.as_any(), &state.tensors, given))
    }

    /// Writes to the registers what the step computed for them. After the optimiser's step.
    pub fn commit(&self, store: &Store, step: &Step, values: &Values) -> Result<()> {
        for op in self.program()?.steps.iter().filter(|op| !op.writes.is_empty()) {
            let plan = &self.stage.nodes[op.node];
            let fields = plan.entry.writes.len();
            let given = self.register_inputs(&op.writes, fields, step, values).with_context(|| format!("node `{}`", plan.path))?;
            self.call_register(op, store, given, |r| r.write)
                .with_context(|| format!("node `{}` ({}), write", plan.path, plan.entry.name))?;
        }
        Ok(())
    }
}
