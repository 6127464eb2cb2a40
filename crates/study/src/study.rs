//! Study: queries a proposer, checks and evaluates candidates side by side, and records trials.

mod record;
mod run;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tinsmith_foundation::{CancelToken, Progress, Seed, Silent, WorkerScope};

use self::record::{Recorder, Recovered};
use crate::config::StudyConfig;
use crate::error::{Result, StudyError};
use crate::evaluate::{Evaluate, Scores};
use crate::parameter::Parameter;
use crate::pareto;
use crate::proposer::Proposer;
use crate::pruner::Pruner;
use crate::trial::{self, Trial};

/// Facts known about a candidate before its evaluation.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Check {
    /// Constraints by name, <= 0 if satisfied. A constraint of the study that is missing here is looked up
    /// among the scores after the evaluation.
    pub constraints: BTreeMap<String, f64>,
    /// Scores that need no evaluation, for example `flash_bytes`; objectives may be among them.
    pub measures: Scores,
    /// Reason to refuse an evaluation, if any.
    pub refused: Option<String>,
}

/// Strategy and resources of a study's run.
///
/// Build it by struct update: `Runner { jobs: 2, ..Runner::new(&proposer, &evaluate) }`.
pub struct Runner<'a, C> {
    /// Proposes candidates.
    pub proposer: &'a dyn Proposer<C>,
    /// Evaluates candidates.
    pub evaluate: &'a dyn Evaluate<C>,
    /// Checks a candidate before its evaluation; must depend on the candidate alone.
    pub check: Option<&'a CheckFn<'a, C>>,
    /// Describes a candidate by parameters, for other tools; see [`crate::Space::describe`].
    pub describe: Option<&'a DescribeFn<'a, C>>,
    /// Ends trials early.
    pub pruner: Option<&'a dyn Pruner<C>>,
    /// Cores to use. Default: one.
    pub scope: WorkerScope,
    /// Number of trials that run side by side, at most the scope's cores and the study's window. Default: 1.
    pub jobs: usize,
    /// Receives progress events. Default: ignored.
    pub progress: &'a dyn Progress,
    /// Requests an end; running trials are recorded only if they finish. Default: never.
    pub cancel: CancelToken,
}

/// Function that checks a candidate before its evaluation.
pub type CheckFn<'a, C> = dyn Fn(&C) -> Check + Sync + 'a;

/// Function that describes a candidate by parameters.
pub type DescribeFn<'a, C> = dyn Fn(&C) -> Vec<Parameter> + Sync + 'a;

impl<'a, C> Runner<'a, C> {
    /// Creates a run with one worker and without progress events.
    pub fn new(proposer: &'a dyn Proposer<C>, evaluate: &'a dyn Evaluate<C>) -> Self {
        Self {
            proposer,
            evaluate,
            check: None,
            describe: None,
            pruner: None,
            scope: WorkerScope::new(1),
            jobs: 1,
            progress: &Silent,
            cancel: CancelToken::new(),
        }
    }
}

impl<C> std::fmt::Debug for Runner<'_, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").field("jobs", &self.jobs).field("scope", &self.scope).finish_non_exhaustive()
    }
}

/// Reason for the end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// All trials are done.
    Complete,
    /// The proposer had nothing left.
    Exhausted,
    /// The time limit was reached.
    TimeLimit,
    /// The run was cancelled.
    Cancelled,
}

/// A search: its configuration and its finished trials, in memory or backed by a journal.
#[derive(Debug)]
pub struct Study<C> {
    config: StudyConfig,
    trials: Vec<Arc<Trial<C>>>,
    /// Finished trials beyond a gap, which only an interrupted run leaves.
    ahead: BTreeMap<u64, Arc<Trial<C>>>,
    journal: Option<PathBuf>,
    recorder: Option<Recorder>,
    ended_by_limit_s: Option<f64>,
    elapsed_s: f64,
}

impl<C> Study<C> {
    /// Creates a study in memory.
    ///
    /// # Errors
    /// [`crate::StudyError::Config`] if the configuration is invalid.
    pub fn new(config: StudyConfig) -> Result<Self> {
        config.validate()?;
        Ok(Self {
            config,
            trials: Vec::new(),
            ahead: BTreeMap::new(),
            journal: None,
            recorder: None,
            ended_by_limit_s: None,
            elapsed_s: 0.0,
        })
    }

