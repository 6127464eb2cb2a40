//! What a study is, as data.

use serde::{Deserialize, Serialize};
use tinsmith_foundation::{ConfigErrors, Faults};

use crate::evaluate::Budget;

/// Whether less or more is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Less is better.
    Minimize,
    /// More is better.
    Maximize,
}

impl Direction {
    /// `value` turned so that less is better.
    #[must_use]
    pub fn loss(self, value: f64) -> f64 {
        match self {
            Self::Minimize => value,
            Self::Maximize => -value,
        }
    }
}

/// One thing that a study makes small or large.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// The score it is: one that the evaluation returns or that the check measured, for example `val_accuracy`.
    pub name: String,
    /// Whether less or more of it is better.
    pub direction: Direction,
}

impl Objective {
    /// A score to be made small.
    pub fn minimize(name: impl Into<String>) -> Self {
        Self { name: name.into(), direction: Direction::Minimize }
    }

    /// A score to be made large.
    pub fn maximize(name: impl Into<String>) -> Self {
        Self { name: name.into(), direction: Direction::Maximize }
    }
}

/// What a study is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StudyConfig {
    /// Its name, shown by other tools and by progress. Default `study`.
    pub name: String,
    /// The seed of everything random in it. Default 0.
    pub seed: u64,
    /// How many trials it has, refused and failed ones included. Default 100.
    pub trials: u64,
    /// Trial k is proposed from the results of trials numbered at most k - window, so at most this many run at
    /// once; at least 1. Default 8.
    pub window: u64,
    /// Seconds after which no trial begins, over all attempts; how many trials that leaves is outside the promise
    /// of equal results. Default: no limit.
    pub time_limit_s: Option<f64>,
    /// What is made small or large, at least one. Default: `loss`, minimized.
    pub objectives: Vec<Objective>,
    /// Names of the constraints; a candidate is feasible where all are <= 0. Default: none.
    pub constraints: Vec<String>,
    /// The score whose value after each unit of budget is recorded and shown to the pruner. Default: the first
    /// objective.
    pub report: Option<String>,
    /// What an evaluation may spend where the proposal does not say.
    pub budget: Budget,
    /// Whether candidates whose constraints are known to be violated are evaluated all the same. Default false.
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
    /// Notes what is wrong.
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

    /// All faults at once.
    ///
    /// # Errors
    /// [`ConfigErrors`] where anything is wrong.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        let mut faults = Faults::new();
        self.check(&mut faults);
        faults.into_result("study")
    }

    /// The score that is recorded after each unit of budget.
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
