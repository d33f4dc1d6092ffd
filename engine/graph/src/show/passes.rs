//! Each application of a model: over how many rows, and what its batch norms see.

use super::thousands;
use crate::plan::{NodePlan, Plan, StagePlan};
use crate::stage::BatchNorm;

/// One application of a model to a batch.
pub struct Pass<'a> {
    pub model: &'a str,
    pub node: &'a NodePlan,
    /// Whether the stage trains the model.
    pub trained: bool,
    /// How often it is applied: once, or once for each item.
    pub times: usize,
    /// Rows for each sample of the batch: the items that are folded into one pass.
    pub per_sample: usize,
    /// Rows of one pass, where the stage has a batch.
    pub rows: Option<usize>,
    pub norm: Norm,
}

/// What the batch norms of a pass do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// There are none.
    None,
    /// Statistics of so many rows, where known; running statistics are updated.
    Batch(Option<usize>),
    /// Running statistics are used.
    Running,
}

impl Pass<'_> {
    /// `3B`.
    pub fn per(&self) -> String {
        if self.per_sample == 1 {
            "B".to_string()
        } else {
            format!("{}B", self.per_sample)
        }
    }
    /// `3B = 192 rows`, or `3 times B = 64 rows`.
    pub fn count(&self) -> String {
        let times = if self.times == 1 { String::new() } else { format!("{} times ", self.times) };
        let rows = self.rows.map_or_else(String::new, |rows| format!(" = {} rows", thousands(rows)));
        format!("{times}{}{rows}", self.per())
    }
}

/// Each model's passes, in order.
pub fn passes<'a>(plan: &'a Plan, stage: &'a StagePlan) -> Vec<Pass<'a>> {
    let batch = stage.drive.settings.batch;
    let parts = match stage.drive.settings.batch_norm {
        Some(BatchNorm::PerRank) => stage.drive.world(),
        _ => 1,
    };
    let mut out = Vec::new();
    for (model, trained) in &stage.models {
        let buffers = plan.models.get(model).is_some_and(|m| m.has_buffers());
        for node in stage.nodes.iter().filter(|n| n.model.as_ref() == Some(model)) {
            let times = node.passes.map_or(1, |axis| node.fold[axis].len());
            let items: usize = node.fold.iter().map(|a| a.len()).product();
            let per_sample = items / times.max(1);
            let rows = batch.filter(|_| node.outputs.iter().any(|p| p.rows)).map(|b| b * per_sample);
            let norm = match (buffers, node.training) {
                (false, _) => Norm::None,
                (true, true) => Norm::Batch(rows.map(|r| r / parts)),
                (true, false) => Norm::Running,
            };
            out.push(Pass { model, node, trained: *trained, times, per_sample, rows, norm });
        }
    }
    out
}
