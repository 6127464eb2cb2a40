//! Configuration of pruning.

use serde::{Deserialize, Serialize};
use tinsmith_foundation::{ConfigErrors, Faults};

/// Among which weights the smallest are sought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Compares all weights: layers end with different sparsities.
    Global,
    /// Compares weights within each kernel: all kernels end with the same sparsity.
    #[default]
    Layer,
}

/// Configuration of pruning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PruneConfig {
    /// Fraction of the weights that are zero at the end, 0 to below 1. Default 0.5.
    pub sparsity: f64,
    /// Fraction of the epochs in which the sparsity rises, most of it early. Default 0.5.
    pub until: f64,
    /// Scope of the comparison. Default within each kernel.
    pub scope: Scope,
    /// Kernels (`layer.kernel`) to leave unpruned: regular expressions that match whole names. Default none.
    pub exclude: Vec<String>,
}

impl Default for PruneConfig {
    fn default() -> Self {
        Self { sparsity: 0.5, until: 0.5, scope: Scope::Layer, exclude: Vec::new() }
    }
}

impl PruneConfig {
    /// Adds every unusable value to `faults`.
    pub fn check(&self, faults: &mut Faults) {
        if !(0.0..1.0).contains(&self.sparsity) {
            faults.add("sparsity", format!("is {}, want 0 to below 1", self.sparsity));
        }
        if !(0.0..=1.0).contains(&self.until) {
            faults.add("until", format!("is {}, want 0 to 1", self.until));
        }
        for (i, pattern) in self.exclude.iter().enumerate() {
            if let Err(error) = regex::Regex::new(pattern) {
                faults.add(&format!("exclude[{i}]"), format!("is no regular expression: {error}"));
            }
        }
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigErrors`] with every fault.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        let mut faults = Faults::new();
        self.check(&mut faults);
        faults.into_result("pruning configuration")
    }

    /// Returns the sparsity before epoch `epoch` (from 1) of `epochs`: `s (1 - (1 - t)^3)`, with t rising from its
    /// first step to 1 over the fraction `until` of the epochs (Zhu and Gupta, 2017, arXiv 1710.01878, equation 1,
    /// from 0).
    ///
    /// ```
    /// let config = tinsmith_sparse::PruneConfig { sparsity: 0.8, until: 0.5, ..Default::default() };
    /// assert!(config.sparsity_at(1, 10) > 0.0 && config.sparsity_at(1, 10) < 0.8);
    /// assert!((config.sparsity_at(5, 10) - 0.8).abs() < 1e-12);
    /// assert!((config.sparsity_at(10, 10) - 0.8).abs() < 1e-12);
    /// ```
    #[must_use]
    pub fn sparsity_at(&self, epoch: u32, epochs: u32) -> f64 {
        let rising = (f64::from(epochs) * self.until).floor().max(1.0);
        let t = (f64::from(epoch) / rising).min(1.0);
        self.sparsity * (1.0 - (1.0 - t).powi(3))
    }

    /// Returns true if the sparsity has reached its final value before `epoch`.
    #[must_use]
    pub fn is_over(&self, epoch: u32, epochs: u32) -> bool {
        f64::from(epoch) >= (f64::from(epochs) * self.until).floor().max(1.0)
    }
}
