//! State of every run, determined from results first, then from attempts, then from Slurm.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::attempt::{Found, RunFolder};
use crate::error::Result;
use crate::index;
use crate::outcome::{Cause, Outcome};
use crate::plan::Plan;
use crate::project::Project;
use crate::slurm::query::{self, Phase, TaskState, Tasks};
use crate::submission::{JobLine, Submission, newest_task_of};

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not begun, or interrupted and waiting to resume.
    Pending,
    /// In progress.
    Running,
    /// Done: it has a result.
    Done,
    /// Ended without a result.
    Failed(Cause),
    /// Expected to be in progress, but without a heartbeat.
    Stalled,
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pending => f.write_str("pending"),
            Self::Running => f.write_str("running"),
            Self::Done => f.write_str("done"),
            Self::Failed(cause) => write!(f, "failed ({cause})"),
            Self::Stalled => f.write_str("stalled"),
        }
    }
}

/// State of a run, with its explanation.
#[derive(Debug, Clone, PartialEq)]
pub struct RunState {
    /// Index of the run.
    pub index: u64,
    /// Its state.
    pub state: State,
    /// Slurm's name of the job: `17_4`.
    pub job: Option<String>,
    /// Node of the latest attempt.
    pub node: String,
    /// Log file of its job.
    pub log: Option<PathBuf>,
    /// Explanation of the state.
    pub reason: String,
    /// Submitted to Slurm, and not yet ended there.
    pub submitted: bool,
    /// Result, if any.
    pub outcome: Option<Outcome>,
}

/// The state of a project.
#[derive(Debug, Clone)]
pub struct Status {
    /// Runs, by index.
    pub runs: Vec<RunState>,
    /// Remarks on how the states were determined.
    pub notes: Vec<String>,
}

impl Status {
    /// Returns the number of runs in each state.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<State, u64> {
        let mut counts = BTreeMap::new();
        for run in &self.runs {
            *counts.entry(run.state).or_insert(0) += 1;
        }
        counts
    }

    /// Determines the state of a project.
    ///
    /// # Errors
    /// [`crate::FleetError`] if a file of the project cannot be read. A Slurm controller that does not answer
    /// is not an error: it is a note.
    pub fn of(project: &Project, plan: &Plan) -> Result<Self> {
        let layout = project.layout();
        let total = plan.runs.len() as u64;
        let outcomes = index::outcomes(layout, total)?;
        let open: Vec<u64> = (0..).zip(&outcomes).filter(|(_, o)| o.is_none()).map(|(i, _)| i).collect();
        let mut view =
            View { project, submissions: Submission::load_all(layout, total)?, ..View::empty(project) };
        view.ask(&open, total)?;
        let mut runs = Vec::with_capacity(outcomes.len());
        for (index, outcome) in (0..).zip(outcomes) {
            runs.push(match outcome {
                Some(outcome) => done(project, index, outcome),
                None => view.explain(index)?,
            });
        }
        Ok(Self { runs, notes: view.notes })
    }
}

fn done(project: &Project, index: u64, outcome: Outcome) -> RunState {
    RunState {
        index,
        state: State::Done,
        job: outcome.job.clone(),
        node: outcome.node.clone(),
        log: outcome.job.as_ref().map(|job| log(project, job)),
        reason: String::new(),
        submitted: false,
        outcome: Some(outcome),
    }
}

/// State of a run that its task returned, begun or not.
fn given_back(state: RunState) -> RunState {
    let reason = "its task came close to its time limit; submit again".to_owned();
    RunState { state: State::Pending, reason, submitted: false, ..state }
}

/// Path of a job's log.
fn log(project: &Project, job: &str) -> PathBuf {
    project.layout().logs().join(format!("{job}.log"))
}

/// Evidence that explains runs without results.
struct View<'a> {
    project: &'a Project,
    submissions: Vec<Submission>,
    jobs: Vec<Vec<JobLine>>,
    cancelled: Vec<BTreeSet<u64>>,
    returned: Vec<BTreeSet<u64>>,
    task_of: BTreeMap<u64, (usize, u64)>,
    tasks: Tasks,
    accounted: BTreeMap<String, TaskState>,
    is_answering: bool,
    notes: Vec<String>,
}

