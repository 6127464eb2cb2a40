//! Trials, and the part of them visible to a proposer.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::config::Objective;
use crate::evaluate::{Artifact, Budget, Scores};
use crate::pareto;

/// A candidate with the circumstances of its evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proposal<C> {
    /// The candidate.
    pub candidate: C,
    /// Budget of its evaluation; `None` for the study's default.
    pub budget: Option<Budget>,
    /// Finished trial of the same candidate whose artifact the evaluation resumes from. The budget counts
    /// from the beginning and includes that trial's.
    pub resume: Option<u64>,
    /// Finished trial whose artifact (weights) the evaluation starts from.
    pub inherit: Option<u64>,
    /// Data of the proposer, stored with the trial.
    pub attributes: BTreeMap<String, serde_json::Value>,
}

impl<C> Proposal<C> {
    /// Creates a proposal with the study's defaults.
    pub const fn new(candidate: C) -> Self {
        Self { candidate, budget: None, resume: None, inherit: None, attributes: BTreeMap::new() }
    }
}

/// State of a finished trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialState {
    /// Evaluated in full.
    Complete,
    /// Stopped by the pruner; its values are the latest reported ones.
    Pruned,
    /// The candidate could not be evaluated, or an objective is missing or not finite.
    Failed,
    /// Not evaluated: the check refused it or found a violated constraint.
    Refused,
}

/// A finished trial.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial<C> {
    /// Number, from 0, in the order of proposal.
    pub number: u64,
    /// The proposal.
    pub proposal: Arc<Proposal<C>>,
    /// State.
    pub state: TrialState,
    /// Objectives in the study's order; `None` if it failed or was refused.
    pub values: Option<Vec<f64>>,
    /// Constraints in the study's order, <= 0 if satisfied; empty if unknown.
    pub constraints: Vec<f64>,
    /// All finite scores: measures of the check and results of the evaluation.
    pub scores: Scores,
    /// Reported scores by step.
    pub reports: BTreeMap<u64, f64>,
    /// Artifact left by the evaluation.
    pub artifact: Option<Artifact>,
    /// Reason for failure or refusal.
    pub reason: Option<String>,
    /// Start and end; not reproducible.
    pub times: TrialTimes,
}

/// Start and end of a trial.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TrialTimes {
    /// ISO 8601 in UTC, to the microsecond.
    pub start: String,
    /// ISO 8601 in UTC, to the microsecond.
    pub complete: String,
    /// Running time of the study until the end of the trial, in seconds, summed over all attempts.
    pub elapsed_s: f64,
}

impl<C> Trial<C> {
    /// Returns the candidate.
    #[must_use]
    pub fn candidate(&self) -> &C {
        &self.proposal.candidate
    }

    /// Returns the sum of violated constraints; 0 if feasible or unknown.
    #[must_use]
    pub fn violation(&self) -> f64 {
        // Not `sum()`: an empty sum is -0.0.
        self.constraints.iter().fold(0.0_f64, |sum, c| sum + c.max(0.0)).min(f64::MAX)
    }

    /// Returns true if it has values and violates nothing.
    #[must_use]
    pub fn is_feasible(&self) -> bool {
        self.values.is_some() && self.violation() <= 0.0
    }

    /// Returns true if `other` equals this trial in everything but the times, as equal seeds guarantee.
    #[must_use]
    pub fn is_same_result(&self, other: &Self) -> bool
    where
        C: PartialEq,
    {
        self.number == other.number
            && self.proposal == other.proposal
            && self.state == other.state
            && self.values == other.values
            && self.constraints == other.constraints
            && self.scores == other.scores
            && self.reports == other.reports
            && self.artifact == other.artifact
            && self.reason == other.reason
    }
}

/// History visible to a proposer and a pruner: the trials within the window, never more.
#[derive(Debug, Clone, Copy)]
pub struct History<'a, C> {
    objectives: &'a [Objective],
    finished: &'a [Arc<Trial<C>>],
    running: &'a [Arc<Proposal<C>>],
}

impl<'a, C> History<'a, C> {
    /// Creates a history, for tests of proposers. `running` are the proposals that follow the finished
    /// trials.
    #[must_use]
    pub const fn new(
        objectives: &'a [Objective],
        finished: &'a [Arc<Trial<C>>],
        running: &'a [Arc<Proposal<C>>],
    ) -> Self {
        Self { objectives, finished, running }
    }

    /// Returns the objectives.
    #[must_use]
    pub const fn objectives(&self) -> &'a [Objective] {
        self.objectives
    }

    /// Returns the trials whose results are visible, by number, without gaps.
    #[must_use]
    pub const fn finished(&self) -> &'a [Arc<Trial<C>>] {
        self.finished
    }

    /// Returns the proposals between the visible trials and the present one. Their results are hidden even if
    /// known.
    #[must_use]
    pub const fn running(&self) -> &'a [Arc<Proposal<C>>] {
        self.running
    }

    /// Returns all candidates proposed so far.
    pub fn candidates(&self) -> impl Iterator<Item = &'a C> + use<'a, C> {
        let finished = self.finished.iter().map(|t| t.candidate());
        finished.chain(self.running.iter().map(|p| &p.candidate))
    }

    /// Returns the finished trial with this number.
    #[must_use]
    pub fn trial(&self, number: u64) -> Option<&'a Arc<Trial<C>>> {
        usize::try_from(number).ok().and_then(|i| self.finished.get(i))
    }

    /// Returns a trial's objectives, negated if maximized, so that smaller is better.
    #[must_use]
    pub fn losses(&self, trial: &Trial<C>) -> Option<Vec<f64>> {
        losses(self.objectives, trial)
    }

    /// Returns the trials with values from best to worst: feasible before infeasible, by smaller violation,
    /// by Pareto front, by crowding distance, by number.
    #[must_use]
    pub fn ranking(&self) -> Vec<&'a Arc<Trial<C>>> {
        ranking(self.objectives, self.finished)
    }
}

pub(crate) fn losses<C>(objectives: &[Objective], trial: &Trial<C>) -> Option<Vec<f64>> {
    let values = trial.values.as_ref()?;
    Some(objectives.iter().zip(values).map(|(o, &v)| o.direction.loss(v)).collect())
}

pub(crate) fn ranking<'a, C>(
    objectives: &[Objective],
    trials: &'a [Arc<Trial<C>>],
) -> Vec<&'a Arc<Trial<C>>> {
    let usable: Vec<(&Arc<Trial<C>>, Vec<f64>)> =
        trials.iter().filter_map(|t| Some((t, losses(objectives, t)?))).collect();
    let points: Vec<Vec<f64>> = usable.iter().map(|(_, losses)| losses.clone()).collect();
    let violations: Vec<f64> = usable.iter().map(|(t, _)| t.violation()).collect();
    pareto::ranking(&points, &violations).into_iter().map(|i| usable[i].0).collect()
}