    /// Returns the configuration.
    #[must_use]
    pub const fn config(&self) -> &StudyConfig {
        &self.config
    }

    /// Returns the seed from which everything random in the study derives.
    #[must_use]
    pub const fn seed(&self) -> Seed {
        Seed::new(self.config.seed)
    }

    /// Returns the finished trials by number, without gaps.
    #[must_use]
    pub fn trials(&self) -> &[Arc<Trial<C>>] {
        &self.trials
    }

    /// Returns the best feasible, complete trial: with one objective the first with the best value, with
    /// several the first of the Pareto front by crowding distance.
    #[must_use]
    pub fn best(&self) -> Option<&Arc<Trial<C>>> {
        let ranking = trial::ranking(&self.config.objectives, &self.trials);
        ranking.into_iter().find(|t| t.is_feasible() && t.state == crate::TrialState::Complete)
    }

    /// Returns the feasible, complete trials that no other of them dominates, by number.
    #[must_use]
    pub fn pareto_front(&self) -> Vec<&Arc<Trial<C>>> {
        let usable: Vec<(&Arc<Trial<C>>, Vec<f64>)> = self
            .trials
            .iter()
            .filter(|t| t.is_feasible() && t.state == crate::TrialState::Complete)
            .filter_map(|t| Some((t, trial::losses(&self.config.objectives, t)?)))
            .collect();
        let points: Vec<Vec<f64>> = usable.iter().map(|(_, losses)| losses.clone()).collect();
        let first = pareto::fronts(&points).into_iter().next().unwrap_or_default();
        first.into_iter().map(|i| usable[i].0).collect()
    }
}

impl<C: Serialize + DeserializeOwned + Clone + Send + Sync> Study<C> {
    /// Opens a study whose trials are written to the journal at `path`, one line and one sync each. Recorded
    /// trials are kept; [`run`](Self::run) adds the missing ones. A torn last line is cut off.
    ///
    /// Other studies in the same file are left alone, and other programs may add attributes (Optuna
    /// Dashboard's notes) meanwhile.
    ///
    /// # Errors
    /// [`crate::StudyError::Config`] if the configuration is invalid, [`crate::StudyError::Foreign`] if the
    /// journal's study of this name has other objectives, constraints, seed or window or trials of another
    /// program, [`crate::StudyError::Journal`] if the file is not a journal or has lost or repeated a trial,
    /// [`crate::StudyError::File`] if it cannot be read or written.
    pub fn open(config: StudyConfig, path: &Path) -> Result<Self> {
        let mut study = Self::new(config)?;
        study.journal = Some(path.to_owned());
        match record::lock(path) {
            Ok(_lock) => study.read(path)?,
            // Another run holds the lock, so a torn line may still be in the middle of being written.
            Err(StudyError::Busy { .. }) => {
                let recovered = record::look(&study.config, path)?;
                study.take(recovered);
            }
            Err(fault) => return Err(fault),
        }
        Ok(study)
    }

    /// Reads the journal again, cuts off a torn line and prepares for appending. The caller holds the lock.
    fn read(&mut self, path: &Path) -> Result<()> {
        let (recorder, recovered) = Recorder::open(&self.config, path)?;
        self.recorder = Some(recorder);
        self.take(recovered);
        Ok(())
    }

    fn take(&mut self, recovered: Recovered<C>) {
        self.trials = recovered.trials;
        self.ahead = recovered.ahead;
        self.ended_by_limit_s = recovered.ended_by_limit_s;
        let all = self.trials.iter().chain(self.ahead.values());
        self.elapsed_s = all.map(|t| t.times.elapsed_s).fold(self.elapsed_s, f64::max);
    }

    /// Runs the missing trials and returns the reason for the end.
    ///
    /// Trial k is proposed once trials 0 to k - window are finished, from these alone. Its seed is
    /// `study.derive("trial", k)`, the proposer's `study.derive("propose", k)`. The same study therefore has
    /// the same trials for any number of jobs, interrupted or not.
    ///
    /// # Errors
    /// [`crate::StudyError::Propose`], [`crate::StudyError::Broken`], [`crate::StudyError::Candidate`] and
    /// [`crate::StudyError::File`]; trials finished by then are recorded. [`crate::StudyError::Busy`] if
    /// another run writes to the journal. Errors of [`open`](Self::open), because the journal is read again.
    pub fn run(&mut self, runner: &Runner<'_, C>) -> Result<Ended> {
        run::run(self, runner)
    }
}