impl<'a> View<'a> {
    fn empty(project: &'a Project) -> Self {
        Self {
            project,
            submissions: Vec::new(),
            jobs: Vec::new(),
            cancelled: Vec::new(),
            returned: Vec::new(),
            task_of: BTreeMap::new(),
            tasks: Tasks::new(),
            accounted: BTreeMap::new(),
            is_answering: true,
            notes: Vec::new(),
        }
    }

    /// Queries Slurm once for all open runs, and its accounting once for the jobs that it has forgotten.
    fn ask(&mut self, open: &[u64], total: u64) -> Result<()> {
        let layout = self.project.layout();
        for submission in &self.submissions {
            self.jobs.push(submission.jobs(layout)?);
            self.cancelled.push(submission.cancelled(layout, total)?);
            self.returned.push(submission.returned(layout, total)?);
        }
        let all = newest_task_of(&self.submissions);
        self.task_of = open.iter().filter_map(|run| Some((*run, *all.get(run)?))).collect();
        let places: BTreeSet<usize> = self.task_of.values().map(|(place, _)| *place).collect();
        let names: Vec<String> = places.iter().map(|&p| self.submissions[p].name.clone()).collect();
        match query::squeue(&names, layout.root()) {
            Ok(tasks) => self.tasks = tasks,
            Err(reason) => {
                self.is_answering = false;
                self.notes.push(format!(
                    "Slurm does not answer ({reason}); states are those of the runs' own files"
                ));
                return Ok(());
            }
        }
        let forgotten: BTreeSet<String> = self
            .task_of
            .values()
            .filter(|(place, task)| !self.tasks.contains_key(&(self.submissions[*place].name.clone(), *task)))
            .filter_map(|&(place, task)| Some(self.array_of(place, task)?.job.clone()))
            .collect();
        self.accounted = query::sacct(&forgotten.into_iter().collect::<Vec<_>>(), layout.root());
        Ok(())
    }

    /// Returns the accepted array that contains a task, if any.
    fn array_of(&self, place: usize, task: u64) -> Option<&JobLine> {
        self.jobs[place].iter().find(|j| (j.offset..j.offset + j.tasks).contains(&task))
    }

    fn explain(&self, index: u64) -> Result<RunState> {
        let folder = RunFolder(self.project.layout().run(index));
        let newest = folder.newest()?;
        let mut state = self.explain_open(index, newest.as_ref());
        // The result may have been published between reading the results and querying Slurm.
        if matches!(state.state, State::Failed(_) | State::Pending)
            && newest.is_some()
            && let Some(outcome) = folder.outcome(index)?
        {
            state = done(self.project, index, outcome);
        }
        Ok(state)
    }

    fn explain_open(&self, index: u64, newest: Option<&Found>) -> RunState {
        let claim = newest.and_then(|f| f.claim.as_ref());
        let base = RunState {
            index,
            state: State::Pending,
            job: claim.and_then(|c| c.job.clone()),
            node: claim.map(|c| c.node.clone()).unwrap_or_default(),
            log: None,
            reason: "not submitted".to_owned(),
            submitted: false,
            outcome: None,
        };
        let task = self.task_of.get(&index).copied();
        let submission = task.map(|(place, _)| &self.submissions[place]);
        let is_current = claim.is_some_and(|c| c.submission >= submission.map(|s| s.number));
        let by_hand = claim.is_some_and(|c| c.submission.is_none());
        let log = base.job.as_ref().map(|job| self.log(job)).filter(|path| path.is_file());
        if let Some(failure) = newest.and_then(|f| f.failure.as_ref()).filter(|_| is_current || by_hand) {
            let is_newer = submission.is_some_and(|s| by_hand && s.created > failure.failed);
            if !is_newer {
                return RunState {
                    state: State::Failed(failure.cause),
                    reason: failure.reason.clone(),
                    log,
                    ..base
                };
            }
        }
        if let Some(found) = newest.filter(|f| by_hand && f.failure.is_none()) {
            let silence = found.silence().as_secs();
            if found.may_live() {
                return RunState { state: State::Running, reason: "started by hand".to_owned(), ..base };
            }
            if submission.is_none() {
                let gone = claim.is_some_and(|c| c.process.is_gone());
                return if gone {
                    RunState { reason: "interrupted: its process has died".to_owned(), ..base }
                } else {
                    let reason = format!("no heartbeat for {silence} s");
                    RunState { state: State::Stalled, reason, ..base }
                };
            }
        }
        match task {
            None => base,
            Some((place, task)) => self.explain_task(place, task, newest, base),
        }
    }

