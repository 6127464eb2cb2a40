//! Workers of a run. One lock guards their shared state; evaluations run outside it.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tinsmith_foundation::{Grant, clock};

use super::{Check, Ended, Recorder, Runner, Study, record};
use crate::config::{Direction, StudyConfig};
use crate::error::{Result, StudyError};
use crate::evaluate::{Artifact, Decision, EvaluateError, Report, Request, Scores};
use crate::parameter::Parameter;
use crate::proposer::{Step, propose_error};
use crate::trial::{History, Proposal, Trial, TrialState, TrialTimes};

/// Interval at which a waiting worker checks for cancellation.
const PATIENCE: Duration = Duration::from_millis(50);

struct Shared<'s, C> {
    trials: &'s mut Vec<Arc<Trial<C>>>,
    ahead: &'s mut BTreeMap<u64, Arc<Trial<C>>>,
    recorder: Option<&'s mut Recorder>,
    /// Proposal of each trial, for all trials proposed so far.
    proposals: Vec<Arc<Proposal<C>>>,
    /// The next trial's proposer waits for all earlier trials.
    is_waiting: bool,
    ended: Option<Ended>,
    fault: Option<StudyError>,
}

impl<C> Shared<'_, C> {
    const fn is_over(&self) -> bool {
        self.ended.is_some() || self.fault.is_some()
    }

    /// Records the first fault; later ones are consequences.
    fn fail(&mut self, fault: StudyError) {
        self.fault.get_or_insert(fault);
    }
}

/// A trial taken by a worker.
struct Job<C> {
    number: u64,
    proposal: Arc<Proposal<C>>,
    /// Trials that its proposal was made from.
    view: Vec<Arc<Trial<C>>>,
    resume: Option<Artifact>,
    inherit: Option<Artifact>,
}

struct Run<'r, 's, C> {
    config: &'r StudyConfig,
    runner: &'r Runner<'r, C>,
    shared: Mutex<Shared<'s, C>>,
    changed: Condvar,
    begun: Instant,
    elapsed_before_s: f64,
}

