//! Nodes of which each sample takes one branch.

use super::{Executor, Step, Values};
use crate::exec::batch::Value;
use anyhow::{anyhow, bail, Result};
use dv_graph::plan::From;
use std::collections::HashMap;
use std::rc::Rc;
use tch::{Device, Kind};

/// The choices of one batch, each made when it is first asked for.
pub(super) struct Choices<'a> {
    /// All rows of the batch.
    pub all: &'a [usize],
    made: HashMap<usize, Rc<[usize]>>,
}

impl<'a> Choices<'a> {
    pub fn new(all: &'a [usize]) -> Choices<'a> {
        Choices { all, made: HashMap::new() }
    }
}

impl Executor<'_> {
    /// The branch of each row of the batch at a choosing node.
    pub(super) fn choice(&self, node: usize, step: &Step, values: &Values, choices: &mut Choices) -> Result<Rc<[usize]>> {
        if let Some(made) = choices.made.get(&node) {
            return Ok(Rc::clone(made));
        }
        let made: Rc<[usize]> = self.draw_choice(node, step, values)?.into();
        choices.made.insert(node, Rc::clone(&made));
        Ok(made)
    }

    /// Fed, brought by an edge, or drawn.
    fn draw_choice(&self, node: usize, step: &Step, values: &Values) -> Result<Vec<usize>> {
        let plan = &self.stage.nodes[node];
        let draw = plan.entry.outputs.iter().position(|o| o.draw).ok_or_else(|| anyhow!("`{}` shows no draw", plan.path))?;
        let branches = self.stage.branches(node);
        let edge = plan.inputs.iter().find(|i| i.name == plan.entry.outputs[draw].name);
        let given = match (self.feeds.outputs.get(&(node, draw)), edge.map(|input| (&input.from, input.item))) {
            (Some(fed), _) => fed.shallow_clone(),
            (None, Some((From::Node { node: from, port }, item))) => {
                let value = values.get(*from, *port).and_then(Value::tensor).ok_or_else(|| anyhow!("`{}`: no choice came", plan.path))?;
                item.map_or_else(|| value.shallow_clone(), |(axis, item)| value.select(axis as i64 + 1, item as i64))
            }
            (None, Some((From::Stage { .. }, _))) => bail!("a choice is not read from another stage"),
            (None, None) => {
                return Ok(step.samples.iter().map(|s| self.stage.pick(node, step.pass, s).unwrap_or(0)).collect());
            }
        };
        let list = Vec::<i64>::try_from(given.to_kind(Kind::Int64).to_device(Device::Cpu).flatten(0, -1))?;
        if list.len() != step.samples.len() {
            bail!("{} choices for {} rows", list.len(), step.samples.len());
        }
        let branch = |c: i64| usize::try_from(c).ok().filter(|c| *c < branches.len());
        let none = |c: i64| anyhow!("the choice {c} is none of the {} branches", branches.len());
        list.into_iter().map(|c| branch(c).ok_or_else(|| none(c))).collect()
    }
}