    fn log(&self, job: &str) -> PathBuf {
        log(self.project, job)
    }

    /// Explains a run that was submitted to Slurm and has neither a result nor a failure.
    fn explain_task(&self, place: usize, task: u64, newest: Option<&Found>, base: RunState) -> RunState {
        let submission = &self.submissions[place];
        let array = self.array_of(place, task);
        let known = array.map(|a| format!("{}_{}", a.job, task - a.offset));
        let queued = self.tasks.get(&(submission.name.clone(), task));
        let found = queued.or_else(|| self.accounted.get(known.as_ref()?));
        let job = found.map(|f| f.job.clone()).or(known);
        let log = job.as_ref().map(|job| self.log(job)).filter(|path| path.is_file());
        let began =
            newest.filter(|f| f.claim.as_ref().is_some_and(|c| c.submission == Some(submission.number)));
        let state = RunState { job, log: log.clone(), ..base };
        let is_cancelled = self.cancelled[place].contains(&state.index);
        let is_returned = self.returned[place].contains(&state.index) && !is_cancelled;
        let Some(found) = found else {
            if !self.is_answering {
                let lives = began.is_some_and(Found::may_live);
                let word = if lives { State::Running } else { State::Pending };
                return RunState {
                    state: word,
                    reason: "Slurm does not answer".to_owned(),
                    submitted: true,
                    ..state
                };
            }
            return match log.as_deref().and_then(query::from_log) {
                _ if is_cancelled => RunState {
                    state: State::Failed(Cause::Cancelled),
                    reason: "cancelled".to_owned(),
                    ..state
                },
                _ if is_returned => given_back(state),
                Some((cause, line)) => RunState { state: State::Failed(cause), reason: line, ..state },
                None if began.is_some() => RunState {
                    state: State::Failed(Cause::Exit),
                    reason: "its job ended without a message".to_owned(),
                    ..state
                },
                None if array.is_none() => {
                    RunState { reason: "the cluster refused it; submit again".to_owned(), ..state }
                }
                None => RunState {
                    state: State::Failed(Cause::Cancelled),
                    reason: "cancelled before it began".to_owned(),
                    ..state
                },
            };
        };
        let node = if found.node.is_empty() { state.node.clone() } else { found.node.clone() };
        let state = RunState { node, submitted: true, ..state };
        match query::phase(&found.state) {
            Phase::Ended(_) if is_returned => given_back(state),
            Phase::Waits => {
                let hopeless = if query::is_hopeless(&found.reason) {
                    ": it will never start; cancel and retry, or release it"
                } else {
                    ""
                };
                RunState { reason: format!("{}{hopeless}", found.reason), ..state }
            }
            Phase::Runs => match began {
                Some(attempt) if attempt.silence() > 4 * crate::attempt::STALE => {
                    let reason = format!("no heartbeat for {} s", attempt.silence().as_secs());
                    RunState { state: State::Stalled, reason, ..state }
                }
                Some(_) => RunState { state: State::Running, reason: String::new(), ..state },
                None => RunState { reason: "waits in its task".to_owned(), ..state },
            },
            Phase::Ended(cause) => {
                let cause = if is_cancelled { Cause::Cancelled } else { cause };
                let reason = format!("{} {}", found.state, found.reason).trim().to_owned();
                RunState { state: State::Failed(cause), reason, submitted: false, ..state }
            }
        }
    }
}
