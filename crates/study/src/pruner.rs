//! Pruners: end trials early, based on their reports and those of earlier trials.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tinsmith_foundation::{ConfigErrors, Faults};

use crate::config::Direction;
use crate::evaluate::Decision;
use crate::trial::{History, Trial};

/// Decides whether a running trial continues. The answer is a function of the arguments alone. The history
/// holds the trials that the proposal was made from, so results do not depend on the number of workers.
pub trait Pruner<C>: Sync {
    /// Decides whether the trial that has reported `reports` (score by step, not empty) continues.
    /// `direction` is that of the reported score.
    fn decide(
        &self,
        history: &History<'_, C>,
        direction: Direction,
        reports: &BTreeMap<u64, f64>,
    ) -> Decision;
}

/// Stops a trial whose best score so far is worse than the median of earlier trials at the same step (Golovin
/// et al., "Google Vizier", 2017).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MedianPruner {
    /// Minimum number of earlier trials that reported at the step, at least 1. Default 5.
    pub trials: usize,
    /// Steps before the first decision. Default 1.
    pub warmup: u64,
}

impl Default for MedianPruner {
    fn default() -> Self {
        Self { trials: 5, warmup: 1 }
    }
}

impl MedianPruner {
    /// Validates the configuration, reporting all faults at once.
    ///
    /// # Errors
    /// [`ConfigErrors`] if any value is invalid.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        let mut faults = Faults::new();
        if self.trials == 0 {
            faults.add("trials", "is 0, want at least 1");
        }
        faults.into_result("median pruner")
    }
}

impl<C> Pruner<C> for MedianPruner {
    fn decide(
        &self,
        history: &History<'_, C>,
        direction: Direction,
        reports: &BTreeMap<u64, f64>,
    ) -> Decision {
        let Some((&step, _)) = reports.last_key_value() else { return Decision::Continue };
        if step <= self.warmup {
            return Decision::Continue;
        }
        let own = best(direction, reports.values());
        let mut others = at_step(history, direction, step);
        if others.len() < self.trials.max(1) {
            return Decision::Continue;
        }
        others.sort_by(f64::total_cmp);
        let middle = others.len() / 2;
        let median = if others.len() % 2 == 1 {
            others[middle]
        } else {
            f64::midpoint(others[middle - 1], others[middle])
        };
        if own > median { Decision::Stop } else { Decision::Continue }
    }
}

/// Asynchronous successive halving (Li et al., arXiv 1810.05934) with rungs at `min_steps * factor^k`. At a
/// rung, a trial continues if its score is among the best `1/factor` of all that reached the rung, including
/// itself. As in Optuna's `SuccessiveHalvingPruner`, a trial that is not promoted stops for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HalvingPruner {
    /// Step of the first rung, at least 1. Default 1.
    pub min_steps: u64,
    /// Reduction factor: one of `factor` trials continues, at least 2. Default 3.
    pub factor: u64,
}

impl Default for HalvingPruner {
    fn default() -> Self {
        Self { min_steps: 1, factor: 3 }
    }
}

impl HalvingPruner {
    /// Validates the configuration, reporting all faults at once.
    ///
    /// # Errors
    /// [`ConfigErrors`] if any value is invalid.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        let mut faults = Faults::new();
        if self.min_steps == 0 {
            faults.add("min_steps", "is 0, want at least 1");
        }
        if self.factor < 2 {
            faults.add("factor", format!("is {}, want at least 2", self.factor));
        }
        faults.into_result("halving pruner")
    }

    fn is_rung(&self, step: u64) -> bool {
        let mut rung = self.min_steps.max(1);
        while rung < step {
            rung = rung.saturating_mul(self.factor.max(2));
        }
        rung == step
    }
}

impl<C> Pruner<C> for HalvingPruner {
    fn decide(
        &self,
        history: &History<'_, C>,
        direction: Direction,
        reports: &BTreeMap<u64, f64>,
    ) -> Decision {
        let Some((&step, &score)) = reports.last_key_value() else { return Decision::Continue };
        if !self.is_rung(step) {
            return Decision::Continue;
        }
        let own = direction.loss(score);
        let others: Vec<f64> = history
            .finished()
            .iter()
            .filter_map(|trial| trial.reports.get(&step).map(|&score| direction.loss(score)))
            .collect();
        let promoted = ((others.len() + 1) / self.factor.max(2) as usize).max(1);
        let better = others.iter().filter(|&&loss| loss < own).count();
        if better < promoted { Decision::Continue } else { Decision::Stop }
    }
}

/// Returns the best loss by `step` of each earlier trial that came as far.
fn at_step<C>(history: &History<'_, C>, direction: Direction, step: u64) -> Vec<f64> {
    let reached = |trial: &&Trial<C>| trial.reports.last_key_value().is_some_and(|(&last, _)| last >= step);
    let trials = history.finished().iter().map(AsRef::as_ref);
    trials.filter(reached).map(|t| best(direction, t.reports.range(..=step).map(|(_, v)| v))).collect()
}

fn best<'a>(direction: Direction, scores: impl Iterator<Item = &'a f64>) -> f64 {
    scores.map(|&s| direction.loss(s)).fold(f64::INFINITY, f64::min)
}
