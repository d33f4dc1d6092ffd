//! What follows a metric from epoch to epoch: a learning rate that falls on a plateau, the best checkpoint.

use crate::stage::{Goal, Keep, Plateau, Schedule};
use serde::{Deserialize, Serialize};

/// The state of a `plateau` schedule; any other schedule leaves it as it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plateaued {
    #[serde(skip)]
    settings: Option<Plateau>,
    factor: f64,
    best: Option<f64>,
    /// Epochs with a value since the best.
    without: u64,
}

/// What counts as better, relative to the best (PyTorch's default).
const THRESHOLD: f64 = 1e-4;

impl Plateaued {
    pub fn new(schedule: &Schedule) -> Plateaued {
        let settings = match schedule {
            Schedule::Plateau(p) => Some(p.clone()),
            _ => None,
        };
        Plateaued { settings, factor: 1.0, best: None, without: 0 }
    }
    /// What the learning rate is multiplied by now.
    pub fn factor(&self) -> f64 {
        self.factor
    }
    /// The learning rate that stands for `lr` now: never below the schedule's `least`, and never raised to it.
    pub fn rate(&self, lr: f64) -> f64 {
        let least = self.settings.as_ref().and_then(|s| s.least).unwrap_or(0.0);
        (lr * self.factor).max(least.min(lr))
    }
    /// Takes the metrics of a finished epoch. One in which the metric was not taken counts for nothing.
    pub fn epoch(&mut self, metrics: &[(String, f64)]) {
        let Some(settings) = &self.settings else { return };
        let Some((_, value)) = metrics.iter().find(|(n, _)| *n == settings.on) else { return };
        let better = self.best.is_none_or(|best| match Goal::of(settings.goal, &settings.on) {
            Goal::Highest => *value > best * (1.0 + THRESHOLD),
            Goal::Lowest => *value < best * (1.0 - THRESHOLD),
        });
        if better {
            (self.best, self.without) = (Some(*value), 0);
        } else {
            self.without += 1;
        }
        if self.without > settings.patience {
            (self.factor, self.without) = (self.factor * settings.factor, 0);
        }
    }
}

/// Which epoch was the best by a metric.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Best {
    pub metric: String,
    #[serde(skip, default = "highest")]
    goal: Goal,
    /// Completed epochs.
    pub at: Option<u64>,
    pub value: Option<f64>,
}

fn highest() -> Goal {
    Goal::Highest
}

impl Best {
    pub fn new(keep: &Keep) -> Option<Best> {
        let metric = keep.best.clone()?;
        Some(Best { goal: Goal::of(keep.goal, &metric), metric, at: None, value: None })
    }
    /// Whether the epoch just completed is the best so far; of equal ones the first.
    pub fn epoch(&mut self, done: u64, metrics: &[(String, f64)]) -> bool {
        let Some((_, value)) = metrics.iter().find(|(n, v)| *n == self.metric && !v.is_nan()) else { return false };
        let better = self.value.is_none_or(|best| self.goal.better(*value, best));
        if better {
            (self.at, self.value) = (Some(done), Some(*value));
        }
        better
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against `torch.optim.lr_scheduler.ReduceLROnPlateau(mode="max", factor=0.1, patience=1)`.
    #[test]
    fn a_plateau_lowers_the_rate_when_patience_is_over() {
        let plateau = Plateau { on: "v/a.top1".into(), factor: 0.1, patience: 1, least: None, goal: None };
        let mut p = Plateaued::new(&Schedule::Plateau(plateau));
        let mut factors = Vec::new();
        for value in [0.5, 0.5, 0.50004, 0.6, 0.55, 0.55, 0.55, 0.55] {
            p.epoch(&[("v/a.top1".into(), value)]);
            p.epoch(&[("other".into(), 1.0)]);
            factors.push(p.factor());
        }
        let want = [1.0, 1.0, 0.1, 0.1, 0.1, 0.01, 0.01, 0.001];
        assert!(factors.iter().zip(want).all(|(f, w)| (f / w - 1.0).abs() < 1e-9), "{factors:?}");
    }

    /// Against the same with `min_lr=1e-5`, from 1e-3 and from 1e-6.
    #[test]
    fn a_rate_has_a_least_value() {
        let plateau = Plateau { on: "loss".into(), factor: 0.1, patience: 0, least: Some(1e-5), goal: Some(Goal::Lowest) };
        let mut p = Plateaued::new(&Schedule::Plateau(plateau));
        let mut rates = Vec::new();
        for _ in 0..5 {
            p.epoch(&[("loss".into(), 1.0)]);
            rates.push(p.rate(1e-3));
        }
        assert!(rates.iter().zip([1e-3, 1e-4, 1e-5, 1e-5, 1e-5]).all(|(r, w)| (r / w - 1.0).abs() < 1e-9), "{rates:?}");
        assert_eq!(p.rate(1e-6), 1e-6);
    }

    #[test]
    fn the_best_is_the_first_of_equals_and_never_no_number() {
        let mut best = Best::new(&Keep { last: None, best: Some("total.loss".into()), goal: None }).unwrap();
        let told: Vec<bool> =
            [f64::NAN, 2.0, 1.0, 1.0, 3.0].iter().zip(1..).map(|(v, e)| best.epoch(e, &[("total.loss".into(), *v)])).collect();
        assert_eq!((told, best.at), (vec![false, true, true, false, false], Some(3)));
    }
}
