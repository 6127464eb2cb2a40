//! The forgiving factor: how much of a metric a smaller network is worth (AutoQKeras, `forgiving_metrics`).

use serde::{Deserialize, Serialize};
use tinsmith_cost::ForgivingFactor;
use tinsmith_foundation::Faults;

/// How size is traded for quality. A network of `1 / rate` of the reference's size may be worse by `delta_p` percent
/// of the metric and still score the same.
///
/// Unlike AutoQKeras' `score`, which multiplies whatever metric it is given and so rewards a large error, the score
/// here knows the metric's direction.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Goal {
    /// Percent granted for each halving (at rate 2) below the reference. Default 2.
    pub delta_p: f64,
    /// Percent charged for each doubling above the reference. Default 8.
    pub delta_n: f64,
    /// Factor of size that `delta` is for, above 1. Default 2.
    pub rate: f64,
    /// Factor by which the reference is pretended to be smaller. Default 1.
    pub stress: f64,
}

impl Default for Goal {
    fn default() -> Self {
        Self { delta_p: 2.0, delta_n: 8.0, rate: 2.0, stress: 1.0 }
    }
}

impl Goal {
    /// Notes values that cannot be used.
    pub fn check(&self, faults: &mut Faults) {
        if !(self.rate > 1.0 && self.rate.is_finite()) {
            faults.add("rate", format!("is {}, want above 1", self.rate));
        }
        if !(self.stress > 0.0 && self.stress.is_finite()) {
            faults.add("stress", format!("is {}, want above 0", self.stress));
        }
        for (name, value) in [("delta_p", self.delta_p), ("delta_n", self.delta_n)] {
            if !(0.0..=100.0).contains(&value) {
                faults.add(name, format!("is {value}, want 0 to 100 percent"));
            }
        }
    }

    /// `delta / 100 * ln(reference * stress / trial) / ln(rate)`, delta being `delta_p` where the trial is smaller,
    /// else `delta_n`. Sizes in any common unit, above 0.
    ///
    /// ```
    /// let goal = tinsmith_autoq::Goal { delta_p: 8.0, ..Default::default() };
    /// assert!((goal.forgiving_factor(1000.0, 500.0) - 0.08).abs() < 1e-12);
    /// assert!((goal.forgiving_factor(1000.0, 2000.0) + 0.08).abs() < 1e-12);
    /// ```
    #[must_use]
    pub fn forgiving_factor(&self, reference: f64, trial: f64) -> f64 {
        let Self { delta_p, delta_n, rate, stress } = *self;
        ForgivingFactor { delta_p, delta_n, rate, stress }.delta(reference, trial)
    }

    /// The metric with its factor: `metric * (1 + factor)` where more is better, `metric / (1 + factor)` where less
    /// is, so that a smaller network always scores better.
    #[must_use]
    pub fn score(&self, metric: f64, more_is_better: bool, reference: f64, trial: f64) -> f64 {
        let factor = 1.0 + self.forgiving_factor(reference, trial).max(-0.99);
        if more_is_better { metric * factor } else { metric / factor }
    }
}
