//! What follows a metric from epoch to epoch: a learning rate that falls on a plateau, the best checkpoint.

use crate::stage::{Goal, Keep, Plateau, Schedule};
use serde::{Deserialize, Serialize};

/// A learning rate that falls on a plateau; any other schedule leaves it as it is.
pub struct Plateaued {
    settings: Option<Plateau>,
    state: PlateauState,
}

/// What a plateau has seen so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlateauState {
    #[serde(with = "crate::exact")]
    factor: f64,
    #[serde(with = "crate::exact::optional")]
    best: Option<f64>,
    /// Epochs with a value since the best.
    without: u64,
}

/// Epochs at which a schedule changes the rate though the stage has ended by then.
pub fn beyond(schedule: &Schedule, epochs: u64) -> Vec<u64> {
    match schedule {
        Schedule::Steps(steps) => steps.at.iter().copied().filter(|at| *at >= epochs).collect(),
        Schedule::Constant(_) | Schedule::Cosine(_) | Schedule::Plateau(_) => Vec::new(),
    }
}

/// What counts as better, relative to the best (PyTorch's default).
const THRESHOLD: f64 = 1e-4;

impl Plateaued {
    pub fn new(schedule: &Schedule) -> Plateaued {
        let settings = match schedule {
            Schedule::Plateau(p) => Some(p.clone()),
            Schedule::Constant(_) | Schedule::Steps(_) | Schedule::Cosine(_) => None,
        };
        Plateaued { settings, state: PlateauState { factor: 1.0, best: None, without: 0 } }
    }
    /// Goes on from a state that was kept.
    pub fn resumed(schedule: &Schedule, state: PlateauState) -> Plateaued {
        Plateaued { state, ..Plateaued::new(schedule) }
    }
    pub fn state(&self) -> &PlateauState {
        &self.state
    }
    /// What the learning rate is multiplied by now.
    pub fn factor(&self) -> f64 {
        self.state.factor
    }
    /// The learning rate that stands for `lr` now: never below the schedule's `least`, and never raised to it.
    pub fn rate(&self, lr: f64) -> f64 {
        let least = self.settings.as_ref().and_then(|s| s.least).unwrap_or(0.0);
        (lr * self.state.factor).max(least.min(lr))
    }
    /// Takes the metrics of a finished epoch. One in which the metric was not taken counts for nothing; one in which it is NaN is a bad one, also
    /// the first, as in PyTorch.
    pub fn epoch(&mut self, metrics: &[(String, f64)]) {
        let Some(settings) = &self.settings else { return };
        let Some((_, value)) = metrics.iter().find(|(n, _)| *n == settings.on) else { return };
        let goal = Goal::of(settings.goal, &settings.on);
        let best = self.state.best.unwrap_or(match goal {
            Goal::Highest => f64::NEG_INFINITY,
            Goal::Lowest => f64::INFINITY,
        });
        // no comparison with a NaN holds
        let better = match goal {
            Goal::Highest => *value > best * (1.0 + THRESHOLD),
            Goal::Lowest => *value < best * (1.0 - THRESHOLD),
        };
        let state = &mut self.state;
        if better {
            (state.best, state.without) = (Some(*value), 0);
        } else {
            state.without += 1;
        }
        if state.without > settings.patience {
            (state.factor, state.without) = (state.factor * settings.factor, 0);
        }
    }
}

/// Follows which epoch was the best by a metric.
pub struct Best {
    metric: String,
    goal: Goal,
    state: BestState,
}

/// The best epoch so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BestState {
    /// Completed epochs.
    pub at: Option<u64>,
    #[serde(with = "crate::exact::optional")]
    pub value: Option<f64>,
}

impl Best {
    pub fn new(keep: &Keep) -> Option<Best> {
        let metric = keep.best.clone()?;
        Some(Best { goal: Goal::of(keep.goal, &metric), metric, state: BestState::default() })
    }
    /// Goes on from a state that was kept.
    pub fn resumed(keep: &Keep, state: BestState) -> Option<Best> {
        Some(Best { state, ..Best::new(keep)? })
    }
    pub fn metric(&self) -> &str {
        &self.metric
    }
    pub fn state(&self) -> &BestState {
        &self.state
    }
    /// Whether the epoch just completed is the best so far; of equal ones the first. A NaN is never the best.
    pub fn epoch(&mut self, done: u64, metrics: &[(String, f64)]) -> bool {
        let Some((_, value)) = metrics.iter().find(|(n, v)| *n == self.metric && !v.is_nan()) else { return false };
        let better = self.state.value.is_none_or(|best| self.goal.better(*value, best));
        if better {
            self.state = BestState { at: Some(done), value: Some(*value) };
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

    /// Against the same: the first value is a NaN, and later ones.
    #[test]
    fn a_nan_is_a_bad_epoch_also_the_first() {
        for goal in [Goal::Highest, Goal::Lowest] {
            let plateau = Plateau { on: "x".into(), factor: 0.1, patience: 1, least: None, goal: Some(goal) };
            let schedule = Schedule::Plateau(plateau);
            let mut p = Plateaued::new(&schedule);
            let mut factors = Vec::new();
            for value in [f64::NAN, 1.0, f64::NAN, f64::NAN, f64::NAN] {
                // what was kept goes on as if nothing had come between
                p = Plateaued::resumed(&schedule, serde_json::from_str(&serde_json::to_string(p.state()).unwrap()).unwrap());
                p.epoch(&[("x".into(), value)]);
                factors.push(p.factor());
            }
            let want = [1.0, 1.0, 1.0, 0.1, 0.1];
            assert!(factors.iter().zip(want).all(|(f, w)| (f / w - 1.0).abs() < 1e-9), "{factors:?}");
        }
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
        let mut best = Best::new(&Keep { last: None, best: Some("total.loss".into()), goal: None, every: None }).unwrap();
        let told: Vec<bool> =
            [f64::NAN, 2.0, 1.0, 1.0, 3.0].iter().zip(1..).map(|(v, e)| best.epoch(e, &[("total.loss".into(), *v)])).collect();
        assert_eq!((told, best.state().at), (vec![false, true, true, false, false], Some(3)));
    }
}
