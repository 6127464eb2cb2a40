//! AutoQKeras' forgiving factor: the trade of a metric against the size of a network.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Exchange rate between a metric and the size of a network. A network that is smaller than the reference may have a
/// worse metric, one that is larger must have a better one.
///
/// # Source
/// `autoqkeras.forgiving_metrics.ForgivingFactor` of QKeras 0.9.0, whose default is `delta_p = delta_n = 8`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ForgivingFactor {
    /// Percent gained for each factor `rate` by which the trial is smaller than the reference. Default 8.
    pub delta_p: f64,
    /// Percent lost for each factor `rate` by which it is larger. Default 8.
    pub delta_n: f64,
    /// The factor. Default 2.
    pub rate: f64,
    /// Factor on the reference's size; below 1 demands smaller networks. Default 1.
    pub stress: f64,
}

impl Default for ForgivingFactor {
    fn default() -> Self {
        Self { delta_p: 8.0, delta_n: 8.0, rate: 2.0, stress: 1.0 }
    }
}

impl ForgivingFactor {
    /// `(delta_p if trial < reference * stress else delta_n) / 100 * ln(reference * stress / trial) / ln(rate)`.
    /// AutoQKeras multiplies its metric by `1 + delta`. Returns 0 if a size is not positive.
    #[must_use]
    pub fn delta(&self, reference: f64, trial: f64) -> f64 {
        let reference = reference * self.stress;
        if !(reference > 0.0 && trial > 0.0) {
            return 0.0;
        }
        let percent = if trial < reference { self.delta_p } else { self.delta_n };
        percent / 100.0 * (reference / trial).ln() / self.rate.ln()
    }
}
