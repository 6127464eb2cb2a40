//! Configuration of an architecture search.

use serde::{Deserialize, Serialize};
use tinsmith_foundation::{ConfigErrors, Faults};
use tinsmith_study::{Budget, EvolutionConfig};

/// Configuration of an architecture search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SearchConfig {
    /// Number of trials, including candidates refused before training. Default 48.
    pub trials: u64,
    /// Budget of a trial. Default 10 epochs on all rows.
    pub budget: Budget,
    /// Seconds after which no new trial starts. Default no limit.
    pub time_limit_s: Option<f64>,
    /// Trial k is proposed from the results of trials up to k - window. Default 8.
    pub window: u64,
    /// Successive edits that produce a child, at least 1. Default 2.
    pub mutations: u32,
    /// Selection of parents.
    pub evolution: EvolutionConfig,
}

impl Default for SearchConfig {
    fn default() -> Self {
        Self {
            trials: 48,
            budget: Budget::default(),
            time_limit_s: None,
            window: 8,
            mutations: 2,
            evolution: EvolutionConfig { population: 16, ..EvolutionConfig::default() },
        }
    }
}

impl SearchConfig {
    /// Notes every invalid value.
    pub fn check(&self, faults: &mut Faults) {
        if self.trials == 0 {
            faults.add("trials", "is 0, want at least 1");
        }
        if self.mutations == 0 {
            faults.add("mutations", "is 0, want at least 1");
        }
        faults.within("evolution", |faults| self.evolution.check(faults));
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigErrors`] with every invalid value.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        let mut faults = Faults::new();
        self.check(&mut faults);
        faults.into_result("search configuration")
    }
}
