//! Forgiving factor: the loss in a metric that a smaller network may cost (AutoQKeras, `forgiving_metrics`).

use serde::{Deserialize, Serialize};
use tinsmith_cost::ForgivingFactor;
use tinsmith_foundation::Faults;

/// Trade-off between size and quality. A network of `1 / rate` of the reference's size may lose `delta_p` percent of the
/// metric and still score the same.
///
/// Unlike AutoQKeras' `score`, which multiplies any metric and so rewards a large error, this score respects the metric's
/// direction.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Goal {
    /// Percent granted per reduction by `rate` below the reference. Default 2.
    pub delta_p: f64,
    /// Percent charged per growth by `rate` above the reference. Default 8.
    pub delta_n: f64,
    /// Size ratio that the percentages refer to, above 1. Default 2.
    pub rate: f64,
    /// Factor on the reference size; below 1 demands smaller networks. Default 1.
    pub stress: f64,
}

impl Default for Goal {
    fn default() -> Self {
        Self { delta_p: 2.0, delta_n: 8.0, rate: 2.0, stress: 1.0 }
    }
}

impl Goal {
    /// Notes every invalid value.
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

    /// Returns `delta / 100 * ln(reference * stress / trial) / ln(rate)`, with `delta_p` for trials smaller than the
    /// stressed reference and `delta_n` otherwise. Sizes are positive and in any common unit.
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

    /// Returns the metric with its factor: `metric * (1 + factor)` if more is better, otherwise `metric / (1 + factor)`. A
    /// smaller network always scores better.
    #[must_use]
    pub fn score(&self, metric: f64, more_is_better: bool, reference: f64, trial: f64) -> f64 {
        let factor = 1.0 + self.forgiving_factor(reference, trial).max(-0.99);
        if more_is_better { metric * factor } else { metric / factor }
    }
}