pub(super) fn run<C>(study: &mut Study<C>, runner: &Runner<'_, C>) -> Result<Ended>
where
    C: Serialize + DeserializeOwned + Clone + Send + Sync,
{
    let config = study.config.clone();
    // Held until the run ends. Trials recorded by other processes since the study was opened are read first.
    let _lock = match study.journal.clone() {
        Some(path) => {
            let lock = record::lock(&path)?;
            study.read(&path)?;
            Some(lock)
        }
        None => None,
    };
    if study.trials.len() as u64 >= config.trials {
        return Ok(Ended::Complete);
    }
    if let (Some(then), Some(now)) = (study.ended_by_limit_s, config.time_limit_s)
        && now <= then
    {
        return Ok(Ended::TimeLimit);
    }
    let done = study.trials.len();
    runner.progress.begin(&config.name, Some(config.trials));
    if done > 0 {
        runner.progress.step(&config.name, done as u64, "from the journal");
    }
    let run = Run {
        config: &config,
        runner,
        shared: Mutex::new(Shared {
            proposals: Vec::new(),
            trials: &mut study.trials,
            ahead: &mut study.ahead,
            recorder: study.recorder.as_mut(),
            is_waiting: false,
            ended: None,
            fault: None,
        }),
        changed: Condvar::new(),
        begun: Instant::now(),
        elapsed_before_s: study.elapsed_s,
    };
    let mut shared = run.lock();
    run.absorb(&mut shared)?;
    shared.proposals = shared.trials.iter().map(|t| Arc::clone(&t.proposal)).collect();
    drop(shared);
    let jobs = runner.jobs.clamp(1, usize::try_from(config.window).unwrap_or(usize::MAX).max(1));
    runner.scope.run(jobs, |grant| run.work(grant));
    let elapsed_s = run.elapsed_s();
    let mut shared = run.shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    let fault = shared.fault.take();
    let ended = shared.ended.unwrap_or(Ended::Complete);
    let count = shared.trials.len() as u64;
    if shared.ahead.is_empty()
        && let Some(recorder) = shared.recorder.as_mut()
    {
        recorder.tidy()?;
        if let (Ended::TimeLimit, Some(limit), None) = (ended, config.time_limit_s, &fault) {
            recorder.note_limit(limit, count)?;
        }
    }
    study.elapsed_s = elapsed_s;
    if let Some(fault) = fault {
        return Err(fault);
    }
    if ended == Ended::TimeLimit {
        study.ended_by_limit_s = config.time_limit_s;
    }
    runner.progress.end(&config.name, format!("{count} trials"));
    Ok(ended)
}

impl<'s, C: Serialize + DeserializeOwned + Clone + Send + Sync> Run<'_, 's, C> {
    fn elapsed_s(&self) -> f64 {
        self.elapsed_before_s + self.begun.elapsed().as_secs_f64()
    }

    fn lock(&self) -> MutexGuard<'_, Shared<'s, C>> {
        // A poisoned lock means that a worker panicked; the panic reaches the caller when the workers are
        // joined.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, grant: Grant) {
        let mut alarm = Alarm { run: self, is_armed: true };
        while let Some(job) = self.take() {
            let outcome = self.try_out(&job, grant);
            let mut shared = self.lock();
            match outcome {
                Ok(Some(trial)) => {
                    if let Err(fault) = self.record(&mut shared, trial) {
                        shared.fail(fault);
                    }
                }
                Ok(None) => {
                    shared.ended.get_or_insert(Ended::Cancelled);
                }
                Err(fault) => shared.fail(fault),
            }
            drop(shared);
            self.changed.notify_all();
        }
        alarm.is_armed = false;
    }

    /// Takes the next trial to run; `None` if the run is over. Waits while the window does not allow one.
    fn take(&self) -> Option<Job<C>> {
        let mut shared = self.lock();
        loop {
            if self.runner.cancel.is_cancelled() {
                shared.ended.get_or_insert(Ended::Cancelled);
            }
            if shared.is_over() {
                return None;
            }
            let number = shared.proposals.len() as u64;
            if number >= self.config.trials {
                return None;
            }
            // Finished before an interruption, and possibly recorded since.
            let recorded = usize::try_from(number).ok().and_then(|i| shared.trials.get(i));
            if let Some(trial) = recorded.or_else(|| shared.ahead.get(&number)) {
                let proposal = Arc::clone(&trial.proposal);
                shared.proposals.push(proposal);
                continue;
            }
            // A gap before finished trials is filled first, so that these can be recorded.
            let is_gap = shared.ahead.last_key_value().is_some_and(|(&last, _)| last > number);
            if !is_gap && self.config.time_limit_s.is_some_and(|limit| self.elapsed_s() >= limit) {
                shared.ended = Some(Ended::TimeLimit);
                continue;
            }
            let seen =
                if shared.is_waiting { number } else { (number + 1).saturating_sub(self.config.window) };
            if (shared.trials.len() as u64) < seen {
                let (guard, _) =
                    self.changed.wait_timeout(shared, PATIENCE).unwrap_or_else(PoisonError::into_inner);
                shared = guard;
                continue;
            }
            match self.propose(&mut shared, number, seen as usize) {
                Ok(Some(job)) => {
                    shared.is_waiting = false;
                    drop(shared);
                    self.changed.notify_all();
                    return Some(job);
                }
                Ok(None) => {}
                Err(fault) => shared.fail(fault),
            }
        }
    }

    /// Queries the proposer. Returns `None` if it waits or is done, and records this in `shared`.
    fn propose(&self, shared: &mut Shared<'_, C>, number: u64, seen: usize) -> Result<Option<Job<C>>> {
        let history =
            History::new(&self.config.objectives, &shared.trials[..seen], &shared.proposals[seen..]);
        let mut rng = tinsmith_foundation::Seed::new(self.config.seed).derive("propose", number).rng();
        let proposal = match self.runner.proposer.propose(&history, number, &mut rng)? {
            Step::Try(proposal) => proposal,
            Step::Wait if seen as u64 == number => {
                return Err(propose_error(number, "it waits although every earlier trial is finished"));
            }
            Step::Wait => {
                shared.is_waiting = true;
                return Ok(None);
            }
            Step::Done => {
                shared.ended = Some(Ended::Exhausted);
                return Ok(None);
            }
        };
        let artifact = |parent: Option<u64>| {
            let Some(parent) = parent else { return Ok(None) };
            let trial = history.trial(parent).ok_or_else(|| {
                let reason = format!("it builds on trial {parent}, want one of the {seen} that it may see");
                propose_error(number, reason)
            })?;
            Ok::<_, StudyError>(trial.artifact.clone())
        };
        let (resume, inherit) = (artifact(proposal.resume)?, artifact(proposal.inherit)?);
        // A resumed study sees candidates as read back from the journal, so the first run must see the same.
        let fault = |e: serde_json::Error| StudyError::Candidate { trial: number, reason: e.to_string() };
        let text = serde_json::to_string(&proposal).map_err(fault)?;
        let proposal: Arc<Proposal<C>> = Arc::new(serde_json::from_str(&text).map_err(fault)?);
        let view = shared.trials[..seen].to_vec();
        shared.proposals.push(Arc::clone(&proposal));
        Ok(Some(Job { number, proposal, view, resume, inherit }))
    }

    /// Checks and evaluates a trial; `None` if it was cancelled.
    fn try_out(&self, job: &Job<C>, grant: Grant) -> Result<Option<Trial<C>>> {
        let start = clock::now();
        let check = self.runner.check.map(|check| check(&job.proposal.candidate)).unwrap_or_default();
        let mut trial = Trial {
            number: job.number,
            proposal: Arc::clone(&job.proposal),
            state: TrialState::Refused,
            values: None,
            constraints: self.constraints(&check, &Scores::new()),
            scores: finite(check.measures.clone()),
            reports: BTreeMap::new(),
            artifact: None,
            reason: self.refusal(&check),
            times: TrialTimes { start, ..TrialTimes::default() },
        };
        if trial.reason.is_none() && !self.evaluate(job, grant, &check, &mut trial)? {
            return Ok(None);
        }
        trial.times.complete = clock::now();
        trial.times.elapsed_s = self.elapsed_s();
        Ok(Some(trial))
    }

    /// Completes a trial with the evaluation's outcome; false if it was cancelled.
    fn evaluate(&self, job: &Job<C>, grant: Grant, check: &Check, trial: &mut Trial<C>) -> Result<bool> {
        let score = self.config.reported_score();
        let direction = (self.config.objectives.iter().find(|o| o.name == score))
            .or(self.config.objectives.first())
            .map_or(Direction::Minimize, |o| o.direction);
        let history = History::new(&self.config.objectives, &job.view, &[]);
        let mut reports = BTreeMap::new();
        let mut is_stopped = false;
        let mut report = |report: Report| {
            if let Some(&value) = report.scores.get(score).filter(|v| v.is_finite()) {
                reports.insert(report.step, value);
            }
            let pruner = self.runner.pruner.filter(|_| !reports.is_empty());
            let decision = pruner.map_or(Decision::Continue, |p| p.decide(&history, direction, &reports));
            is_stopped |= decision == Decision::Stop;
            if is_stopped { Decision::Stop } else { Decision::Continue }
        };
        let request = Request {
            candidate: &job.proposal.candidate,
            trial: job.number,
            budget: job.proposal.budget.unwrap_or(self.config.budget),
            seed: tinsmith_foundation::Seed::new(self.config.seed).derive("trial", job.number),
            grant,
            resume: job.resume.as_ref(),
            inherit: job.inherit.as_ref(),
            cancel: &self.runner.cancel,
        };
        let outcome = self.runner.evaluate.evaluate(request, &mut report);
        trial.reports = reports;
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(EvaluateError::Cancelled) => return Ok(false),
            Err(EvaluateError::Failed { reason }) => {
                trial.state = TrialState::Failed;
                trial.reason = Some(reason);
                return Ok(true);
            }
            Err(EvaluateError::Broken { source }) => {
                return Err(StudyError::Broken { trial: job.number, source });
            }
        };
        trial.constraints = self.constraints(check, &outcome.scores);
        trial.scores.extend(finite(outcome.scores));
        trial.artifact = outcome.artifact;
        let value = |name: &str| trial.scores.get(name).copied().ok_or_else(|| name.to_owned());
        match self.config.objectives.iter().map(|o| value(&o.name)).collect() {
            Ok(values) => {
                trial.values = Some(values);
                trial.state = if is_stopped { TrialState::Pruned } else { TrialState::Complete };
            }
            Err(name) => {
                trial.state = TrialState::Failed;
                trial.reason = Some(format!("the evaluation gave no finite score `{name}`"));
            }
        }
        Ok(true)
    }

    /// Returns the constraints in order; empty if one is not known.
    fn constraints(&self, check: &Check, scores: &Scores) -> Vec<f64> {
        let value = |name: &String| {
            let value = check.constraints.get(name).or_else(|| scores.get(name)).copied()?;
            // JSON has no infinities, and NaN satisfies nothing.
            Some(if value.is_nan() { f64::MAX } else { value.clamp(f64::MIN, f64::MAX) })
        };
        self.config.constraints.iter().map(value).collect::<Option<Vec<f64>>>().unwrap_or_default()
    }

    /// Returns the reason to refuse an evaluation, if any.
    fn refusal(&self, check: &Check) -> Option<String> {
        if check.refused.is_some() || self.config.evaluate_infeasible {
            return check.refused.clone();
        }
        let violated = self.config.constraints.iter().filter_map(|name| {
            let value = *check.constraints.get(name)?;
            (value.is_nan() || value > 0.0).then(|| format!("`{name}` is violated by {value}"))
        });
        let reasons: Vec<String> = violated.collect();
        (!reasons.is_empty()).then(|| reasons.join(", "))
    }

    fn describe(&self, trial: &Trial<C>) -> Vec<Parameter> {
        self.runner.describe.map(|describe| describe(trial.candidate())).unwrap_or_default()
    }

    /// Records the trials whose turn has come.
    fn absorb(&self, shared: &mut Shared<'_, C>) -> Result<()> {
        let mut turn = Vec::new();
        while let Some(next) = shared.ahead.remove(&((shared.trials.len() + turn.len()) as u64)) {
            let parameters = self.describe(&next);
            turn.push((next, parameters));
        }
        if let Some(recorder) = shared.recorder.as_mut() {
            recorder.append(&turn)?;
        }
        shared.trials.extend(turn.into_iter().map(|(trial, _)| trial));
        Ok(())
    }

    fn record(&self, shared: &mut Shared<'_, C>, trial: Trial<C>) -> Result<()> {
        let trial = Arc::new(trial);
        let note = summary(self.config, &trial);
        if trial.number == shared.trials.len() as u64 {
            shared.ahead.insert(trial.number, trial);
            self.absorb(shared)?;
        } else {
            if let Some(recorder) = shared.recorder.as_mut() {
                recorder.keep(&trial, &self.describe(&trial))?;
            }
            shared.ahead.insert(trial.number, trial);
        }
        let done = (shared.trials.len() + shared.ahead.len()) as u64;
        self.runner.progress.step(&self.config.name, done, note);
        Ok(())
    }
}

