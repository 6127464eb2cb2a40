//! How a search knows training: one trait. The trainer implements it once; tests use closed-form objectives.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tinsmith_foundation::{CancelToken, Grant, Seed};

/// Named results of an evaluation, for example `val_accuracy`. Ordered by name, so that what is stored is stable.
pub type Scores = BTreeMap<String, f64>;

/// How much an evaluation may spend.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// Passes over the training part, at least 1. Default 10.
    pub epochs: u32,
    /// Folds of a cross-validation; 1 means one held-out validation part. Default 1.
    pub folds: u32,
    /// Share of the training rows that are used, in (0, 1]. Default 1.
    pub share: f64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { epochs: 10, folds: 1, share: 1.0 }
    }
}

/// Something an evaluation left behind (weights, a run folder) that a later one may start from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Artifact {
    /// A file or folder, relative to the study's folder where it lies below it.
    pub path: PathBuf,
}

/// What is to be evaluated, and with what.
#[derive(Debug, Clone)]
pub struct Request<'a, C> {
    /// The candidate.
    pub candidate: &'a C,
    /// The trial's number, from 0; for names of folders and logs.
    pub trial: u64,
    /// How much may be spent, counted from the beginning: an evaluation that resumes spends what is left of it.
    pub budget: Budget,
    /// The seed of everything random in this evaluation.
    pub seed: Seed,
    /// The cores that may be used. Results must not depend on it.
    pub grant: Grant,
    /// An earlier evaluation of the same candidate to go on from.
    pub resume: Option<&'a Artifact>,
    /// An evaluation of a related candidate to take weights from.
    pub inherit: Option<&'a Artifact>,
    /// Asks the evaluation to end early, without a result.
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

/// What a search answers to a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Go on.
    Continue,
    /// Stop here; the scores reported last are the outcome.
    Stop,
}

/// What came out of an evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Named scores.
    pub scores: Scores,
    /// What was left behind, if anything.
    pub artifact: Option<Artifact>,
}

/// Why an evaluation has no outcome.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// The caller asked for a stop; the trial is not finished and may be tried again.
    #[error("the evaluation was cancelled")]
    Cancelled,
    /// The candidate cannot be evaluated (its loss became infinite, it does not build): the trial failed, the
    /// study goes on.
    #[error("the candidate failed: {reason}")]
    Failed {
        /// Why.
        reason: String,
    },
    /// The evaluator itself is broken (no disk, no data): the study stops.
    #[error("the evaluation cannot go on: {source}")]
    Broken {
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Evaluates candidates. Called from several threads at once.
pub trait Evaluate<C>: Sync {
    /// Evaluates one candidate. The outcome may depend on the candidate, the budget, the seed and the artifacts,
    /// and on nothing else: not on the grant, the trial's number, the time or the order of calls.
    ///
    /// # Errors
    /// [`EvaluateError`], which says whether the trial or the study is at an end.
    fn evaluate(
        &self,
        request: Request<'_, C>,
        report: &mut dyn FnMut(Report) -> Decision,
    ) -> Result<Outcome, EvaluateError>;
}
