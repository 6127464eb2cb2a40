//! Configuration of a study.

use serde::{Deserialize, Serialize};
use tinsmith_foundation::{ConfigErrors, Faults};

use crate::evaluate::Budget;

/// Direction of an objective.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Smaller is better.
    Minimize,
    /// Larger is better.
    Maximize,
}

impl Direction {
    /// Returns `value`, negated if larger is better, so that smaller is better.
    #[must_use]
    pub fn loss(self, value: f64) -> f64 {
        match self {
            Self::Minimize => value,
            Self::Maximize => -value,
        }
    }
}

/// An objective of a study.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// Name of a score returned by the evaluation or measured by the check, for example `val_accuracy`.
    pub name: String,
    /// Direction.
    pub direction: Direction,
}

impl Objective {
    /// Creates an objective to minimize.
    pub fn minimize(name: impl Into<String>) -> Self {
        Self { name: name.into(), direction: Direction::Minimize }
    }

    /// Creates an objective to maximize.
    pub fn maximize(name: impl Into<String>) -> Self {
        Self { name: name.into(), direction: Direction::Maximize }
    }
}

/// Configuration of a study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StudyConfig {
    /// Name, shown by other tools and in progress messages. Default `study`.
    pub name: String,
    /// Seed of everything random in the study. Default 0.
    pub seed: u64,
    /// Number of trials, including refused and failed ones. Default 100.
    pub trials: u64,
    /// Trial k is proposed from the results of trials 0 to k - window, so at most this many run at the same
    /// time; at least 1. Default 8.
    pub window: u64,
    /// Seconds after which no further trial starts, summed over all attempts. The number of trials that this
    /// leaves is not reproducible. Default: no limit.
    pub time_limit_s: Option<f64>,
    /// Objectives, at least one. Default: `loss`, minimized.
    pub objectives: Vec<Objective>,
    /// Names of the constraints; a candidate is feasible if all are <= 0. Default: none.
    pub constraints: Vec<String>,
    /// Score that is recorded after each unit of budget and passed to the pruner. Default: the first
    /// objective.
    pub report: Option<String>,
    /// Budget of an evaluation if the proposal does not set one.
    pub budget: Budget,
    /// Evaluate candidates that are known to violate constraints. Default false.
    pub evaluate_infeasible: bool,
}

impl Default for StudyConfig {
    fn default() -> Self {
        Self {
            name: "study".to_owned(),
            seed: 0,
            trials: 100,
            window: 8,
            time_limit_s: None,
            objectives: vec![Objective::minimize("loss")],
            constraints: Vec::new(),
            report: None,
            budget: Budget::default(),
            evaluate_infeasible: false,
        }
    }
}

impl StudyConfig {
    /// Reports invalid values.
    pub fn check(&self, faults: &mut Faults) {
        if self.name.is_empty() {
            faults.add("name", "is empty, want a word");
        }
        if self.window == 0 {
            faults.add("window", "is 0, want at least 1");
        }
        if let Some(limit) = self.time_limit_s.filter(|s| !s.is_finite() || *s <= 0.0) {
            faults.add("time_limit_s", format!("is {limit}, want more than 0"));
        }
        if self.objectives.is_empty() {
            faults.add("objectives", "is empty, want at least one");
        }
        let objectives: Vec<&str> = self.objectives.iter().map(|o| o.name.as_str()).collect();
        let constraints: Vec<&str> = self.constraints.iter().map(String::as_str).collect();
        for (list, names) in [("objectives", objectives), ("constraints", constraints)] {
            for (i, name) in names.iter().enumerate() {
                if names[..i].contains(name) {
                    faults.add(&format!("{list}[{i}]"), format!("repeats `{name}`"));
                }
            }
        }
        faults.within("budget", |faults| check_budget(self.budget, faults));
    }

    /// Validates the configuration, reporting all faults at once.
    ///
    /// # Errors
    /// [`ConfigErrors`] if any value is invalid.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        let mut faults = Faults::new();
        self.check(&mut faults);
        faults.into_result("study")
    }

    /// Returns the score that is recorded after each unit of budget.
    #[must_use]
    pub fn reported_score(&self) -> &str {
        self.report.as_deref().or_else(|| self.objectives.first().map(|o| o.name.as_str())).unwrap_or("loss")
    }
}

fn check_budget(budget: Budget, faults: &mut Faults) {
    if budget.epochs == 0 {
        faults.add("epochs", "is 0, want at least 1");
    }
    if budget.folds == 0 {
        faults.add("folds", "is 0, want at least 1");
    }
    if !(budget.share > 0.0 && budget.share <= 1.0) {
        faults.add("share", format!("is {}, want more than 0 and at most 1", budget.share));
    }
}
