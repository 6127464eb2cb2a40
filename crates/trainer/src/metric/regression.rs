//! Regression measures: distances of outputs from target arrays.

use serde::{Deserialize, Serialize};

/// Measures of a regression, over all rows and elements.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Regression {
    /// Mean of `|y - t|`.
    pub mean_absolute_error: f64,
    /// Mean of `(y - t)^2`.
    pub mean_squared_error: f64,
    /// `1 - sum (y - t)^2 / sum (t - mean t)^2` of each element, averaged over elements. An element whose target is
    /// constant counts 1 if it is met and 0 if not (`r2_score` in scikit-learn).
    pub r2: f64,
    /// `10 log10(range^2 / mean_squared_error)` in decibels, with the range of all targets. None if every target is
    /// met exactly or all targets are equal.
    pub psnr: Option<f64>,
}

/// Accumulates rows of outputs and targets.
#[derive(Debug, Clone)]
pub struct RegressionSums {
    rows: u64,
    absolute: f64,
    /// Per element: sum of squared errors, running mean of the targets, their sum of squared deviations.
    elements: Vec<[f64; 3]>,
    low: f32,
    high: f32,
}

impl RegressionSums {
    /// Starts empty, for rows of `width` elements.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self {
            rows: 0,
            absolute: 0.0,
            elements: vec![[0.0; 3]; width],
            low: f32::INFINITY,
            high: f32::NEG_INFINITY,
        }
    }

    /// Adds one row; elements beyond the width are ignored.
    pub fn add(&mut self, outputs: &[f32], targets: &[f32]) {
        self.rows += 1;
        for ((sums, &y), &t) in self.elements.iter_mut().zip(outputs).zip(targets) {
            let off = f64::from(y) - f64::from(t);
            self.absolute += off.abs();
            self.low = self.low.min(t);
            self.high = self.high.max(t);
            let [errors, mean, spread] = sums;
            *errors += off * off;
            // Welford's algorithm: mean and deviations in one pass, without cancellation.
            let from_old = f64::from(t) - *mean;
            *mean += from_old / self.rows as f64;
            *spread += from_old * (f64::from(t) - *mean);
        }
    }

    /// Returns the measures; None without rows or elements.
    #[must_use]
    pub fn finish(&self) -> Option<Regression> {
        let width = self.elements.len() as f64;
        let count = self.rows as f64 * width;
        if count == 0.0 {
            return None;
        }
        let errors: f64 = self.elements.iter().map(|[errors, ..]| errors).sum();
        let mean_squared_error = errors / count;
        let r2 = |&[errors, _, spread]: &[f64; 3]| {
            if spread > 0.0 {
                1.0 - errors / spread
            } else if errors == 0.0 {
                1.0
            } else {
                0.0
            }
        };
        let range = f64::from(self.high) - f64::from(self.low);
        let psnr = (range > 0.0 && mean_squared_error > 0.0)
            .then(|| 10.0 * libm::log10(range * range / mean_squared_error));
        Some(Regression {
            mean_absolute_error: self.absolute / count,
            mean_squared_error,
            r2: self.elements.iter().map(r2).sum::<f64>() / width,
            psnr,
        })
    }
}
