//! Trials, and what a proposer may see of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::config::Objective;
use crate::evaluate::{Artifact, Budget, Scores};
use crate::pareto;

/// What is to be tried, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proposal<C> {
    /// The candidate.
    pub candidate: C,
    /// How much its evaluation may spend; None: as the study says.
    pub budget: Option<Budget>,
    /// A finished trial of the same candidate whose artifact the evaluation goes on from. The budget counts from
    /// the beginning: what that trial spent is part of it.
    pub resume: Option<u64>,
    /// A finished trial whose artifact (weights) the evaluation begins with.
    pub inherit: Option<u64>,
    /// What the proposer wants to remember, stored with the trial.
    pub attributes: BTreeMap<String, serde_json::Value>,
}

impl<C> Proposal<C> {
    /// Just a candidate.
    pub const fn new(candidate: C) -> Self {
        Self { candidate, budget: None, resume: None, inherit: None, attributes: BTreeMap::new() }
    }
}

/// How a trial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialState {
    /// Evaluated in full.
    Complete,
    /// Stopped by the pruner; its values are those reported last.
    Pruned,
    /// The candidate could not be evaluated, or an objective is missing or not finite.
    Failed,
    /// Never evaluated: the check refused it or found a constraint violated.
    Refused,
}

/// A finished trial.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial<C> {
    /// Its number, from 0, in the order of proposal.
    pub number: u64,
    /// What was tried, and how.
    pub proposal: Arc<Proposal<C>>,
    /// How it ended.
    pub state: TrialState,
    /// The objectives in the study's order; None where it failed or was refused.
    pub values: Option<Vec<f64>>,
    /// The constraints in the study's order, <= 0 where feasible; empty where they are not known.
    pub constraints: Vec<f64>,
    /// All finite scores: what the check measured and what the evaluation returned.
    pub scores: Scores,
    /// The reported score by step.
    pub reports: BTreeMap<u64, f64>,
    /// What the evaluation left behind.
    pub artifact: Option<Artifact>,
    /// Why it failed or was refused.
    pub reason: Option<String>,
    /// When it began and ended; outside the promise of equal results.
    pub times: TrialTimes,
}

/// When a trial began and ended.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TrialTimes {
    /// ISO 8601 in UTC, to the microsecond.
    pub start: String,
    /// ISO 8601 in UTC, to the microsecond.
    pub complete: String,
    /// Seconds of running that the study had behind it when the trial ended, over all attempts.
    pub elapsed_s: f64,
}

impl<C> Trial<C> {
    /// The candidate.
    #[must_use]
    pub fn candidate(&self) -> &C {
        &self.proposal.candidate
    }

    /// The sum of violated constraints; 0 where feasible or not known.
    #[must_use]
    pub fn violation(&self) -> f64 {
        // Not `sum()`, whose empty sum is -0.0.
        self.constraints.iter().fold(0.0_f64, |sum, c| sum + c.max(0.0)).min(f64::MAX)
    }

    /// Whether it has values and violates nothing.
    #[must_use]
    pub fn is_feasible(&self) -> bool {
        self.values.is_some() && self.violation() <= 0.0
    }

    /// Whether `other` is the same in everything but the times: what the same seed promises.
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

/// What a proposer and a pruner may see: the trials that the window lets them, never more.
#[derive(Debug, Clone, Copy)]
pub struct History<'a, C> {
    objectives: &'a [Objective],
    finished: &'a [Arc<Trial<C>>],
    running: &'a [Arc<Proposal<C>>],
}

impl<'a, C> History<'a, C> {
    /// A history; for tests of proposers. `running` are the proposals that follow the finished trials.
    #[must_use]
    pub const fn new(
        objectives: &'a [Objective],
        finished: &'a [Arc<Trial<C>>],
        running: &'a [Arc<Proposal<C>>],
    ) -> Self {
        Self { objectives, finished, running }
    }

    /// What the study makes small or large.
    #[must_use]
    pub const fn objectives(&self) -> &'a [Objective] {
        self.objectives
    }

    /// The trials whose results may be used, by number, without gaps.
    #[must_use]
    pub const fn finished(&self) -> &'a [Arc<Trial<C>>] {
        self.finished
    }

    /// What was proposed after them and before the present trial. Their results are not to be known, even where
    /// they are there.
    #[must_use]
    pub const fn running(&self) -> &'a [Arc<Proposal<C>>] {
        self.running
    }

    /// All candidates proposed so far.
    pub fn candidates(&self) -> impl Iterator<Item = &'a C> + use<'a, C> {
        let finished = self.finished.iter().map(|t| t.candidate());
        finished.chain(self.running.iter().map(|p| &p.candidate))
    }

    /// The finished trial of this number.
    #[must_use]
    pub fn trial(&self, number: u64) -> Option<&'a Arc<Trial<C>>> {
        usize::try_from(number).ok().and_then(|i| self.finished.get(i))
    }

    /// A trial's objectives turned so that less is better.
    #[must_use]
    pub fn losses(&self, trial: &Trial<C>) -> Option<Vec<f64>> {
        losses(self.objectives, trial)
    }

    /// The trials with values, from best to worst: feasible before infeasible, by smaller violation, by Pareto
    /// front, by crowding distance, by number.
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
