//! Nodes of which each sample takes one branch.

use super::{Executor, Step, Values};
use crate::exec::batch::Value;
use anyhow::{anyhow, bail, Result};
use dv_graph::plan::NodePlan;
use std::collections::HashMap;
use tch::{Device, Kind};

impl Executor<'_> {
    pub(super) fn is_chooser(&self, plan: &NodePlan) -> bool {
        plan.entry.chooses && !plan.inputs.is_empty()
    }

    /// The branch of each row of the batch at a choosing node.
    pub(super) fn choice<'c>(
        &self,
        node: usize,
        step: &Step,
        values: &Values,
        choices: &'c mut HashMap<usize, Vec<usize>>,
    ) -> Result<&'c Vec<usize>> {
        use std::collections::hash_map::Entry;
        Ok(match choices.entry(node) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(self.draw_choice(node, step, values)?),
        })
    }

    /// Fed, brought by an edge, or drawn.
    fn draw_choice(&self, node: usize, step: &Step, values: &Values) -> Result<Vec<usize>> {
        let plan = &self.stage.nodes[node];
        let draw = plan.entry.outputs.iter().position(|o| o.draw).ok_or_else(|| anyhow!("`{}` shows no draw", plan.path))?;
        let branches = self.stage.branches(node);
        let given = match (self.feeds.outputs.get(&(node, draw)), plan.inputs.iter().find(|i| i.name == plan.entry.outputs[draw].name)) {
            (Some(fed), _) => Value::Tensor(fed.shallow_clone()),
            (None, Some(input)) => self.input(input, &(0..step.samples.len()).collect::<Vec<_>>(), step, values)?,
            (None, None) => {
                return Ok(step.samples.iter().map(|s| self.stage.pick(node, step.pass, s).unwrap_or(0)).collect());
            }
        };
        let given = given.tensor().ok_or_else(|| anyhow!("a choice is an index"))?.to_kind(Kind::Int64).to_device(Device::Cpu);
        let list = Vec::<i64>::try_from(given.flatten(0, -1))?;
        if list.len() != step.samples.len() {
            bail!("{} choices for {} rows", list.len(), step.samples.len());
        }
        list.into_iter()
            .map(|c| {
                usize::try_from(c)
                    .ok()
                    .filter(|c| *c < branches.len())
                    .ok_or_else(|| anyhow!("the choice {c} is none of the {} branches", branches.len()))
            })
            .collect()
    }
}
