//! Evaluation of candidates: the trait that separates searches from training. The trainer implements it;
//! tests use closed-form objectives.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tinsmith_foundation::{CancelToken, Grant, Seed};

/// Named results of an evaluation, for example `val_accuracy`. Ordered by name, so that stored text is
/// stable.
pub type Scores = BTreeMap<String, f64>;

/// Budget of an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// Passes over the training rows, at least 1. Default 10.
    pub epochs: u32,
    /// Cross-validation folds; 1 means one held-out validation split. Default 1.
    pub folds: u32,
    /// Fraction of training rows used, in (0, 1]. Default 1.
    pub share: f64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { epochs: 10, folds: 1, share: 1.0 }
    }
}

/// File or folder left by an evaluation (weights, a run folder) that a later one may start from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Artifact {
    /// Path, relative to the study's folder if it lies below it.
    pub path: PathBuf,
}

/// Arguments of an evaluation.
#[derive(Debug, Clone)]
pub struct Request<'a, C> {
    /// The candidate.
    pub candidate: &'a C,
    /// Number of the trial, from 0; for names of folders and logs.
    pub trial: u64,
    /// Budget, counted from the beginning: a resumed evaluation spends only the remainder.
    pub budget: Budget,
    /// Seed of everything random in the evaluation.
    pub seed: Seed,
    /// Cores to use. Results must not depend on them.
    pub grant: Grant,
    /// Earlier evaluation of the same candidate to resume from.
    pub resume: Option<&'a Artifact>,
    /// Evaluation of a related candidate to take weights from.
    pub inherit: Option<&'a Artifact>,
    /// Requests an early end without a result.
    pub cancel: &'a CancelToken,
}

/// Intermediate scores, reported after each unit of budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Units (epochs) spent so far, from 1.
    pub step: u64,
    /// Scores after them.
    pub scores: Scores,
}

/// Reply of a search to a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Continue.
    Continue,
    /// Stop; the latest reported scores are the outcome.
    Stop,
}

/// Outcome of an evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Named scores.
    pub scores: Scores,
    /// Artifact left behind, if any.
    pub artifact: Option<Artifact>,
}

/// Failure of an evaluation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// The caller requested a stop; the trial is unfinished and may be repeated.
    #[error("the evaluation was cancelled")]
    Cancelled,
    /// The candidate cannot be evaluated (its loss became infinite, it does not build). The trial fails; the
    /// study continues.
    #[error("the candidate failed: {reason}")]
    Failed {
        /// Reason.
        reason: String,
    },
    /// The evaluator itself failed (no disk, no data). The study stops.
    #[error("the evaluation cannot go on: {source}")]
    Broken {
        /// Cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Evaluates candidates. Called from several threads at once.
pub trait Evaluate<C>: Sync {
    /// Evaluates one candidate. The outcome may depend on the candidate, the budget, the seed and the
    /// artifacts only: not on the grant, the trial's number, the time or the order of calls.
    ///
    /// # Errors
    /// [`EvaluateError`], which tells whether the trial or the whole study ends.
    fn evaluate(
        &self,
        request: Request<'_, C>,
        report: &mut dyn FnMut(Report) -> Decision,
    ) -> Result<Outcome, EvaluateError>;
}
