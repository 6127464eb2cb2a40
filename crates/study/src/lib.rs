//! A search as data: spaces, samplers, schedulers, Pareto fronts and a journal that Optuna reads.

mod evaluate;

pub use evaluate::{Artifact, Budget, Decision, Evaluate, EvaluateError, Outcome, Report, Request, Scores};