/// Ends the run if a worker panics; the others would otherwise wait for its trial forever.
struct Alarm<'a, 'r, 's, C> {
    run: &'a Run<'r, 's, C>,
    is_armed: bool,
}

impl<C> Drop for Alarm<'_, '_, '_, C> {
    fn drop(&mut self) {
        if self.is_armed {
            let mut shared = self.run.shared.lock().unwrap_or_else(PoisonError::into_inner);
            shared.ended.get_or_insert(Ended::Cancelled);
            drop(shared);
            self.run.changed.notify_all();
        }
    }
}

fn finite(scores: Scores) -> Scores {
    scores.into_iter().filter(|(_, v)| v.is_finite()).collect()
}

/// Summarizes a trial in one line.
fn summary<C>(config: &StudyConfig, trial: &Trial<C>) -> String {
    let values = config.objectives.iter().zip(trial.values.iter().flatten());
    let values: Vec<String> = values.map(|(o, v)| format!("{} {v:.4}", o.name)).collect();
    match (&trial.reason, trial.state) {
        (Some(reason), TrialState::Refused) => format!("trial {} refused: {reason}", trial.number),
        (Some(reason), _) => format!("trial {} failed: {reason}", trial.number),
        (None, TrialState::Pruned) => format!("trial {} pruned: {}", trial.number, values.join(", ")),
        (None, _) => format!("trial {}: {}", trial.number, values.join(", ")),
    }
}
