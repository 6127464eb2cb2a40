//! How an architecture search goes, as data.

use serde::{Deserialize, Serialize};
use tinsmith_foundation::{ConfigErrors, Faults};
use tinsmith_study::{Budget, EvolutionConfig};

/// An architecture search's configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SearchConfig {
    /// How many networks are tried, those refused before training included. Default 48.
    pub trials: u64,
    /// What a trial may spend. Default 10 epochs on all rows.
    pub budget: Budget,
    /// Seconds after which no trial begins. Default no limit.
    pub time_limit_s: Option<f64>,
    /// Trial k sees the results of trials up to k - window. Default 8.
    pub window: u64,
    /// How many successive changes make a child, at least 1. Default 2.
    pub mutations: u32,
    /// How parents are chosen.
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
    /// Notes values that cannot be used.
    pub fn check(&self, faults: &mut Faults) {
        if self.trials == 0 {
            faults.add("trials", "is 0, want at least 1");
        }
        if self.mutations == 0 {
            faults.add("mutations", "is 0, want at least 1");
        }
        faults.within("evolution", |faults| self.evolution.check(faults));
    }

    /// Whether every value can be used.
    ///
    /// # Errors
    /// [`ConfigErrors`] with every fault.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        let mut faults = Faults::new();
        self.check(&mut faults);
        faults.into_result("search configuration")
    }
}
