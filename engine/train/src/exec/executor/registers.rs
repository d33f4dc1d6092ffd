//! Registers: read in a step, written after it.

use super::{Executor, Step, Values};
use crate::exec::batch::{BatchIo, Row, Run, RunRegister, State, Value};
use crate::exec::caught::caught;
use crate::state::store::{Store, STARTED};
use anyhow::{anyhow, bail, Context, Result};
use dv_graph::plan::{InputPlan, NodePlan};
use tch::Kind;

impl Executor<'_> {
    /// Gives a register what stands at its `initial` edges, if it has not taken it yet.
    pub(super) fn start(&self, plan: &NodePlan, store: &Store, step: &Step, values: &Values) -> Result<()> {
        let (Some(register), Some(state)) = (&plan.register, store.registers.get(&plan.path)) else { return Ok(()) };
        if register.initial.is_empty() || i64::try_from(&state.tensors[STARTED])? != 0 {
            return Ok(());
        }
        let given = self.register_inputs(&register.initial, step, values)?;
        self.call_register(plan, store, step, given, |r| r.start)?;
        let _ = tch::no_grad(|| state.tensors[STARTED].shallow_clone().fill_(1));
        Ok(())
    }

    /// The values at a register's edges, for the whole batch.
    fn register_inputs(&self, edges: &[InputPlan], step: &Step, values: &Values) -> Result<Vec<(String, Value)>> {
        let all: Vec<usize> = (0..step.samples.len()).collect();
        let value = |e: &InputPlan| match self.input(e, &all, step, values)? {
            Value::Tensor(t) => {
                let t = t.detach();
                let half = matches!(t.kind(), Kind::BFloat16 | Kind::Half);
                Ok((e.name.clone(), Value::Tensor(if half { t.to_kind(Kind::Float) } else { t })))
            }
            table => Ok((e.name.clone(), table)),
        };
        edges.iter().map(value).collect()
    }

    fn call_register(
        &self,
        plan: &NodePlan,
        store: &Store,
        step: &Step,
        inputs: Vec<(String, Value)>,
        which: impl Fn(&RunRegister) -> fn(&dyn std::any::Any, &State, &BatchIo) -> Result<()>,
    ) -> Result<()> {
        let Run::Register(run) = self.registry.run(plan.entry.name)? else { bail!("`{}` is not a register", plan.path) };
        let state = store.registers.get(&plan.path).ok_or_else(|| anyhow!("the register `{}` has no values here", plan.path))?;
        let rows: Vec<Row> = step.samples.iter().map(|sample| Row { sample: sample.clone(), item: 0 }).collect();
        let io = BatchIo::new(&plan.path, step.pass, step.step, &rows, self.stage.drive.world(), self.device, inputs);
        let _off = tch::no_grad_guard();
        caught(|| which(&run)(plan.kind.as_any(), &State(&state.tensors), &io))
    }

    /// Writes to the registers what the step computed for them. After the optimiser's step.
    pub fn commit(&self, store: &Store, step: &Step, values: &Values) -> Result<()> {
        for (i, plan) in self.stage.nodes.iter().enumerate() {
            let Some(register) = plan.register.as_ref().filter(|r| self.active[i] && !r.writes.is_empty()) else { continue };
            let given = self.register_inputs(&register.writes, step, values).with_context(|| format!("node `{}`", plan.path))?;
            self.call_register(plan, store, step, given, |r| r.write)
                .with_context(|| format!("node `{}` ({}), write", plan.path, plan.entry.name))?;
        }
        Ok(())
    }
}
