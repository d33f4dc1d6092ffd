//! Scalars of a step, and their means.

use crate::exec::executor::Values;
use anyhow::{ensure, Result};
use serde::{Deserialize, Serialize};
use tch::Kind;

/// The number at an output; `None` where it has no value: nothing of the batch took its branch, or the settings did not ask for it.
pub(crate) fn scalar(values: &Values, node: usize, port: usize) -> Result<Option<f64>> {
    let Some(t) = values.tensor(node, port) else { return Ok(None) };
    ensure!(t.numel() == 1, "a metric is one number, and this has the shape {:?}", t.size());
    Ok(Some(t.detach().to_kind(Kind::Double).reshape([]).double_value(&[])))
}

/// A mean of values that each stand for some samples.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Mean {
    #[serde(with = "dv_graph::exact")]
    sum: f64,
    samples: u64,
}

impl Mean {
    /// A batch in which the metric has no value counts for nothing.
    pub fn add(&mut self, value: Option<f64>, samples: u64) {
        if let Some(value) = value {
            self.sum += value * samples as f64;
            self.samples += samples;
        }
    }
    /// `None` where no batch had a value.
    pub fn value(&self) -> Option<f64> {
        (self.samples > 0).then(|| self.sum / self.samples as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_without_a_value_counts_for_nothing_and_a_short_one_for_less() {
        let mut mean = Mean::default();
        assert_eq!(mean.value(), None);
        mean.add(Some(1.0), 3);
        mean.add(None, 4);
        mean.add(Some(5.0), 1);
        assert_eq!(mean.value(), Some(2.0));
    }
}
